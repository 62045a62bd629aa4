import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
  mkdirSync,
} from "node:fs";
import http from "node:http";
import net from "node:net";
import { availableParallelism, networkInterfaces, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { type TestContext } from "node:test";
import { runPortico, startPortico, waitUntil, type Portico } from "../helpers/server.ts";

const LINUX_ONLY = { skip: process.platform !== "linux" && "needs /proc" };
const files = { "public/index.html": "<h1>hello</h1>" };
const mounts = [{ mountpoint: "/", origin: "file://public" }];
const vhost = { name: "localhost", port: 0, mounts };

function writeDirectory(t: TestContext, content: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), "portico-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(content)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

async function get(
  options: http.RequestOptions,
): Promise<{ status: number; body: string; headers: http.IncomingHttpHeaders }> {
  const request = http.get({ agent: false, ...options });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let body = "";
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, body, headers: response.headers };
}

test("run serves from as many workers as there are cores, and says what is up", async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [vhost] }, files });
  const board = await portico.status();
  assert.equal(board.workers.length, availableParallelism());
  assert.equal((await get({ port: portico.port() })).body, "<h1>hello</h1>");
  const greeting = portico.logs.map((line) => line.msg).join("\n");
  assert.match(
    greeting,
    new RegExp(`Listening on 0\\.0\\.0\\.0:${portico.port()} \\(http\\): localhost`),
  );
  assert.match(greeting, /Vhost localhost from conf; mounts \/ -> file:\/\/.*public/);
});

