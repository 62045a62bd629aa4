// Clients that hold on to what they have, or leave something behind for the next request.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { HttpError, type Exchange } from "../../../worker/http/exchange.ts";
import {
  firstAccepted,
  startSite,
  type TestSite,
  type TestSiteOptions,
} from "../../helpers/site.ts";
import {
  connect,
  countStatusLines,
  exchangeBytes,
  parseReplies,
  statusOf,
} from "../../helpers/wire.ts";

const GET = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
/** How often a client that drips writes. */
const DRIP_MS = 20;

function start(
  t: Parameters<typeof startSite>[0],
  handle: (exchange: Exchange) => void | Promise<void>,
  options: Partial<TestSiteOptions> = {},
): Promise<TestSite> {
  return startSite(t, {
    vhosts: [{ name: "h", mounts: [{ mountpoint: "/", handle }] }],
    usesStreams: true,
    ...options,
  });
}

test("createHttp1Front cuts a body that is owed, also when a mount asks for it later than progressMs", async (t) => {
  const site = await start(
    t,
    async (exchange) => {
      const [socket] = site.accepted;
      assert.ok(socket);
      await once(socket, "timeout");
      exchange.body.resume();
    },
    { clocks: { progressMs: 50 } },
  );
  const received = await exchangeBytes(
    site.port,
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
  );
  assert.equal(statusOf(received), 408);
});

test("createHttp1Front cuts a body that drips, and none that takes long", async (t) => {
  const bytes = 18_000;
  const site = await start(
    t,
    async (exchange) => {
      let read = 0;
      for await (const chunk of exchange.body) read += (chunk as Buffer).length;
      exchange.send(200, [], String(read));
    },
    { clocks: { progressMs: 500 } },
  );
  async function send(piece: string): Promise<string> {
    const wire = await connect(site.port);
    wire.socket.on("error", () => {});
    wire.write(
      `POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: ${bytes}\r\n\r\n`,
    );
    let sent = 0;
    const drip = setInterval(() => {
      if (sent < bytes) wire.write(piece);
      sent += piece.length;
    }, DRIP_MS);
    t.after(() => clearInterval(drip));
    return wire.rest().finally(() => clearInterval(drip));
  }
  const [dripping, long] = await Promise.all([send("x"), send("x".repeat(300))]);
  assert.equal(statusOf(dripping), 408);
  assert.match(long, /\r\n\r\n18000$/);
});

test("createHttp1Front does not blame a client for the head it has stopped reading itself", async (t) => {
  const headerMs = 100;
  const site = await start(
    t,
    async (exchange) => {
      // Longer than a head may take: the third one is read in part, and the rest has to wait.
      await new Promise((resolve) => setTimeout(resolve, 2 * headerMs));
      exchange.send(200, []);
    },
    { clocks: { headerMs, progressMs: 10_000 } },
  );
  const wire = await connect(site.port);
  const paused = once(await firstAccepted(site), "pause");
  wire.write(`${GET}${GET}${GET.slice(0, 20)}`);
  await paused;
  wire.write(GET.slice(20));
  assert.deepEqual(
    (await wire.replies(3)).map(({ status }) => status),
    [200, 200, 200],
  );
  wire.socket.destroy();
});

const OFFERS: Readonly<Record<string, string>> = {
  "HTTP/2": "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
  "HTTP/2 with a body":
    "POST /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
  "WebSocket by POST":
    "POST /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
};
for (const [what, offer] of Object.entries(OFFERS)) {
  test(`createHttp1Front ends the connection behind an upgrade to ${what} that it ignores`, async (t) => {
    const seen: string[] = [];
    const site = await start(t, async (exchange) => {
      seen.push(exchange.path);
      for await (const chunk of exchange.body) assert.ok(chunk);
      exchange.send(200, [], "x");
    });
    // Node's parser drops what came in the same read: then the middle of a request would pass for its beginning.
    const wire = await connect(site.port);
    wire.write(`${offer}GET /dropped HTTP/1.1\r\nX: `);
    await wire.replies(1);
    wire.write("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
    const received = await wire.rest();
    assert.equal(countStatusLines(received), 1);
    assert.equal(parseReplies(received).replies[0]?.headers.get("connection"), "close");
    assert.deepEqual(seen, ["/a"]);
  });
}

test("Http1Exchange reports neither what fails because the client left nor what is logged elsewhere", async (t) => {
  const log: string[] = [];
  const site = await start(
    t,
    async (exchange) => {
      if (exchange.method === "GET") throw new Error("A bug");
      if (exchange.method === "PUT") throw new HttpError(502, "A program behind it");
      const { promise, reject } = Promise.withResolvers<void>();
      exchange.onAbort(() => reject(new Error("It went away")));
      exchange.body.resume();
      await promise;
    },
    { logDestination: { write: (line) => void log.push(line) } },
  );
  for (const leave of ["destroy", "end"] as const) {
    const wire = await connect(site.port);
    wire.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    while (site.counters.activeRequests === 0) await new Promise(setImmediate);
    wire.socket[leave]();
    while (site.counters.activeRequests > 0) await new Promise(setImmediate);
    wire.socket.destroy();
  }
  const wire = await connect(site.port);
  wire.write(`${GET.replace("GET", "PUT")}${GET}`);
  assert.deepEqual(
    (await wire.replies(2)).map(({ status }) => status),
    [502, 500],
  );
  wire.socket.destroy();
  assert.deepEqual(
    log.map((line) => (JSON.parse(line) as { err: { message: string } }).err.message),
    ["A bug"],
  );
});
