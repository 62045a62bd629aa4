// Vhosts that admit only clients with a certificate: who gets in, what programs learn, and the ways around that are none.

import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { test, type TestContext } from "node:test";
import tls from "node:tls";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico } from "../helpers/server.ts";
import { askTls, tlsSite } from "./tls-site.ts";

const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;

async function startSite(t: TestContext) {
  const make = certificateMaker(t);
  if (!make) return undefined;
  const authority = make({ names: ["authority"], isAuthority: true });
  const stranger = make({ names: ["stranger"], isAuthority: true });
  const pair = make({ names: ["open.test", "members.test", "board.test"] });
  const guarded = { "client-cert-required": "1", "host-ssl-ca": "ca.crt" };
  const site = tlsSite([
    { name: "open.test", pair },
    { name: "members.test", pair, keys: guarded },
    { name: "board.test", pair, keys: { ...guarded, "host-ssl-ca": "board.crt" } },
  ]);
  const portico = await startPortico(t, {
    conf: site.conf,
    files: { ...site.files, "ca.crt": authority.cert, "board.crt": stranger.cert },
    workers: 2,
  });
  return {
    port: portico.port(),
    ada: make({ names: [], subject: "/O=Engines/OU=A/OU=B/CN=Ada, née Byron", by: authority }),
    outsider: make({ names: ["outsider"], by: stranger }),
    selfMade: make({ names: [], subject: "/O=Engines/CN=Ada, née Byron" }),
  };
}

test("client-cert-required admits clients of the authority and tells programs who they are", async (t) => {
  const site = await startSite(t);
  if (!site) return;
  for (const maxVersion of VERSIONS) {
    const client = { ...site.ada, maxVersion, servername: "members.test" };
    const { text, status } = await askTls(site.port, { ...client, path: "/env" });
    assert.equal(status, 200, text);
    const variables = new Map(
      text.split("\n").map((line) => line.split(/=(.*)/, 2) as [string, string]),
    );
    const read = (name: string) => variables.get(`SSL_CLIENT_${name}`);
    assert.equal(read("VERIFY"), "SUCCESS");
    assert.equal(read("S_DN"), "CN=Ada\\, née Byron,OU=B,OU=A,O=Engines");
    assert.deepEqual([read("S_DN_OU"), read("S_DN_OU_1"), read("S_DN_O")], ["A", "B", "Engines"]);
    assert.equal(read("S_DN_CN"), "Ada, née Byron");
    assert.equal(read("I_DN"), "CN=authority");
    assert.match(read("M_SERIAL") ?? "", /^[\dA-F]+$/);
    assert.match(read("FINGERPRINT") ?? "", /^[\da-f]{64}$/);
    assert.match(read("V_END") ?? "", /^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT$/);
    assert.match(read("V_REMAIN") ?? "", /^[12]$/);
  }
  const open = await askTls(site.port, { servername: "open.test", path: "/env" });
  assert.match(open.text, /^SSL_CLIENT_VERIFY=NONE$/m);
  assert.doesNotMatch(open.text, /SSL_CLIENT_S_DN/);
});

test("client-cert-required lets nobody else ask anything", async (t) => {
  const site = await startSite(t);
  if (!site) return;
  for (const maxVersion of VERSIONS)
    for (const [what, certificate] of [
      ["none", {}],
      ["another authority", site.outsider],
      ["no authority", site.selfMade],
    ] as const) {
      const options = { ...certificate, maxVersion, servername: "members.test" };
      const got = await askTls(site.port, options).then(
        ({ text }) => text,
        (error: NodeJS.ErrnoException) => error.code ?? error.message,
      );
      // With TLS 1.3 the client believes itself connected before the server has seen its certificate.
      assert.doesNotMatch(got, /HTTP|page of/, `${maxVersion}, ${what}`);
      if (what === "none") assert.match(got, /ALERT/, maxVersion);
    }
  assert.equal((await askTls(site.port, { servername: "open.test" })).status, 200);
});

test("a connection made under other rules for client certificates gets 421", async (t) => {
  const site = await startSite(t);
  if (!site) return;
  const cases = [
    [{ servername: "open.test", host: "members.test" }, 421],
    [{ host: "members.test" }, 421],
    [{ servername: "open.test", host: "MEMBERS.test." }, 421],
    [{ ...site.ada, servername: "members.test", host: "board.test" }, 421],
    [{ ...site.ada, servername: "members.test", host: "open.test" }, 421],
    [{ ...site.ada, servername: "members.test" }, 200],
    [{ ...site.outsider, servername: "board.test" }, 200],
  ] as const;
  for (const [options, status] of cases) {
    const answer = await askTls(site.port, options);
    assert.equal(answer.status, status, JSON.stringify(Object.entries(options).slice(-2)));
    if (status === 421) assert.doesNotMatch(answer.text, /page of/);
  }
});

test("no session begun elsewhere resumes where client certificates are asked for", async (t) => {
  const site = await startSite(t);
  if (!site) return;
  for (const maxVersion of VERSIONS) {
    const open = await askTls(site.port, { maxVersion, servername: "open.test" });
    const member = { ...site.ada, maxVersion, servername: "members.test" };
    const inside = await askTls(site.port, member);
    assert.ok(open.session && inside.session, maxVersion);
    const own = await askTls(site.port, { ...member, session: inside.session, path: "/env" });
    assert.ok(own.isResumed, maxVersion);
    assert.match(
      own.text,
      /^SSL_CLIENT_S_DN_CN=Ada, née Byron$/m,
      "a resumed session keeps its client",
    );
    for (const [session, servername] of [
      [open.session, "members.test"],
      [inside.session, "board.test"],
    ] as const) {
      const got = await askTls(site.port, { maxVersion, servername, session }).then(
        ({ text }) => text,
        () => "",
      );
      assert.doesNotMatch(got, /HTTP/, `${maxVersion} ${servername}`);
    }
  }
});

test("a client that was refused is refused again when it resumes", async (t) => {
  const site = await startSite(t);
  if (!site) return;
  const options = { ...site.outsider, port: site.port, host: "127.0.0.1" };
  const sessions: Buffer[] = [];
  for (let round = 0; round < 3; round += 1) {
    const socket = tls.connect({
      ...options,
      servername: "members.test",
      rejectUnauthorized: false,
      ...(sessions[0] && { session: sessions[0] }),
    });
    let got = "";
    socket.on("session", (session: Buffer) => void sessions.push(session));
    socket.on("data", (chunk: Buffer) => (got += chunk.toString()));
    socket.on("error", () => {});
    socket.write("GET / HTTP/1.1\r\nHost: members.test\r\n\r\n");
    await once(socket, "close");
    assert.equal(got, "");
  }
});

test("HTTP/2 streams for a host with other rules get 421, others on the connection live on", async (t) => {
  const site = await startSite(t);
  if (!site) return;
  const session = http2.connect(`https://127.0.0.1:${site.port}`, {
    servername: "open.test",
    rejectUnauthorized: false,
  });
  t.after(() => session.destroy());
  const ask = async (authority: string): Promise<unknown> => {
    const stream = session.request({ ":path": "/", ":authority": authority });
    const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    stream.resume();
    await once(stream, "close");
    return headers[":status" as never];
  };
  assert.deepEqual(
    [
      await ask("open.test"),
      await ask("members.test"),
      await ask("board.test"),
      await ask("open.test"),
    ],
    [200, 421, 421, 200],
  );
});
