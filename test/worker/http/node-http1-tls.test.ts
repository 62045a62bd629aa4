// The HTTP/1.1 front over TLS sockets: what Node does differently there.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import tls from "node:tls";
import type { Exchange } from "../../../worker/http/exchange.ts";
import { startSite, temporaryDirectory, type TestSite } from "../../helpers/site.ts";
import { parseReplies } from "../../helpers/wire.ts";

const GET = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const skip = hasOpenssl() ? false : "needs openssl";

function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

type SecureSite = TestSite & {
  readonly securePort: number;
  connect(): Promise<tls.TLSSocket>;
};

/** A TLS server in front of the front. */
async function start(t: TestContext, handle: (exchange: Exchange) => void): Promise<SecureSite> {
  const directory = temporaryDirectory(t);
  const [key, cert] = [join(directory, "key"), join(directory, "cert")];
  const options = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=h -days 2 -keyout ${key} -out ${cert}`;
  execFileSync("openssl", options.split(" "), { stdio: "ignore" });
  const site = await startSite(t, {
    vhosts: [{ name: "h", secure: true, mounts: [{ mountpoint: "/", handle }] }],
    clocks: { headerMs: 300, progressMs: 300 },
  });
  const server = tls.createServer(
    { key: readFileSync(key), cert: readFileSync(cert), allowHalfOpen: true, noDelay: true },
    (socket) => {
      site.accepted.push(socket);
      site.front.adopt(socket, {
        listener: "test",
        remoteAddress: "127.0.0.1",
        remotePort: 0,
        localAddress: "127.0.0.1",
        localPort: 0,
        secure: true,
      });
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return {
    ...site,
    securePort: port,
    async connect() {
      const half = { allowHalfOpen: true };
      const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...half });
      t.after(() => socket.destroy());
      await once(socket, "secureConnect");
      return socket;
    },
  };
}

/** Everything up to the end of the connection, however it comes. */
async function readAll(socket: tls.TLSSocket): Promise<string> {
  let received = "";
  socket.on("data", (chunk) => (received += chunk.toString("latin1")));
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const event of ["end", "close", "error"]) socket.once(event, () => resolve());
  await promise;
  return received;
}

test(
  "createHttp1Front over TLS answers pipelined requests and half-closed clients",
  { skip },
  async (t) => {
    const site = await start(t, (exchange) =>
      exchange.send(200, [], exchange.secure ? "secure" : "clear"),
    );
    const socket = await site.connect();
    socket.end(GET.repeat(50));
    const { replies } = parseReplies(await readAll(socket));
    assert.deepEqual(
      replies.map((reply) => reply.body),
      Array.from({ length: 50 }, () => "secure"),
    );
  },
);

test("createHttp1Front over TLS cuts a header that trickles", { skip }, async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, []));
  const socket = await site.connect();
  socket.write("GET / HTTP/1.1\r\n");
  const trickle = setInterval(() => socket.write("A: b\r\n"), 20);
  t.after(() => clearInterval(trickle));
  assert.match(await readAll(socket), /^HTTP\/1\.1 408 /);
});

test("createHttp1Front over TLS lingers after an early answer", { skip }, async (t) => {
  const site = await start(t, (exchange) => exchange.send(413, [], "too much"));
  const socket = await site.connect();
  const received = readAll(socket);
  socket.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
  socket.write("x".repeat(3_000_000));
  assert.equal(parseReplies(await received).replies[0]?.body, "too much");
});

test(
  "createHttp1Front over TLS stops reading while a client that pipelines does not read",
  { skip },
  async (t) => {
    const site = await start(t, (exchange) => exchange.send(200, [], "x".repeat(50_000)));
    const socket = await site.connect();
    socket.on("error", () => {});
    socket.pause();
    socket.write(GET.repeat(20_000));
    while (site.accepted.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const [accepted] = site.accepted;
    assert.ok(accepted);
    await once(accepted, "close");
    const { requests, rx } = site.counters.vhost("h:80");
    assert.ok(requests > 0 && requests < 5_000 && rx < 300_000, `${requests} ${rx}`);
  },
);

test(
  "Http1Exchange over TLS does not end a cut answer as if it were whole",
  { skip },
  async (t) => {
    const site = await start(t, (exchange) => {
      const body = exchange.stream(200, []);
      body.write("half", () => (exchange.path === "/cut" ? body.destroy() : body.end()));
    });
    // Node's client takes any end for an end; OpenSSL's misses the close_notify.
    for (const [path, verdict] of [
      ["/cut", /unexpected eof/],
      ["/whole", /^$/],
    ] as const) {
      const address = `127.0.0.1:${site.securePort}`;
      const client = spawn("openssl", ["s_client", "-quiet", "-ign_eof", "-connect", address]);
      let [output, errors] = ["", ""];
      client.stdout.on("data", (chunk) => (output += String(chunk)));
      client.stderr.on("data", (chunk) => (errors += String(chunk)));
      client.stdin.write(`GET ${path} HTTP/1.0\r\n\r\n`);
      await once(client, "close");
      assert.match(output, /half/);
      assert.match(errors.replace(/^(?:depth|verify|Can't use|Connecting).*\n/gm, ""), verdict);
    }
  },
);
