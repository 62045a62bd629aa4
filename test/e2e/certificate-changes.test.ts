// Certificates that change while the server runs, without a reload: as certbot does it, by halves, and by mistake.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import tls from "node:tls";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";
import { askTls, ocspResponse, tlsSite } from "./tls-site.ts";

const EVERY_SECOND = { "cert-check-secs": 1 };
/** Connections enough to reach every worker, as good as certainly. */
const MANY = 24;

/** The alternative names shown on many connections, each once. */
async function shown(port: number): Promise<string[]> {
  const names = new Set<string>();
  for (let count = 0; count < MANY; count += 1) {
    const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
    await once(socket, "secureConnect");
    names.add(socket.getPeerCertificate().subjectaltname ?? "");
    socket.destroy();
  }
  return [...names];
}

function certificateOf(portico: Portico) {
  return portico.status().then(({ vhosts }) => vhosts[0]?.certificate);
}

test("a certificate that certbot renews is used by every worker, and connections live on", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const live = temporaryDirectory(t);
  const archive = join(live, "archive");
  mkdirSync(archive);
  const issue = (number: number, pair: { cert: string; key: string }) => {
    writeFileSync(join(archive, `fullchain${number}.pem`), pair.cert);
    writeFileSync(join(archive, `privkey${number}.pem`), pair.key);
  };
  // As certbot does: a new link beside the old one, then renamed over it; one file after the other.
  const point = (file: string, number: number) => {
    symlinkSync(join(archive, `${file}${number}.pem`), join(live, `${file}.new`));
    renameSync(join(live, `${file}.new`), join(live, `${file}.pem`));
  };
  issue(1, make({ names: ["a.test", "one"] }));
  issue(2, make({ names: ["a.test", "two"], days: 90 }));
  point("fullchain", 1);
  point("privkey", 1);

  const pair = make({ names: ["a.test"] });
  const keys = {
    "host-ssl-cert": join(live, "fullchain.pem"),
    "host-ssl-key": join(live, "privkey.pem"),
  };
  const site = tlsSite([{ name: "a.test", pair, keys }], EVERY_SECOND);
  const portico = await startPortico(t, {
    conf: site.conf,
    files: site.files,
    workers: 2,
    expect: [/^Worker leaves/],
  });
  const { generation } = await portico.status();
  assert.deepEqual(await shown(portico.port()), ["DNS:a.test, DNS:one"]);
  assert.equal((await certificateOf(portico))?.daysLeft, 1);

  const kept = tls.connect({ port: portico.port(), host: "127.0.0.1", rejectUnauthorized: false });
  await once(kept, "secureConnect");
  point("fullchain", 2);
  point("privkey", 2);
  await portico.log(/^New certificate of "a\.test:0" in use/);
  await waitUntil("the new certificate everywhere", async () => {
    const names = await shown(portico.port());
    return names.length === 1 && names[0] === "DNS:a.test, DNS:two";
  });
  const facts = await certificateOf(portico);
  assert.deepEqual([facts?.daysLeft, facts?.problem], [89, undefined]);
  assert.equal((await portico.status()).generation, generation, "no reload took place");

  kept.end("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
  let answer = "";
  for await (const chunk of kept) answer += String(chunk);
  assert.match(answer, /page of a\.test$/);

  // A worker that takes the place of another, and a generation that takes the place of all.
  const [first] = (await portico.status()).workers;
  process.kill(first?.pid ?? 0, "SIGTERM");
  await portico.log(/^Worker leaves: SIGTERM/);
  await waitUntil("the replacement", async () => {
    const { workers } = await portico.status();
    return (
      workers.every(({ pid }) => pid !== first?.pid) &&
      workers.filter(({ state }) => state === "serving").length === 2
    );
  });
  assert.deepEqual(await shown(portico.port()), ["DNS:a.test, DNS:two"]);
  assert.ok((await portico.control("reload")).ok);
  assert.deepEqual(await shown(portico.port()), ["DNS:a.test, DNS:two"]);
  // Before the files go.
  assert.equal(await portico.stop(), 0);
});

