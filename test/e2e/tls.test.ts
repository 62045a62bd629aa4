// Several TLS vhosts on one port, from files to handshakes; certificates that change with a reload.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import test from "node:test";
import tls from "node:tls";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico, type Portico } from "../helpers/server.ts";

function conf(names: readonly string[], keys: Readonly<Record<string, unknown>> = {}) {
  return {
    global: { "init-ssl": "1", "timeout-secs": 10 },
    vhosts: names.map((name, index) => ({
      name,
      port: 0,
      interface: "127.0.0.1",
      "host-ssl-cert": `tls/${index}.crt`,
      "host-ssl-key": `tls/${index}.key`,
      "access-log": "access.log",
      mounts: [{ mountpoint: "/", origin: `file://./site${index}` }],
      ...keys,
    })),
  };
}

/** GET / over TLS: the answer and the name the certificate is for. */
async function get(
  port: number,
  servername: string,
  host = servername,
): Promise<{ readonly answer: string; readonly certificate: string }> {
  const options = { port, host: "127.0.0.1", servername, rejectUnauthorized: false };
  const socket = tls.connect(options);
  await once(socket, "secureConnect");
  const certificate = String(socket.getPeerCertificate().subject.CN);
  socket.end(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  return { answer, certificate };
}

async function reload(portico: Portico): Promise<void> {
  const answer = await portico.control("reload");
  assert.ok(answer.ok, answer.message);
}

test("TLS vhosts on one port are told apart by name, also by a wildcard", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const names = ["a.example", "*.b.example"];
  const files = names.flatMap((name, index) => {
    const { cert, key } = make({ names: [name] });
    return [
      [`tls/${index}.crt`, cert],
      [`tls/${index}.key`, key],
      [`site${index}/index.html`, `site of ${name}`],
    ] as const;
  });
  const portico = await startPortico(t, {
    conf: conf(names),
    files: Object.fromEntries(files),
    workers: 2,
  });
  const port = portico.port("a.example");
  for (const [name, expected] of [
    ["a.example", "a.example"],
    ["A.EXAMPLE", "a.example"],
    ["x.b.example", "*.b.example"],
    ["nobody.example", "a.example"],
  ] as const) {
    const { answer, certificate } = await get(port, name);
    assert.equal(certificate, expected);
    assert.match(answer, /^HTTP\/1\.1 200 /);
    assert.ok(answer.endsWith(`site of ${expected}`), answer);
  }
});

test("plain HTTP on a TLS port is answered with a sentence, counted and logged", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const { cert, key } = make({ names: ["a.example"] });
  const portico = await startPortico(t, {
    conf: conf(["a.example"]),
    files: { "tls/0.crt": cert, "tls/0.key": key, "site0/index.html": "x" },
    workers: 1,
  });
  const socket = net.connect({ port: portico.port(), host: "127.0.0.1" });
  // More than is read before the answer: it must not be lost in a reset.
  socket.write(`POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 300000\r\n\r\n`);
  socket.end(Buffer.alloc(300_000, "x"));
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
  assert.match(answer, /\r\nConnection: close\r\n/);
  assert.match(answer, /This port speaks TLS: use https:\/\//);
  assert.equal(await portico.stop(), 0);
  assert.match(readFileSync(join(portico.directory, "access.log"), "utf8"), /"-" 400 \d+ /);
});

test("a reload that changes nothing that was read is honoured, each time it is asked for", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const [old, renewed] = [make({ names: ["a.example"] }), make({ names: ["a.example", "new"] })];
  const portico = await startPortico(t, {
    conf: conf(["a.example"]),
    files: { "tls/0.crt": old.cert, "tls/0.key": old.key, "site0/index.html": "x" },
    workers: 1,
  });
  const first = await portico.status();
  for (const times of [1, 2]) {
    await reload(portico);
    const now = await portico.status();
    assert.equal(now.generation, first.generation + times);
    assert.equal(now.lastReload?.outcome, "ok");
  }
  const shown = async () => {
    const socket = tls.connect({ port: portico.port(), rejectUnauthorized: false });
    await once(socket, "secureConnect");
    const names = socket.getPeerCertificate().subjectaltname;
    socket.destroy();
    return names;
  };
  // The configuration stays as it is; what it names has changed.
  assert.equal(await shown(), "DNS:a.example");
  portico.write("tls/0.crt", renewed.cert);
  portico.write("tls/0.key", renewed.key);
  await reload(portico);
  assert.equal(await shown(), "DNS:a.example, DNS:new");
});

test("a certificate that clients will refuse is served with a warning; one that nobody can use stops a reload", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const [one, other] = [make({ names: ["b.example"] }), make({ names: ["b.example"] })];
  const portico = await startPortico(t, {
    conf: conf(["a.example"]),
    files: { "tls/0.crt": one.cert, "tls/0.key": one.key, "site0/index.html": "x" },
    workers: 1,
    expect: [/^conf:\d+:\d+ /, /Reload refused/],
  });
  const warning = await portico.log(/is not for "a.example": it names b.example$/);
  assert.match(warning.msg, /^conf:\d+:\d+ vhosts\[0\]\.host-ssl-cert: /);
  portico.write("tls/0.key", other.key);
  const answer = await portico.control("reload");
  assert.equal(answer.ok, false);
  assert.match(answer.message, /vhosts\[0\]\.host-ssl-key: .* does not belong to the certificate/);
  assert.equal((await get(portico.port(), "a.example")).certificate, "b.example");
});