test('"count-threads" sets the number of workers, and one on a larger host is remarked on', async (t) => {
  const portico = await startPortico(t, {
    conf: { global: { "count-threads": "1" }, vhosts: [vhost] },
    files,
  });
  assert.equal((await portico.status()).workers.length, 1);
  if (availableParallelism() > 1) await portico.log(/"count-threads" is 1/);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} ends with status 0 and leaves no file behind`, async (t) => {
    const portico = await startPortico(t, { conf: { vhosts: [vhost] }, files, workers: 2 });
    const run = join(portico.directory, "..", "run");
    for (const name of ["portico.pid", "portico.sock"]) assert.ok(readdirSync(run).includes(name));
    assert.equal(readFileSync(join(run, "portico.pid"), "utf8"), `${portico.pid}\n`);
    assert.equal(statSync(join(run, "portico.sock")).mode & 0o777, 0o600);
    portico.signal(signal);
    assert.deepEqual(await once(portico.process, "exit"), [0, null]);
    assert.deepEqual(readdirSync(run), []);
  });
}

/** A CGI program that sends half its answer, then waits for a line of the FIFO "gate" beside it. */
const GATED_CGI = `#!/bin/sh
printf 'Content-Type: text/plain\\n\\nfirst\\n'
read line < gate
echo "$line"
`;

async function startGated(
  t: TestContext,
  stopSecs: number,
): Promise<{ portico: Portico; gate: string; received: () => string }> {
  const gated = { mountpoint: "/gated", origin: "cgi://gated.cgi", "cgi-timeout": 30 };
  const portico = await startPortico(t, {
    conf: { global: { "stop-secs": stopSecs }, vhosts: [{ ...vhost, mounts: [gated] }] },
    files: { "gated.cgi": GATED_CGI },
    workers: 1,
    expect: [/CGI/],
  });
  const gate = join(portico.directory, "gate");
  execFileSync("mkfifo", [gate]);
  const socket = net.connect(portico.port(), "127.0.0.1");
  let received = "";
  socket.on("data", (chunk) => (received += chunk.toString()));
  socket.on("error", () => {});
  t.after(() => socket.destroy());
  socket.write("GET /gated HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await waitUntil("the first half", () => received.includes("first"));
  return { portico, gate, received: () => received };
}

test("SIGTERM refuses new connections and lets a request in flight finish", async (t) => {
  const { portico, gate, received } = await startGated(t, 20);
  const exited = once(portico.process, "exit");
  portico.signal("SIGTERM");
  await waitUntil("new connections to be refused", () =>
    get({ port: portico.port(), host: "127.0.0.1" }).then(
      () => false,
      (error: NodeJS.ErrnoException) => error.code === "ECONNREFUSED",
    ),
  );
  writeFileSync(gate, "second\n");
  assert.deepEqual(await exited, [0, null]);
  // The last chunk says that the body is whole.
  assert.match(received(), /first\n[^]*second\n\r\n0\r\n\r\n$/);
});

test("a second SIGTERM ends everything at once", async (t) => {
  const { portico } = await startGated(t, 600);
  const exited = once(portico.process, "exit");
  portico.signal("SIGTERM");
  await portico.log(/^Stopping/);
  portico.signal("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("a wrong configuration exits 1 and prints every problem with its place", async (t) => {
  const directory = writeDirectory(t, {
    conf: '{ "global": { "count-threads": "many" } }',
    "conf.d/shop":
      '{\n "vhosts": [ {\n  "name": "shop", "port": "eighty",\n  "mounts": [ { "mountpoint": "/", "origin": "fil:///x" } ]\n } ]\n}',
  });
  const { code, stderr } = await runPortico(["run", "-c", directory]);
  assert.equal(code, 1);
  assert.match(stderr, /conf:1:\d+ global\.count-threads: /);
  assert.match(stderr, /conf\.d\/shop:3:\d+ vhosts\[0\]\.port: /);
  assert.match(stderr, /conf\.d\/shop:4:\d+ vhosts\[0\]\.mounts\[0\]\.origin: .*file:\/\//);
});

test("a docroot that is missing is told at start", async (t) => {
  const directory = writeDirectory(t, { conf: JSON.stringify({ vhosts: [vhost] }) });
  const { code, stderr } = await runPortico(["run", "-c", directory]);
  assert.equal(code, 1);
  assert.match(stderr, /vhosts\[0\]\.mounts\[0\]\.origin: .*public/);
});

test("an address in use is named with its errno, also when another Portico has it", async (t) => {
  const portico = await startPortico(t, {
    conf: { vhosts: [{ ...vhost, interface: "127.0.0.1" }] },
    files,
    workers: 1,
  });
  const directory = writeDirectory(t, {
    conf: JSON.stringify({ vhosts: [{ ...vhost, interface: "127.0.0.1", port: portico.port() }] }),
    "public/index.html": "",
  });
  const { code, stderr } = await runPortico(["run", "-c", directory]);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`"127\\.0\\.0\\.1:${portico.port()}".*EADDRINUSE`));
});

test("a second server on one configuration is refused and told the pid of the first", async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [vhost] }, files, workers: 1 });
  const { code, stderr } = await runPortico(["run", "-c", portico.directory]);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`pid ${portico.pid}`));
});

test("status, reload, reopen and stop wait, print the outcome and exit 0; without a server they exit 1", async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [vhost] }, files, workers: 1 });
  const ask = (command: string, ...more: string[]) =>
    runPortico([command, "-c", portico.directory, ...more]);
  const status = await ask("status");
  assert.equal(status.code, 0);
  assert.match(status.stdout, new RegExp(`pid ${portico.pid}.*generation 1`));
  assert.equal(
    (JSON.parse((await ask("status", "--json")).stdout) as { pid: number }).pid,
    portico.pid,
  );
  assert.deepEqual(await ask("reload"), { code: 0, stdout: "Generation 2 serves\n", stderr: "" });
  assert.equal((await ask("reopen")).code, 0);
  const exited = once(portico.process, "exit");
  assert.deepEqual(await ask("stop"), { code: 0, stdout: "Stopped\n", stderr: "" });
  assert.deepEqual(await exited, [0, null]);
  const after = await ask("status");
  assert.equal(after.code, 1);
  assert.match(after.stderr, /No running portico answers on ".*portico\.sock"/);
});

test("reload repeats the warnings that the log has", async (t) => {
  const conf = { vhosts: [{ ...vhost, keepalive_timeouts: 3 }] };
  const portico = await startPortico(t, {
    conf,
    files,
    workers: 1,
    expect: [/keepalive_timeouts/],
  });
  const { code, stdout } = await runPortico(["reload", "-c", portico.directory]);
  assert.equal(code, 0);
  assert.match(stdout, /^Generation 2 serves\nwarning: conf:\d+:\d+ .*"keepalive_timeouts".*\n$/);
});

test("SIGUSR1 opens the access log again after it was renamed", async (t) => {
  const portico = await startPortico(t, {
    conf: { vhosts: [{ ...vhost, "access-log": "access.log" }] },
    files,
    workers: 2,
  });
  const log = join(portico.directory, "access.log");
  await get({ port: portico.port(), path: "/?before" });
  renameSync(log, `${log}.1`);
  portico.signal("SIGUSR1");
  await waitUntil("a new log file", () => existsSync(log));
  await waitUntil("a line in the new file", async () => {
    await get({ port: portico.port(), path: "/?after" });
    return readFileSync(log, "latin1").includes("/?after");
  });
  await waitUntil("the old line in the old file", () =>
    readFileSync(`${log}.1`, "latin1").includes("/?before"),
  );
  assert.equal(readFileSync(log, "latin1").includes("/?before"), false);
  assert.match(
    readFileSync(log, "latin1"),
    /^127\.0\.0\.1 - - \[[^\]]+\] "GET \/\?after HTTP\/1\.1" 200 14 "-" "-"$/m,
  );
});

test("virtual hosts share a port by name; the first answers for unknown names; one name has several ports", async (t) => {
  const site = (name: string) => ({
    name,
    port: 0,
    mounts: [{ mountpoint: "/", origin: `file://${name}` }],
  });
  const portico = await startPortico(t, {
    conf: {
      vhosts: [
        site("one"),
        site("two"),
        {
          ...site("two"),
          interface: "127.0.0.1",
          mounts: [{ mountpoint: "/", origin: "file://one" }],
        },
      ],
    },
    files: { "one/index.html": "one", "two/index.html": "two" },
    workers: 1,
  });
  const ask = async (host: string): Promise<string> =>
    (await get({ port: portico.port("one"), headers: { host } })).body;
  for (const host of ["two", "TWO", "two.", "two:81"]) assert.equal(await ask(host), "two", host);
  for (const host of ["one", "other", "tw", "twoo", "a.two"])
    assert.equal(await ask(host), "one", host);
});

