// Session tickets over many connections, several workers, reloads and new keys, with openssl as the client.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";
import { openssl, tlsSite } from "./tls-site.ts";

/** Connections enough to reach both workers, as good as certainly. */
const MANY = 16;
const REQUEST = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

type Client = {
  /** Begins a session and keeps its ticket; says whether it is new. */
  begin(): Promise<boolean>;
  /** Comes back with the ticket; says whether the session was resumed. */
  resume(): Promise<boolean>;
};

function createClient(t: TestContext, port: number, version: string): Client {
  const file = join(temporaryDirectory(t), "session.pem");
  const connect = (...more: string[]) =>
    openssl(
      [
        "s_client",
        "-ign_eof",
        "-connect",
        `127.0.0.1:${port}`,
        "-servername",
        "a.test",
        version,
        ...more,
      ],
      REQUEST,
    );
  const isServed = (output: string): void => assert.match(output, /page of a\.test/);
  return {
    async begin() {
      const output = await connect("-sess_out", file);
      isServed(output);
      return /^New, /m.test(output);
    },
    async resume() {
      const output = await connect("-sess_in", file);
      isServed(output);
      return /^Reused, /m.test(output);
    },
  };
}

async function countResumed(client: Client): Promise<number> {
  let resumed = 0;
  for (let count = 0; count < MANY; count += 1) if (await client.resume()) resumed += 1;
  return resumed;
}

async function start(t: TestContext, global: Readonly<Record<string, unknown>>) {
  const make = certificateMaker(t);
  if (!make) return undefined;
  const site = tlsSite([{ name: "a.test", pair: make({ names: ["a.test"] }) }], global);
  return startPortico(t, { conf: site.conf, files: site.files, workers: 2 });
}

test("a ticket resumes on every worker, and after a reload", async (t) => {
  const portico = await start(t, {});
  if (!portico) return;
  const clients = ["-tls1_2", "-tls1_3"].map((version) => createClient(t, portico.port(), version));
  for (const client of clients) {
    assert.ok(await client.begin());
    assert.equal(await countResumed(client), MANY);
  }
  assert.ok((await portico.control("reload")).ok);
  for (const client of clients) assert.equal(await countResumed(client), MANY);
});

test("after ticket-key-secs old tickets lead to full handshakes, and new ones resume on every worker", async (t) => {
  const portico = await start(t, { "ticket-key-secs": 3_600 });
  if (!portico) return;
  const client = createClient(t, portico.port(), "-tls1_3");
  const older = createClient(t, portico.port(), "-tls1_2");
  assert.ok(await client.begin());
  assert.ok(await older.begin());
  assert.ok(await client.resume());
  // Shorter from now on, so the key that is in use is too old at once; a little later there is one for hours again.
  const site = { ...JSON.parse(readConf(portico)) };
  portico.writeConf({ ...site, global: { ...site.global, "ticket-key-secs": 1 } });
  assert.ok((await portico.control("reload")).ok);
  await waitUntil("a full handshake", async () => !(await client.resume()));
  portico.writeConf(site);
  assert.ok((await portico.control("reload")).ok);
  assert.equal(await countResumed(client), 0);
  assert.equal(await countResumed(older), 0);
  assert.ok(await client.begin());
  assert.equal(await countResumed(client), MANY);
});

function readConf(portico: { readonly directory: string }): string {
  return readFileSync(join(portico.directory, "conf"), "utf8");
}
