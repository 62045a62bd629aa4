import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { WebSocket } from "ws";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil, type Portico, type PorticoOptions } from "../helpers/server.ts";
import { request } from "../helpers/wire.ts";

const run = promisify(execFile);

const PLAIN = /Holds passwords that everybody can read/;
const ENVIRONMENT = `#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
env | grep -E '^(AUTH_TYPE|REMOTE_USER|HTTP_AUTHORIZATION|HTTP_REMOTE_USER)=' | sort
`;

/** Tells whoever asks, in either way, whose password was right. */
const USER_PLUGIN = `export default {
  name: "user",
  start: () => ({
    open: (peer) => void peer.send(String(peer.user)),
    intercept(exchange) {
      if (!exchange.path.startsWith("/seen")) return false;
      exchange.send(200, [], "first " + exchange.user);
      return true;
    },
    request: (exchange) => exchange.send(200, [], String(exchange.user)),
  }),
};`;

function credentials(user: string): { readonly authorization: string } {
  return { authorization: `Basic ${Buffer.from(user).toString("base64")}` };
}

type Site = Pick<PorticoOptions, "files" | "expect"> & {
  readonly mounts: readonly Record<string, unknown>[];
  readonly vhost?: Record<string, unknown>;
  readonly global?: Record<string, unknown>;
};

function start(t: TestContext, { mounts, vhost, global, files, expect }: Site): Promise<Portico> {
  const conf = {
    global: { ...global },
    vhosts: [{ name: "localhost", port: 0, mounts, ...vhost }],
  };
  return startPortico(t, {
    conf,
    workers: 1,
    files: { passwords: "ann:secret\n", ...files },
    expect: [PLAIN, ...(expect ?? [])],
  });
}

/** On a connection of its own, so that no old generation answers. */
async function statusOf(portico: Portico, path: string, user?: string): Promise<number> {
  const fields = user === undefined ? [] : [`Authorization: ${credentials(user).authorization}`];
  return (await request(portico.port(), `GET ${path}`, fields)).status;
}