test("listens on devices by name, on IPv6, on unix sockets by path and abstract", async (t) => {
  const socket = "site.sock";
  const abstract = `@portico-e2e-${process.pid}`;
  const portico = await startPortico(t, {
    conf: {
      vhosts: [
        { ...vhost, name: "device", interface: process.platform === "linux" ? "lo" : "lo0" },
        { ...vhost, name: "path", "unix-socket": true, interface: socket, port: undefined },
        ...(process.platform === "linux"
          ? [
              {
                ...vhost,
                name: "abstract",
                "unix-socket": true,
                interface: abstract,
                port: undefined,
              },
            ]
          : []),
      ],
    },
    files,
    workers: 2,
  });
  const { listeners } = await portico.status();
  const device = listeners
    .filter((listener) => listener.vhosts.includes("device"))
    .map((listener) => listener.address);
  const hasIpv6 = networkInterfaces()["lo"]?.some((entry) => entry.family === "IPv6");
  for (const address of device) {
    const [, host = "", port = ""] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(address) ?? [];
    assert.equal((await get({ host, port })).body, "<h1>hello</h1>", address);
  }
  assert.equal(device.length, hasIpv6 ? 2 : 1);
  assert.equal((await get({ socketPath: join(portico.directory, socket) })).status, 200);
  if (process.platform === "linux")
    assert.equal((await get({ socketPath: abstract.replace("@", "\0") })).status, 200);
});

test("an interface that is not there yet is waited for", async (t) => {
  const portico = await startPortico(t, {
    conf: { vhosts: [vhost, { ...vhost, name: "vpn", port: 8443, interface: "nosuchdev0" }] },
    files,
    workers: 1,
    expect: [/Interface "nosuchdev0" is not there yet/],
  });
  assert.equal((await get({ port: portico.port() })).status, 200);
  const waiting = (await portico.status()).listeners.find(
    (listener) => listener.state === "waiting",
  );
  assert.equal(waiting?.address, "nosuchdev0");
});

