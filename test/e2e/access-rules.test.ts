import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { text } from "node:stream/consumers";
import { WebSocket } from "ws";
import { startPortico, type Portico } from "../helpers/server.ts";
import { connect } from "../helpers/wire.ts";

const MIRROR = "lws-mirror-protocol";
const PLAIN = /Holds passwords that everybody can read/;

type Asked = {
  readonly path?: string;
  /** Address to come from; the whole of 127.0.0.0/8 is this machine. */
  readonly from?: string;
  readonly socketPath?: string;
  readonly headers?: Record<string, string>;
};

type Answered = { readonly status: number; readonly body: string; readonly connection: string };

async function ask(
  port: number,
  { path = "/", from, socketPath, headers }: Asked,
): Promise<Answered> {
  const to = socketPath === undefined ? { host: "127.0.0.1", port } : { socketPath };
  const local = from === undefined ? {} : { localAddress: from };
  const request = http.get({
    ...to,
    ...local,
    path,
    headers,
    agent: new http.Agent({ keepAlive: true }),
  });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  const body = await text(response);
  request.destroy();
  return {
    status: response.statusCode ?? 0,
    body,
    connection: response.headers.connection ?? "",
  };
}

function site(
  t: TestContext,
  vhosts: readonly Record<string, unknown>[],
  global: Record<string, unknown> = {},
): Promise<Portico> {
  return startPortico(t, {
    conf: { global, vhosts: vhosts.map((vhost) => ({ port: 0, name: "localhost", ...vhost })) },
    workers: 1,
    files: { "www/index.html": "inside", passwords: "ann:secret\n" },
    expect: [PLAIN],
  });
}

const www = (mountpoint: string, keys: Record<string, unknown> = {}): Record<string, unknown> => ({
  mountpoint,
  origin: "file://./www",
  ...keys,
});

const ANN = { authorization: `Basic ${Buffer.from("ann:secret").toString("base64")}` };

suite("allow and deny", () => {
  test("of a vhost hold for its mounts, for what no mount matches, and for WebSockets", async (t) => {
    const portico = await site(t, [
      {
        deny: "127.0.0.2",
        mounts: [www("/a"), www("/b", { allow: ["127.0.0.2", "127.0.0.3"] })],
        "ws-protocols": { [MIRROR]: {} },
      },
    ]);
    const port = portico.port();
    const statuses = async (from: string): Promise<number[]> => {
      const asked = ["/a/", "/b/", "/c"].map((path) => ask(port, { path, from }));
      return (await Promise.all(asked)).map(({ status }) => status);
    };
    assert.deepEqual(await statuses("127.0.0.1"), [200, 403, 404]);
    assert.deepEqual(await statuses("127.0.0.2"), [403, 403, 403]);
    assert.deepEqual(await statuses("127.0.0.3"), [200, 200, 404]);

    const open = async (path: string, localAddress: string): Promise<number> => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, MIRROR, { localAddress });
      socket.on("error", () => undefined);
      const refused = once(socket, "unexpected-response").then(([, { statusCode }]) => statusCode);
      const status = await Promise.race([refused, once(socket, "open").then(() => 101)]);
      socket.terminate();
      return Number(status);
    };
    assert.equal(await open("/", "127.0.0.1"), 101);
    assert.equal(await open("/", "127.0.0.2"), 403);
    assert.equal(await open("/b", "127.0.0.1"), 403);
    assert.equal(await open("/b/%2e%2e/b/x", "127.0.0.1"), 403);
    assert.equal(await open("/b", "127.0.0.3"), 101);
  });

  test("look at the client that a trusted proxy names", async (t) => {
    const portico = await site(t, [{ mounts: [www("/", { allow: "192.0.2.0/24" })] }], {
      "trusted-proxies": "127.0.0.2",
    });
    const port = portico.port();
    const headers = { "x-forwarded-for": "198.51.100.1, 192.0.2.7" };
    assert.equal((await ask(port, { headers, from: "127.0.0.2" })).status, 200);
    assert.equal((await ask(port, { headers, from: "127.0.0.3" })).status, 403);
    assert.equal((await ask(port, { from: "127.0.0.2" })).status, 403);
  });

  test("know clients of a Unix socket", async (t) => {
    const portico = await site(t, [
      { name: "tcp", mounts: [www("/", { allow: "unix:" })] },
      {
        name: "socket",
        "unix-socket": "1",
        interface: "./site.sock",
        port: undefined,
        mounts: [www("/", { allow: "unix:" }), www("/tcp", { deny: "unix:" })],
      },
    ]);
    const socketPath = join(portico.directory, "site.sock");
    assert.equal((await ask(portico.port("tcp"), {})).status, 403);
    assert.equal((await ask(0, { socketPath })).status, 200);
    assert.equal((await ask(0, { socketPath, path: "/tcp/" })).status, 403);
  });

  test("go together with basic-auth as satisfy says", async (t) => {
    const keys = { allow: "127.0.0.2", "basic-auth": "./passwords" };
    const portico = await site(t, [
      { mounts: [www("/all", keys), www("/any", { ...keys, satisfy: "any" })] },
    ]);
    const port = portico.port();
    const near = { from: "127.0.0.2" };
    assert.equal((await ask(port, { path: "/all/" })).status, 403);
    assert.equal((await ask(port, { path: "/all/", headers: ANN })).status, 403);
    assert.equal((await ask(port, { path: "/all/", ...near })).status, 401);
    assert.equal((await ask(port, { path: "/all/", ...near, headers: ANN })).status, 200);
    assert.equal((await ask(port, { path: "/any/" })).status, 401);
    assert.equal((await ask(port, { path: "/any/", headers: ANN })).status, 200);
    assert.equal((await ask(port, { path: "/any/", ...near })).status, 200);
  });
});

test("reject-service-keywords answers with its status and text, and closes", async (t) => {
  const portico = await site(t, [{ mounts: [www("/")], "ws-protocols": { [MIRROR]: {} } }], {
    "reject-service-keywords": [{ BadBot: "403 No <robots>", scraper: "404" }],
  });
  const port = portico.port();
  const asked = (agent: string): Promise<Answered> =>
    ask(port, { headers: { "user-agent": agent } });
  const refused = await asked("Mozilla/5.0 (BadBot/2.1)");
  assert.equal(refused.status, 403);
  assert.match(refused.body, /No &#60;robots&#62;/);
  assert.equal(refused.connection, "close");
  assert.equal((await asked("my-scraper")).status, 404);
  const welcome = await asked("badbot, Scraper");
  assert.deepEqual([welcome.status, welcome.connection], [200, "keep-alive"]);
  assert.equal((await ask(port, {})).status, 200);

  const wire = await connect(port);
  wire.write(
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
      `Sec-WebSocket-Key: ${Buffer.alloc(16).toString("base64")}\r\nSec-WebSocket-Protocol: ${MIRROR}\r\nUser-Agent: BadBot\r\n\r\n`,
  );
  assert.match(await wire.rest(), /^HTTP\/1\.1 403 /);
});
