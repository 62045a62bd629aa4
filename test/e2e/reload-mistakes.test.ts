// A reload onto a configuration that cannot be served, whatever is wrong with it: the generation before serves on, one line
// names the place, the command fails, `portico check` knows it too, and nothing is left behind.

import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdirSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { openFiles } from "../helpers/open-files.ts";
import { runPortico, startPortico, waitUntil } from "../helpers/server.ts";
import { fetchOnce, freshConnections, keptConnections, portOf } from "../helpers/traffic.ts";

const SMALL = Buffer.alloc(1_000, "s");
const expected = { status: 200, bytes: SMALL.length };
const IS_ROOT = process.getuid?.() === 0;

type Fields = Readonly<Record<string, unknown>>;

type Mistake = {
  readonly what: string;
  /** Fields of the only vhost, or the whole file. */
  readonly written: (
    directory: string,
    t: TestContext,
  ) => Promise<Fields | string> | Fields | string;
  /** What the refusal says. */
  readonly says: RegExp;
  /** Only a server that binds finds out. */
  readonly passesCheck?: true;
  readonly skip?: string | false;
};

const MISTAKES: readonly Mistake[] = [
  { what: "text that is no JSON", written: () => '{ "vhosts": [', says: /^conf:1:\d+: / },
  {
    what: "a certificate that is missing",
    written: () => ({ "host-ssl-cert": "cert.pem", "host-ssl-key": "key.pem" }),
    says: /^conf:\d+:\d+ vhosts\[0\]\.host-ssl-cert: .*cert\.pem/,
  },
  {
    what: "a port that another program has",
    async written(_directory, t) {
      const server = net.createServer().listen(0, "127.0.0.1");
      t.after(() => server.close());
      await once(server, "listening");
      return { port: portOf(server) };
    },
    says: /^conf:\d+:\d+ vhosts\[0\].*EADDRINUSE/,
    passesCheck: true,
  },
  {
    what: "a directory that is missing",
    written: () => ({ mounts: [{ mountpoint: "/", origin: "file://nowhere" }] }),
    says: /^conf:\d+:\d+ vhosts\[0\]\.mounts\[0\]\.origin: .*nowhere/,
  },
  {
    what: "a directory that the workers' user may not read",
    written(directory) {
      mkdirSync(join(directory, "secret"));
      chmodSync(join(directory, "secret"), 0o700);
      return { mounts: [{ mountpoint: "/", origin: "file://secret" }] };
    },
    says: /^conf:\d+:\d+ vhosts\[0\]\.mounts\[0\]\.origin: .*secret/,
    skip: !IS_ROOT && "needs root",
  },
  {
    what: "a plugin that throws",
    written: () => ({ "ws-protocols": [{ thrower: {} }] }),
    says: /^conf:\d+:\d+ vhosts\[0\]\.ws-protocols\[0\].*This plugin throws/,
  },
];

for (const { what, written, says, passesCheck = false, skip = false } of MISTAKES)
  test(`a reload onto ${what} is refused, and the server serves on`, { skip }, async (t) => {
    const good = {
      name: "localhost",
      port: 0,
      interface: "127.0.0.1",
      mounts: [{ mountpoint: "/", origin: "file://public" }],
    };
    const global = {
      "init-ssl": "1",
      "plugin-dir": "plugins",
      ...(IS_ROOT && { username: "nobody" }),
    };
    const portico = await startPortico(t, {
      conf: { global, vhosts: [good] },
      files: {
        "public/small": SMALL,
        "plugins/thrower.mjs":
          'export default { name: "thrower", start() { throw new Error("This plugin throws"); } };',
      },
      workers: 1,
      expect: [says, /host-ssl-key: .*does not exist/, /^Reload refused, generation 1 serves on/],
    });
    const traffic = [freshConnections, keptConnections].map((clients) =>
      clients(`${portico.url()}/small`, 2, expected),
    );
    for (const clients of traffic) t.after(() => clients.stop());
    const before = await portico.status();
    const open = openFiles(portico);

    const wrong = await written(portico.directory, t);
    portico.writeConf(
      typeof wrong === "string" ? wrong : { global, vhosts: [{ ...good, ...wrong }] },
    );
    const checked = await runPortico(["check", "-c", portico.directory]);
    assert.equal(checked.code, passesCheck ? 0 : 1, checked.stderr);
    if (!passesCheck)
      assert.match(checked.stdout + checked.stderr, new RegExp(says.source.slice(1), "m"));
    const answer = await portico.control("reload");
    assert.equal(answer.ok, false);
    // Nothing of a refused generation stays.
    const after = await waitUntil("its workers to go", async () => {
      const board = await portico.status();
      return board.workers.length === before.workers.length && board;
    });
    assert.equal(after.generation, 1);
    assert.deepEqual(
      after.workers.map(({ pid }) => pid),
      before.workers.map(({ pid }) => pid),
    );
    assert.equal(after.lastReload?.outcome, "failed");
    assert.equal(portico.logs.filter(({ msg }) => says.test(msg)).length, 1);
    await waitUntil(
      "its descriptors to go",
      () => openFiles(portico).length <= open.length,
      () => `${open.join("\n")}\n\n${openFiles(portico).join("\n")}`,
    );

    portico.writeConf({ global, vhosts: [good] });
    assert.equal((await portico.control("reload")).ok, true);
    const results = await Promise.all(traffic.map((clients) => clients.stop()));
    assert.deepEqual(
      results.flatMap(({ failures }) => failures),
      [],
    );
    await fetchOnce(`${portico.url()}/small`, false, expected);
  });