test(
  "a worker inherits its channel and the listening sockets, and nothing else",
  LINUX_ONLY,
  async (t) => {
    const portico = await startPortico(t, {
      conf: { vhosts: [{ ...vhost, interface: "127.0.0.1" }] },
      files,
      workers: 1,
    });
    const [worker] = (await portico.status()).workers;
    const target = (fd: string): string => readlinkSync(`/proc/${worker?.pid}/fd/${fd}`);
    assert.equal(target("0"), "/dev/null");
    for (const fd of ["3", "4"]) assert.match(target(fd), /^socket:/, fd);
    // Where a worker notes which plugin it is in.
    assert.match(target("5"), /^\/memfd:portico/);
    // What follows Node opened for itself: event loop and wake-up pipes, no file and no further socket.
    const others = readdirSync(`/proc/${worker?.pid}/fd`).filter((fd) => Number(fd) > 5);
    for (const fd of others) assert.match(target(fd), /^(?:anon_inode:|pipe:|\/dev\/null)/, fd);
    assert.ok(others.length > 0);
  },
);

test(
  "root hands its workers to the configured user, with no group left over",
  { skip: process.getuid?.() !== 0 && "needs root" },
  async (t) => {
    const portico = await startPortico(t, {
      conf: {
        global: { username: "nobody" },
        vhosts: [{ ...vhost, mounts: [], "access-log": "access.log" }],
      },
      workers: 1,
    });
    const [worker] = (await portico.status()).workers;
    const nobody = statusField(worker?.pid, "Uid").at(-1);
    assert.notEqual(nobody, "0");
    for (const field of ["Uid", "Gid"])
      assert.ok(!statusField(worker?.pid, field).includes("0"), field);
    assert.ok(!statusField(worker?.pid, "Groups").includes("0"));
    assert.deepEqual(statusField(worker?.pid, "CapEff"), ["0000000000000000"]);
    assert.equal(statSync(join(portico.directory, "access.log")).uid, Number(nobody));
    assert.equal((await get({ port: portico.port() })).status, 404);
    await waitUntil("the line that this worker logs", () =>
      readFileSync(join(portico.directory, "access.log"), "latin1").includes(
        '"GET / HTTP/1.1" 404',
      ),
    );
    assert.equal((await portico.control("reload")).ok, true);
  },
);

function statusField(pid: number | undefined, name: string): string[] {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return (new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "")
    .split(/\s+/)
    .filter(Boolean);
}

test(
  "an unknown user is an error that names the key",
  { skip: process.getuid?.() !== 0 && "needs root" },
  async (t) => {
    const directory = writeDirectory(t, {
      conf: JSON.stringify(
        { global: { username: "no-such-user-here" }, vhosts: [vhost] },
        undefined,
        1,
      ),
      "public/index.html": "",
    });
    const { code, stderr } = await runPortico(["run", "-c", directory]);
    assert.equal(code, 1);
    assert.match(stderr, /conf:3:\d+ global\.username: Unknown user "no-such-user-here"/);
  },
);

test("--help names every command, and a wrong option exits 1 with the help", async () => {
  const help = await runPortico(["--help"]);
  assert.equal(help.code, 0);
  for (const command of ["run", "status", "reload", "reopen", "stop"])
    assert.match(help.stdout, new RegExp(`^ {2}${command}\\b`, "m"));
  const wrong = await runPortico(["run", "--workers", "0"]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /from 1 to 1024/);
});

test("the launcher replaces itself: one pid, no inspector on SIGUSR1", LINUX_ONLY, async (t) => {
  const directory = writeDirectory(t, {
    conf: JSON.stringify({ global: { "pid-file": "run/p.pid" }, vhosts: [vhost] }),
    "public/index.html": "",
  });
  const launcher = join(import.meta.dirname, "../../bin/portico.mjs");
  const child = spawn(process.execPath, [launcher, "run", "-c", directory, "--workers", "1"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  let stderr = "";
  child.stderr.on("data", (chunk) => (stderr += String(chunk)));
  await waitUntil("the server", () => stderr.includes('"event":"serving"'));
  assert.match(stderr, new RegExp(`"pid":${child.pid},`));
  child.kill("SIGUSR1");
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [0, null]);
  assert.doesNotMatch(stderr, /Debugger listening/);
});
