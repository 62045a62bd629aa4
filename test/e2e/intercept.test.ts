// A mount with two origins: a protocol of the vhost sees each request before the first origin serves it.

import assert from "node:assert/strict";
import test from "node:test";
import { startPortico } from "../helpers/server.ts";

const PLUGIN = `export default {
  name: "guard",
  start: () => ({
    async intercept(exchange, rest, pmo) {
      if (exchange.header("x-throw")) throw new Error("of the plugin");
      if (exchange.header("x-pass") === pmo.word) return false;
      exchange.send(403, [["X-Rest", rest]], "not without the word");
      return true;
    },
  }),
};`;
const DEAF_PLUGIN = 'export default { name: "deaf", start: () => ({}) };';

/** lwsws's idiom needs the text: no object has a key twice. */
function conf(second: string, enabled: readonly string[]): string {
  const protocols = JSON.stringify(enabled.map((name) => ({ [name]: { status: "ok" } })));
  return `{
  "global": { "plugin-dir": "plugins", "pid-file": "../run/portico.pid" },
  "vhosts": [{ "name": "localhost", "port": 0,
    "mounts": [
      { "mountpoint": "/", "origin": "file://./public" },
      { "mountpoint": "/in", "origin": "file://./public",
        "origin": "callback://${second}", "pmo": [{ "word": "please" }] }
    ],
    "ws-protocols": ${protocols} }] }`;
}

const files = {
  "public/a.txt": "served",
  "plugins/guard.mjs": PLUGIN,
  "plugins/deaf.mjs": DEAF_PLUGIN,
};

test("a second origin answers a request itself or lets the first one serve it", async (t) => {
  const portico = await startPortico(t, {
    conf: conf("guard", ["guard"]),
    files,
    workers: 1,
    expect: [/^A request failed/],
  });
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(portico.url() + path, { headers });
    return [response.status, response.headers.get("x-rest"), (await response.text()).slice(0, 20)];
  };
  assert.deepEqual(await get("/a.txt"), [200, null, "served"]);
  assert.deepEqual(await get("/in/a.txt"), [403, "/a.txt", "not without the word"]);
  assert.deepEqual(await get("/in/a.txt", { "x-pass": "please" }), [200, null, "served"]);
  assert.equal((await get("/in/none", { "x-pass": "please" }))[0], 404);
  assert.equal((await get("/in/a.txt", { "x-throw": "1" }))[0], 500);
});

test("a second origin that cannot see requests is refused, and changes nothing on a reload", async (t) => {
  const portico = await startPortico(t, {
    conf: conf("guard", ["guard"]),
    files,
    workers: 1,
    expect: [/^conf:[69]:/, /Reload refused/],
  });
  for (const [second, enabled, message] of [
    ["deaf", ["deaf"], 'The protocol "deaf" cannot see requests before they are served'],
    [
      "gaurd",
      ["guard"],
      'The protocol "gaurd" is not among the ws-protocols of this vhost; did you mean "guard"?',
    ],
    ["guard", ["guadr"], 'did you mean "guard"?'],
  ] as const) {
    portico.writeConf(conf(second, enabled));
    const answer = await portico.control("reload");
    assert.equal(answer.ok, false);
    assert.ok(answer.message.includes(message), answer.message);
  }
  assert.equal((await fetch(`${portico.url()}/in/a.txt`)).status, 403);
});
