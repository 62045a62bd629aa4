// A mount with two origins: a protocol of the vhost sees each request before the first origin serves it.

import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { WebSocket } from "ws";
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

/** Lets through whoever sends its word, and has a page of its own. */
const LOGIN_PLUGIN = `export default {
  name: "login",
  start: () => ({
    intercept(exchange, rest, pmo) {
      if (exchange.header("x-pass")?.includes(pmo.word)) return false;
      exchange.send(303, [["Location", pmo.page + "?to=" + rest]]);
      return true;
    },
    request: (exchange) => exchange.send(200, [], "the page"),
  }),
};`;

function mountsOf(...paths: (string | undefined)[]): unknown {
  const [main, login, captcha] = paths.map((path) => path && { "interceptor-path": path });
  const callback = (mountpoint: string, word: string) => ({
    mountpoint,
    origin: "callback://login",
    pmo: { word, page: mountpoint },
  });
  return {
    global: { "plugin-dir": "./plugins" },
    vhosts: [
      {
        name: "localhost",
        port: 0,
        mounts: [
          { mountpoint: "/", origin: "file://./public", ...main },
          { ...callback("/login", "known"), ...login },
          { ...callback("/captcha", "human"), ...captcha },
        ],
        "ws-protocols": { login: {}, "lws-mirror-protocol": {} },
      },
    ],
  };
}

const loginFiles = { "public/a.txt": "served", "plugins/login.mjs": LOGIN_PLUGIN };

test("interceptor-path asks the protocols on the way, the outermost first", async (t) => {
  const portico = await startPortico(t, {
    conf: mountsOf("/login/", "/captcha") as { vhosts: unknown },
    files: loginFiles,
    workers: 1,
  });
  const get = async (path: string, pass = ""): Promise<string> => {
    const url = portico.url() + path;
    const response = await fetch(url, { headers: { "x-pass": pass }, redirect: "manual" });
    return `${response.status} ${response.headers.get("location") ?? (await response.text())}`;
  };
  assert.equal(await get("/a.txt"), "303 /captcha?to=/a.txt");
  assert.equal(await get("/a.txt", "human"), "303 /login?to=/a.txt");
  assert.equal(await get("/a.txt", "human, known"), "200 served");
  assert.equal(await get("/login"), "303 /captcha?to=");
  assert.equal(await get("/login", "human"), "200 the page");
  assert.equal(await get("/captcha"), "200 the page");

  const upgrade = async (path: string): Promise<number> => {
    const socket = new WebSocket(portico.url().replace("http", "ws") + path, "lws-mirror-protocol");
    socket.on("error", () => undefined);
    const refused = once(socket, "unexpected-response").then(([, { statusCode }]) => statusCode);
    const status = await Promise.race([refused, once(socket, "open").then(() => 101)]);
    socket.terminate();
    return Number(status);
  };
  assert.equal(await upgrade("/a.txt"), 403);
  assert.equal(await upgrade("/captcha"), 101);
});

test("interceptor-path that leads nowhere, in a circle or to a deaf protocol is refused", async (t) => {
  const portico = await startPortico(t, {
    conf: mountsOf("/login") as { vhosts: unknown },
    files: loginFiles,
    workers: 1,
    expect: [/interceptor-path/, /Reload refused/],
  });
  for (const [paths, message] of [
    [["/nowhere"], 'No callback:// mount of this vhost has the mountpoint "/nowhere"'],
    [["/"], 'No callback:// mount of this vhost has the mountpoint "/"'],
    [["/login", "/login"], 'Leads back to "/login", which cannot be asked before itself'],
    [["/login", "/captcha", "/login"], 'Leads back to "/login"'],
  ] as const) {
    portico.writeConf(mountsOf(...paths) as { vhosts: unknown });
    const answer = await portico.control("reload");
    assert.equal(answer.ok, false);
    assert.ok(answer.message.includes(message), answer.message);
  }
  portico.write(
    "plugins/login.mjs",
    'export default { name: "login", start: () => ({ request() {} }) };',
  );
  portico.writeConf(mountsOf("/login") as { vhosts: unknown });
  const { message } = await portico.control("reload");
  assert.match(message, /interceptor-path: The protocol "login" cannot see requests/);
});
