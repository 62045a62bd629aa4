// Sockets that a service manager opened: taken by their addresses, kept by the manager while no server runs.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { join } from "node:path";
import test, { suite, type TestContext } from "node:test";
import { openClaim } from "../../posix/claim.ts";
import { openPoller } from "../../posix/poller.ts";
import { needs } from "../helpers/programs.ts";
import { startPortico, type Portico, type PorticoOptions } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";
import { connect, statusOf } from "../helpers/wire.ts";

const LAST = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
const files = { "public/index.html": "hello" };
const mounts = [{ mountpoint: "/", origin: "file://public" }];
const skip = (await openClaim()) ? false : "no koffi here, or no Linux";
const hasIpv6 = await canBind("::1");

/** As a manager does: the variable names the process that is to have the sockets. */
const AS_MANAGER = ["sh", "-c", 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"', "sh"];
/** The same, without the flag that the launcher would otherwise start itself anew for. */
const BY_LAUNCHER = [
  "sh",
  "-c",
  'LISTEN_PID=$$; export LISTEN_PID; node=$1; shift 2; exec "$node" "$@"',
  "sh",
];

async function canBind(host: string): Promise<boolean> {
  const server = net.createServer().listen({ host, port: 0 });
  const event = await Promise.race([
    once(server, "listening").then(() => true),
    once(server, "error").then(() => false),
  ]);
  server.close();
  return event;
}

/** Listens, and accepts nobody. */
async function listen(
  t: TestContext,
  options: ConstructorParameters<typeof net.BoundSocket>[0],
): Promise<{ readonly fd: number; readonly port: number }> {
  const poller = await openPoller();
  assert.ok(poller);
  const bound = new net.BoundSocket(options);
  t.after(() => {
    bound.close();
    poller.stop();
  });
  assert.equal(poller.listen(bound.fd(), 64), 0);
  return { fd: bound.fd(), port: bound.address().port };
}

function given(
  sockets: readonly { readonly fd: number }[],
  through: readonly string[] = AS_MANAGER,
): Pick<PorticoOptions, "through" | "inherits" | "env" | "workers" | "files"> {
  return {
    through,
    inherits: sockets.map(({ fd }) => fd),
    env: { LISTEN_FDS: String(sockets.length), LISTEN_FDNAMES: "web:other" },
    workers: 1,
    files,
  };
}

async function fetchText(portico: Portico, options: http.RequestOptions): Promise<string> {
  const request = http.get({ ...options, agent: false });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk as string;
  assert.equal(portico.process.exitCode, null);
  return text;
}

suite("socket activation", { skip }, () => {
  for (const distribution of ["shared", "balanced"])
    test(`clients that come between two servers wait for the next (${distribution})`, async (t) => {
      const socket = await listen(t, { host: "127.0.0.1" });
      const other = await listen(t, { host: "127.0.0.1" });
      const conf = {
        global: { distribution },
        vhosts: [{ name: "a.test", port: socket.port, interface: "127.0.0.1", mounts }],
      };
      const options = {
        ...given([socket, other]),
        conf,
        expect: [/^No vhost is on "127\.0\.0\.1:\d+" \((?:web|other)\) of LISTEN_FDS: who/],
      };
      const early = await connect(socket.port);
      early.write(LAST);
      const first = await startPortico(t, options);
      assert.equal(statusOf(await early.rest()), 200);
      await first.log(/^No vhost is on "127/);
      // A reload finds what was left alone, and gives up what is not wanted any more.
      const { port } = other;
      first.writeConf({ ...conf, vhosts: [{ ...conf.vhosts[0], port }] });
      assert.equal((await first.control("reload")).ok, true);
      const moved = await connect(port);
      moved.write(LAST);
      assert.equal(statusOf(await moved.rest()), 200);
      first.writeConf(conf);
      assert.equal((await first.control("reload")).ok, true);
      assert.equal(await first.stop(), 0);
      const between = await connect(socket.port);
      between.write(LAST);
      await startPortico(t, options);
      assert.equal(statusOf(await between.rest()), 200);
    });

  test("the launcher passes them on to the Node that it starts", async (t) => {
    const socket = await listen(t, { host: "127.0.0.1" });
    const portico = await startPortico(t, {
      ...given([socket], BY_LAUNCHER),
      conf: { vhosts: [{ name: "a.test", port: socket.port, interface: "127.0.0.1", mounts }] },
    });
    assert.equal(await fetchText(portico, { port: socket.port, host: "127.0.0.1" }), "hello");
  });

  test("one socket for both families serves both", { skip: !hasIpv6 }, async (t) => {
    const socket = await listen(t, { host: "::" });
    const { port } = socket;
    const portico = await startPortico(t, {
      ...given([socket]),
      conf: {
        vhosts: [
          { name: "a.test", port, mounts },
          {
            name: "b.test",
            port,
            interface: "127.0.0.1",
            mounts: [{ ...mounts[0], mountpoint: "/b" }],
          },
        ],
      },
    });
    assert.equal(await fetchText(portico, { port, host: "::1" }), "hello");
    // The vhost of one address has it, over IPv4 as well.
    assert.equal(await fetchText(portico, { port, host: "127.0.0.1", path: "/b/" }), "hello");
  });

  test("a socket that does not fit is told with what would", { skip: !hasIpv6 }, async (t) => {
    const socket = await listen(t, { host: "::" });
    const { port } = socket;
    const portico = await startPortico(t, {
      ...given([socket]),
      conf: { vhosts: [{ name: "a.test", port, mounts }] },
      expect: [/LISTEN_FDS/, /^Reload refused/],
    });
    const refuse = async (keys: Record<string, unknown>, message: RegExp): Promise<void> => {
      portico.writeConf({ vhosts: [{ name: "a.test", port, mounts, ...keys }] });
      assert.match((await portico.control("reload")).message, message);
    };
    await refuse(
      { noipv6: "1" },
      /conf:\d+:\d+ vhosts\[0\]\.port: The socket "\[::\]:\d+" \(web\) of LISTEN_FDS takes IPv4 and IPv6.*BindIPv6Only/,
    );
    await refuse(
      { interface: "127.0.0.1" },
      /Cannot bind "127\.0\.0\.1:\d+" beside the socket "\[::\]:\d+" \(web\) of LISTEN_FDS/,
    );
    assert.equal(await fetchText(portico, { port, host: "127.0.0.1" }), "hello");
  });

  test("what is no listening socket is told, and other variables mean nothing", async (t) => {
    const bound = new net.BoundSocket({ host: "127.0.0.1" });
    t.after(() => bound.close());
    const portico = await startPortico(t, {
      ...given([{ fd: bound.fd() }]),
      conf: { vhosts: [{ name: "a.test", port: 0, interface: "127.0.0.1", mounts }] },
      expect: [/^Descriptor 3 \(web\) of LISTEN_FDS is no listening stream socket/],
    });
    await portico.log(/^Descriptor 3/);
    assert.equal(await fetchText(portico, { port: portico.port(), host: "127.0.0.1" }), "hello");
  });

  test("systemd starts it at the first client, who is served", async (t) => {
    const activate = needs(t, "systemd-socket-activate", ["systemd-socket-activate"]);
    if (!activate) return;
    const path = join(temporaryDirectory(t), "socket");
    const free = net.createServer().listen({ host: "127.0.0.1", port: 0 });
    await once(free, "listening");
    const { port } = free.address() as net.AddressInfo;
    free.close();
    await once(free, "close");
    const wanted = ["-l", path, "-l", `127.0.0.1:${port}`, "--fdname=local:web"];
    const passed = ["RUNTIME_DIRECTORY", "NODE_COMPILE_CACHE"].flatMap((name) => ["-E", name]);
    let first: Promise<string> | undefined;
    const portico = await startPortico(t, {
      through: [activate, ...wanted, ...passed],
      conf: {
        vhosts: [
          { name: "path", "unix-socket": true, interface: path, mounts },
          { name: "a.test", port, interface: "127.0.0.1", mounts },
        ],
      },
      files,
      workers: 1,
      expect: [/^Listening on .* as \d\.$/, /^Communication attempt on fd/, /^Execing /],
      async early(child) {
        // It says so when it is there.
        await once(child.stderr ?? child, "data");
        const wire = await connect(port);
        wire.write(LAST);
        first = wire.rest();
      },
    });
    assert.equal(statusOf((await first) ?? ""), 200);
    assert.equal(await fetchText(portico, { socketPath: path }), "hello");
    const { listeners } = await portico.status();
    assert.deepEqual(listeners.map(({ address }) => address).toSorted(), [
      `127.0.0.1:${port}`,
      `unix:${path}`,
    ]);
    assert.equal(await portico.stop(), 0);
  });
});