suite("basic-auth", () => {
  test("knows what every format of htpasswd writes, asked by curl", async (t) => {
    const htpasswd = needs(t, "htpasswd", ["htpasswd"]);
    const curl = htpasswd && needs(t, "curl", ["curl"]);
    if (curl === undefined) return;
    const formats = ["-B", "-m", "-s", "-2", "-5", "-p"];
    const lines = formats.map((format) =>
      execFileSync(htpasswd ?? "", ["-nb", format, `user${format}`, `pass w\u00f6rd:${format}`], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }).trim(),
    );
    const portico = await start(t, {
      mounts: [{ mountpoint: "/", origin: "file://./www", "basic-auth": "./passwords" }],
      files: { passwords: lines.join("\n"), "www/index.html": "inside" },
    });
    const fetchAs = async (...args: string[]): Promise<string> => {
      const { stdout } = await run(curl, ["-sS", "-w", " %{http_code}", ...args, portico.url()]);
      return stdout;
    };
    for (const format of formats) {
      assert.equal(await fetchAs("-u", `user${format}:pass w\u00f6rd:${format}`), "inside 200");
      assert.match(await fetchAs("-u", `user${format}:pass word:${format}`), / 401$/);
    }
    // Asks first without the password, and again when it is asked for it.
    assert.equal(await fetchAs("--anyauth", "-u", "user-B:pass w\u00f6rd:-B"), "inside 200");
  });

  test("names the user to programs and in the log, and keeps the password to itself", async (t) => {
    const portico = await start(t, {
      mounts: [
        { mountpoint: "/env", origin: "cgi://./env.sh", "basic-auth": "./passwords" },
        { mountpoint: "/open", origin: "cgi://./env.sh" },
        {
          mountpoint: "/asked",
          origin: "cgi://./env.sh",
          "basic-auth": "./passwords",
          "cgi-pass-auth": "1",
        },
      ],
      vhost: { "access-log": "./access.log" },
      files: { "env.sh": ENVIRONMENT, passwords: "ann:secret\nb b:secret\n" },
    });
    const ask = async (path: string, user: string): Promise<string> => {
      const headers = { ...credentials(user), "remote-user": "root" };
      const response = await fetch(portico.url() + path, { headers });
      assert.equal(response.status, 200);
      return response.text();
    };
    const own = "AUTH_TYPE=Basic\n";
    const sent = "HTTP_REMOTE_USER=root\n";
    assert.equal(await ask("/env", "ann:secret"), `${own}${sent}REMOTE_USER=ann\n`);
    assert.equal(await ask("/open", "ann:secret"), sent);
    const { authorization } = credentials("ann:secret");
    assert.equal(
      await ask("/asked", "ann:secret"),
      `${own}HTTP_AUTHORIZATION=${authorization}\n${sent}REMOTE_USER=ann\n`,
    );
    assert.equal(await statusOf(portico, "/env", "ann:wrong"), 401);
    await ask("/env", "b b:secret");
    const log = await waitUntil("the lines of the log", () => {
      const text = readFileSync(join(portico.directory, "./access.log"), "utf8");
      return text.split("\n").length > 5 && text;
    });
    assert.deepEqual(
      log.match(/^127\.0\.0\.1 - \S+ \[/gm)?.map((line) => line.split(" ")[2]),
      ["ann", "-", "ann", "-", "b\\x20b"],
    );
    assert.doesNotMatch(log + JSON.stringify(portico.logs), /secret|YW5uOnNlY3JldA/);
  });

  test("is asked by every method, and the answer is a whole one", async (t) => {
    const portico = await start(t, {
      mounts: [
        {
          mountpoint: "/",
          origin: "file://./www",
          "basic-auth": "./passwords",
          "basic-auth-realm": 'Staff "\u00e4"',
        },
      ],
      files: { "www/index.html": "inside" },
      vhost: { headers: { "X-Frame-Options": "DENY" } },
    });
    for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]) {
      const response = await fetch(portico.url(), { method });
      const body = await response.text();
      assert.equal(response.status, 401, method);
      assert.equal(
        Buffer.from(response.headers.get("www-authenticate") ?? "", "latin1").toString(),
        'Basic realm="Staff \\"\u00e4\\"", charset="UTF-8"',
      );
      assert.equal(response.headers.get("x-frame-options"), "DENY");
      assert.equal(body.includes("401 Unauthorized"), method !== "HEAD");
    }
  });

  test("guards a callback mount, and what a second origin sees first", async (t) => {
    const portico = await start(t, {
      mounts: [
        {
          mountpoint: "/post",
          origin: "callback://protocol-post-demo",
          "basic-auth": "./passwords",
        },
      ],
      vhost: { "ws-protocols": { "protocol-post-demo": {} } },
    });
    const post = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${portico.url()}/post`, {
        method: "POST",
        body: new URLSearchParams({ text: "hello" }),
        headers,
      });
    assert.equal((await post({})).status, 401);
    assert.equal((await post(credentials("ann:secret"))).status, 200);
  });

  test("is read by root for workers that may not read it", async (t) => {
    if (process.getuid?.() !== 0) return t.skip("only root can start workers of another user");
    const portico = await start(t, {
      global: { username: "nobody" },
      mounts: [{ mountpoint: "/", origin: "file://./www", "basic-auth": "./passwords" }],
      files: { "www/index.html": "inside" },
    });
    chmodSync(join(portico.directory, "passwords"), 0o600);
    assert.equal((await portico.control("reload")).ok, true);
    assert.equal(await statusOf(portico, "/", "ann:secret"), 200);
  });
});

suite("basic-auth and reloads", () => {
  const site: Site = {
    mounts: [{ mountpoint: "/", origin: "file://./www", "basic-auth": "./passwords" }],
    files: { "www/index.html": "inside" },
    expect: [/passwords:2:1: Expected "user:password"/, /^Reload refused/],
  };

  test("a changed password file counts after a reload", async (t) => {
    const portico = await start(t, site);
    assert.equal(await statusOf(portico, "/", "ann:secret"), 200);
    portico.write("passwords", "ann:changed\nbob:secret\n");
    assert.equal(await statusOf(portico, "/", "ann:changed"), 401);
    assert.equal((await portico.control("reload")).ok, true);
    assert.equal(await statusOf(portico, "/", "ann:secret"), 401);
    assert.equal(await statusOf(portico, "/", "ann:changed"), 200);
    assert.equal(await statusOf(portico, "/", "bob:secret"), 200);
  });

  test("a line that is wrong keeps the old generation serving, and is told with its number", async (t) => {
    const portico = await start(t, site);
    portico.write("passwords", "ann:changed\nbob\n");
    const answer = await portico.control("reload");
    assert.equal(answer.ok, false);
    assert.match(answer.message, /passwords:2:1: Expected "user:password"/);
    assert.equal(await statusOf(portico, "/", "ann:secret"), 200);
  });
});

suite("basic-auth and WebSockets", () => {
  const MIRROR = "lws-mirror-protocol";
  const guarded = { "basic-auth": "./passwords" };

  /** The status of the handshake; 101 for a WebSocket that was opened. */
  async function open(portico: Portico, path: string, user?: string): Promise<number> {
    const url = portico.url().replace("http", "ws") + path;
    const headers = user === undefined ? {} : credentials(user);
    const socket = new WebSocket(url, MIRROR, { headers });
    const refused = once(socket, "unexpected-response").then(([, response]) => {
      assert.equal(
        response.statusCode === 401,
        response.headers["www-authenticate"] === 'Basic realm="localhost", charset="UTF-8"',
      );
      return Number(response.statusCode);
    });
    socket.on("error", () => undefined);
    const status = await Promise.race([refused, once(socket, "open").then(() => 101)]);
    socket.terminate();
    return status;
  }

  test("a protocol asks for its own password, wherever it is opened", async (t) => {
    const portico = await start(t, {
      mounts: [{ mountpoint: "/in", origin: "file://./www", "basic-auth": "./staff" }],
      files: { "www/index.html": "", staff: "bob:secret\n" },
      vhost: { "ws-protocols": { [MIRROR]: guarded }, "access-log": "./access.log" },
    });
    for (const path of ["/", "/in", "/in/x"]) {
      assert.equal(await open(portico, path), 401);
      assert.equal(await open(portico, path, "ann:wrong"), 401);
      assert.equal(await open(portico, path, "bob:secret"), 401);
      assert.equal(await open(portico, path, "ann:secret"), 101);
    }
    await waitUntil("the user in the log", () =>
      readFileSync(join(portico.directory, "./access.log"), "utf8").includes(" - ann ["),
    );
  });

  test("a protocol without one is guarded by the mount whose path is asked for", async (t) => {
    const portico = await start(t, {
      mounts: [{ mountpoint: "/in", origin: "file://./www", ...guarded }],
      files: { "www/index.html": "" },
      vhost: { "ws-protocols": { [MIRROR]: {} } },
    });
    assert.equal(await open(portico, "/in"), 401);
    assert.equal(await open(portico, "/out/%2e%2e/in/x"), 401);
    assert.equal(await open(portico, "/in", "ann:secret"), 101);
    assert.equal(await open(portico, "/into"), 101);
  });

  test("plugins are told whose password it was", async (t) => {
    const portico = await start(t, {
      global: { "plugin-dir": "./plugins" },
      mounts: [
        { mountpoint: "/in", origin: "callback://user", ...guarded },
        { mountpoint: "/seen", origin: "file://./www", "interceptor-path": "/in", ...guarded },
        { mountpoint: "/open", origin: "callback://user" },
      ],
      files: { "www/index.html": "", "plugins/user.mjs": USER_PLUGIN, staff: "bob:secret\n" },
      vhost: {
        "ws-protocols": { user: {} },
      },
    });
    const headers = credentials("ann:secret");
    const ask = async (path: string): Promise<string> =>
      (await fetch(portico.url() + path, { headers })).text();
    assert.equal(await ask("/in"), "ann");
    assert.equal(await ask("/seen"), "first ann");
    assert.equal(await ask("/open"), "undefined");
    const greet = async (path: string): Promise<string> => {
      const socket = new WebSocket(portico.url().replace("http", "ws") + path, "user", { headers });
      const [message] = await once(socket, "message");
      socket.terminate();
      return String(message);
    };
    assert.equal(await greet("/in"), "ann");
    assert.equal(await greet("/open"), "undefined");
  });
});
