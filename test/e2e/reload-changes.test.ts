// A reload that changes what is served on one port: who comes afterwards sees the new mounts and the new certificate, also where
// workers may not read the key; who was connected finishes with what was there when they came.

import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import tls from "node:tls";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico } from "../helpers/server.ts";
import { parseReplies, type Reply } from "../helpers/wire.ts";
import { askTls, tlsSite } from "./tls-site.ts";

const IS_ROOT = process.getuid?.() === 0;

test("a reload changes mounts and certificate for new connections, and lets old ones finish", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const [before, after] = ["before", "after"].map((subject) =>
    make({ names: ["localhost"], subject: `/CN=${subject}` }),
  );
  assert.ok(before && after);
  const site = (pair: typeof before, mountpoint: string) =>
    tlsSite(
      [
        {
          name: "localhost",
          pair,
          keys: { mounts: [{ mountpoint, origin: "file://site/localhost" }] },
        },
      ],
      IS_ROOT ? { username: "nobody" } : {},
    );
  const old = site(before, "/old");
  const portico = await startPortico(t, { ...old, workers: 1 });
  const hideKey = (): void => chmodSync(join(portico.directory, "tls/localhost.key"), 0o600);
  hideKey();

  const socket = tls.connect({
    port: portico.port(),
    host: "127.0.0.1",
    rejectUnauthorized: false,
  });
  t.after(() => socket.destroy());
  await once(socket, "secureConnect");
  const ended = once(socket, "end");
  let received = "";
  socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
  const ask = async (count: number): Promise<Reply | undefined> => {
    socket.write("GET /old/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    while (parseReplies(received).replies.length < count) await once(socket, "data");
    return parseReplies(received).replies.at(-1);
  };
  const first = await ask(1);
  assert.equal(first?.status, 200);
  assert.notEqual(first?.headers.get("connection"), "close");

  const next = site(after, "/new");
  for (const [path, content] of Object.entries(next.files)) portico.write(path, content);
  hideKey();
  portico.writeConf(next.conf);
  assert.deepEqual((await portico.control("reload")).message, "Generation 2 serves");

  const found = await askTls(portico.port(), { path: "/new/" });
  assert.deepEqual([found.status, found.certificate], [200, "after"]);
  assert.equal((await askTls(portico.port(), { path: "/old/" })).status, 404);

  const last = await ask(2);
  assert.deepEqual([last?.status, last?.headers.get("connection")], [200, "close"]);
  await ended;
});