test("a bad pair keeps the certificate that is served, says so once, and harms no other vhost", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const [a, b] = [make({ names: ["a.test"] }), make({ names: ["b.test"] })];
  const site = tlsSite(
    [
      { name: "a.test", pair: a },
      { name: "b.test", pair: b },
    ],
    EVERY_SECOND,
  );
  const portico = await startPortico(t, {
    conf: site.conf,
    files: site.files,
    workers: 1,
    expect: [/keeps its certificate/],
  });
  const certificate = async (servername: string) =>
    (await askTls(portico.port(), { servername })).certificate;
  const complaints = () => portico.logs.filter(({ msg }) => msg.includes("keeps its certificate"));

  portico.write("tls/a.test.key", b.key);
  await portico.log(/^"a\.test:0" keeps its certificate: The private key ".*" does not belong to/);
  assert.match((await certificateOf(portico))?.problem ?? "", /does not belong/);
  const renewed = make({ names: ["b.test", "new"] });
  portico.write("tls/b.test.key", renewed.key);
  portico.write("tls/b.test.crt", renewed.cert);
  await portico.log(/^New certificate of "b\.test:0"/);
  assert.deepEqual(
    [await certificate("a.test"), await certificate("b.test")],
    ["a.test", "b.test"],
  );
  assert.equal(complaints().length, 1);

  const expired = make({ names: ["a.test", "late"], days: -1 });
  portico.write("tls/a.test.key", expired.key);
  portico.write("tls/a.test.crt", expired.cert);
  await portico.log(/keeps its certificate: .* expired on /);
  rmSync(join(portico.directory, "tls/a.test.crt"));
  await portico.log(/keeps its certificate: .* cannot be read: ENOENT/);
  assert.equal(await certificate("a.test"), "a.test");
  assert.equal(complaints().length, 3);

  const good = make({ names: ["a.test", "good"] });
  portico.write("tls/a.test.key", good.key);
  portico.write("tls/a.test.crt", good.cert);
  await portico.log(/^New certificate of "a\.test:0"/);
  assert.equal((await certificateOf(portico))?.problem, undefined);
});

test("an OCSP response is stapled, and replaced like the certificate", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const directory = temporaryDirectory(t);
  const authority = make({ names: ["authority"], isAuthority: true });
  const pair = make({ names: ["a.test"], by: authority });
  const first = ocspResponse(directory, authority, pair.cert);
  const second = ocspResponse(directory, authority, pair.cert, 3);
  assert.notDeepEqual(first, second);
  const site = tlsSite(
    [{ name: "a.test", pair, keys: { "ocsp-staple": "staple.der" } }],
    EVERY_SECOND,
  );
  const portico = await startPortico(t, {
    conf: site.conf,
    files: { ...site.files, "staple.der": first },
    workers: 1,
    expect: [/keeps its certificate/, /Reload refused/, /vhosts\[0\]/],
  });
  const stapled = async (maxVersion: "TLSv1.2" | "TLSv1.3"): Promise<Buffer> => {
    const socket = tls.connect({
      port: portico.port(),
      host: "127.0.0.1",
      servername: "a.test",
      requestOCSP: true,
      rejectUnauthorized: false,
      maxVersion,
    });
    const [response] = (await once(socket, "OCSPResponse")) as [Buffer];
    socket.destroy();
    return response;
  };
  for (const version of ["TLSv1.2", "TLSv1.3"] as const)
    assert.deepEqual(await stapled(version), first);
  portico.write("staple.der", second);
  await portico.log(/^New certificate of "a\.test:0"/);
  await waitUntil("the new response", async () => (await stapled("TLSv1.3")).equals(second));
  portico.write("staple.der", "no response");
  await portico.log(
    /keeps its certificate: The OCSP response ".*" is no OCSP response in DER form/,
  );
  assert.deepEqual(await stapled("TLSv1.3"), second);
  const answer = await portico.control("reload");
  assert.match(answer.message, /vhosts\[0\]\.ocsp-staple: The OCSP response/);
});
