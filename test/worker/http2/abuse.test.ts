// Clients that keep the letter of RFC 9113 and ask for more than anybody needs: where each of them ends.

import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { PREFACE } from "../../../worker/http2/frame.ts";
import type { WorkerCounters } from "../../../ipc/stats.ts";
import { createHttp2Front } from "../../../worker/http2/front.ts";
import { limitsFor } from "../../../worker/http2/limits.ts";
import { defaultRequestLimits } from "../../../worker/limits.ts";
import {
  block,
  connectFrames,
  data,
  frame,
  GET_FIELDS,
  headers,
  number32,
  openHttp2,
  POST_FIELDS,
  settings,
  verdictOn,
  type FrameWire,
} from "../../helpers/http2-wire.ts";
import { startSite, type TestSite, type TestSiteOptions } from "../../helpers/site.ts";

const CALM = "GOAWAY 11";
const PING = Buffer.alloc(8);
/** Of what would leak. */
const REPEATS = 1_000;

type Answer = "at once" | "much" | "never" | "body";
const ANSWER_BYTES: Record<Answer, number> = {
  "at once": 10_000,
  // More of these than any kernel takes for a client.
  much: 1_000_000,
  never: 0,
  body: 1,
};

function start(
  t: TestContext,
  answer: Answer,
  options: Partial<TestSiteOptions> = {},
): Promise<TestSite> {
  return startSite(t, {
    createFront: createHttp2Front,
    vhosts: [
      {
        name: "a.test",
        mounts: [
          {
            mountpoint: "/",
            async handle(exchange) {
              if (answer === "never") return;
              if (answer === "body") for await (const chunk of exchange.body) void chunk;
              exchange.send(200, [], Buffer.alloc(ANSWER_BYTES[answer]));
            },
          },
        ],
      },
    ],
    ...options,
  });
}

/** Sends until the server has had enough; returns how often. */
async function flood(
  wire: FrameWire,
  most: number,
  bytesOf: (index: number) => Uint8Array,
): Promise<number> {
  let isOver = false;
  wire.socket.once("close", () => (isOver = true));
  const over = (): boolean => isOver || wire.frames.some(({ type }) => type === 7);
  for (let index = 0; index < most; index += 1) {
    if (over()) return index;
    const bytes = bytesOf(index);
    if (wire.socket.write(bytes) && bytes.length < 4_000 && index % 50 !== 0) continue;
    // The far end is in this process: it reads when we let it.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await wire.find(({ type }) => type === 7);
  return most;
}

async function settled(site: TestSite): Promise<void> {
  while (site.front.open > 0 || site.front.active > 0)
    await new Promise((resolve) => setImmediate(resolve));
}

const rst = (id: number): Buffer => frame(0x3, 0, id, number32(8));

suite("Http2Front ends a connection for", () => {
  for (const [what, counter, answer, bytesOf, most, begin = []] of [
    [
      "rapid resets",
      "http2Cancels",
      "never",
      (index) => Buffer.concat([headers(2 * index + 1), rst(2 * index + 1)]),
      1_000,
    ],
    [
      "streams it must reset for a window of 0",
      "http2StreamFaults",
      "never",
      (index) => Buffer.concat([headers(2 * index + 1), frame(0x8, 0, 2 * index + 1, number32(0))]),
      100,
    ],
    [
      "streams it must reset for windows too large",
      "http2StreamFaults",
      "never",
      (index) =>
        Buffer.concat([
          headers(2 * index + 1),
          frame(0x8, 0, 2 * index + 1, number32(0x7fff_ffff)),
        ]),
      100,
    ],
    [
      "malformed requests",
      "http2StreamFaults",
      "never",
      (index) => headers(2 * index + 1, [["X", "y"]]),
      100,
    ],
    [
      "requests with too many fields",
      "http2StreamFaults",
      "at once",
      (index) =>
        frame(
          0x1,
          0x5,
          2 * index + 1,
          Buffer.concat([
            block(GET_FIELDS),
            ...Array.from({ length: 800 }, () => block([["a", "b"]])),
          ]),
        ),
      200,
    ],
    ["streams beyond the limit", "http2Cancels", "never", (index) => headers(2 * index + 1), 1_000],
    ["SETTINGS", "http2Settings", "at once", () => settings(), 200],
    ["PING", "http2Pings", "at once", () => frame(0x6, 0, 0, PING), 1_500],
    ["PRIORITY", "http2Chatter", "at once", () => frame(0x2, 0, 1, [0, 0, 0, 0, 1]), 6_000],
    ["unknown frames", "http2Chatter", "at once", () => frame(0x77, 0, 0), 6_000],
    ["WINDOW_UPDATE", "http2Chatter", "at once", () => frame(0x8, 0, 0, number32(1)), 6_000],
    [
      "empty DATA",
      "http2Chatter",
      "body",
      () => data(1, ""),
      6_000,
      [headers(1, POST_FIELDS, false)],
    ],
    [
      "empty CONTINUATION",
      "http2Fields",
      "at once",
      () => frame(0x9, 0, 1),
      100,
      [frame(0x1, 0x1, 1, block(GET_FIELDS))],
    ],
    [
      "CONTINUATION of 8 KB",
      "http2Fields",
      "at once",
      () => frame(0x9, 0, 1, block([["a", "b".repeat(8_000)]])),
      12,
      [frame(0x1, 0x1, 1, block(GET_FIELDS))],
    ],
  ] as [string, keyof WorkerCounters, Answer, (index: number) => Buffer, number, Buffer[]?][])
    test(what, async (t) => {
      const site = await start(t, answer);
      const wire = await openHttp2(site.port, [0x4, 2 ** 20]);
      wire.write(...begin);
      // One more than it may need: what is on its way counts for nothing.
      const sent = await flood(wire, most * 4, bytesOf);
      assert.ok(sent < most * 4, `${sent}`);
      assert.equal(
        await verdictOn({
          ...wire,
          find: (matches) => wire.find((one) => one.type === 7 && matches(one)),
        }),
        CALM,
      );
      wire.socket.destroy();
      await settled(site);
      assert.equal(site.counters.worker.http2Faults, 1);
      assert.equal(site.counters.worker[counter], 1);
      // What was on its way is in the number sent, but it was never taken for a request.
      assert.ok(site.counters.vhost("a.test:80").requests <= most);
    });

  test("a header bomb, without its memory", async (t) => {
    const site = await start(t, "at once");
    const wire = await openHttp2(site.port);
    // One field of 3.9 KB in the table, then thousands of references to it: 16 MB out of 4 KB.
    const bomb = Buffer.concat([
      block(GET_FIELDS),
      Buffer.of(0x40, 1, 0x61, 0x7f, 0xbd, 0x1d),
      Buffer.alloc(3_900, "x"),
      Buffer.alloc(4_000, 0xbe),
    ]);
    wire.write(frame(0x1, 0x5, 1, bomb));
    assert.equal(await verdictOn(wire), "431");
    const before = process.memoryUsage().rss;
    await flood(wire, 1_000, (index) =>
      frame(
        0x1,
        0x5,
        2 * index + 3,
        Buffer.concat([block(GET_FIELDS), Buffer.alloc(12_000, 0xbe)]),
      ),
    );
    assert.ok(
      wire.frames.some(({ type, payload }) => type === 7 && payload.readUInt32BE(4) === 11),
    );
    assert.ok(process.memoryUsage().rss - before < 100 * 1024 * 1024);
    wire.socket.destroy();
    await settled(site);
  });
});

suite("Http2Front", () => {
  test("says how many streams there may be, and refuses more", async (t) => {
    const site = await start(t, "never");
    const wire = await openHttp2(site.port);
    wire.write(...Array.from({ length: 101 }, (_, index) => headers(2 * index + 1)));
    assert.equal(await verdictOn(wire, 201), "RST 7");

    assert.equal(site.front.active, 100);
    const [first] = wire.frames;
    const pairs = Array.from({ length: (first?.payload.length ?? 0) / 6 }, (_, at) => [
      first?.payload.readUInt16BE(at * 6),
      first?.payload.readUInt32BE(at * 6 + 2),
    ]);
    assert.deepEqual(
      pairs.find(([identifier]) => identifier === 3),
      [3, 100],
    );
    wire.write(rst(1), headers(203), frame(0x6, 0, 0, PING));
    await wire.find(({ type, flags }) => type === 6 && flags === 1);
    assert.ok(!wire.frames.some(({ type, stream }) => type === 3 && stream === 203));
    wire.socket.destroy();
    await settled(site);
  });

  test("cuts streams whose client opens no window", async (t) => {
    const site = await start(t, "at once", { clocks: { sendMs: 60 } });
    const wire = await openHttp2(site.port, [0x4, 0]);
    wire.write(headers(1), headers(3));
    await wire.find(({ type, stream }) => type === 3 && stream === 1);
    await wire.find(({ type, stream }) => type === 3 && stream === 3);
    assert.equal(site.counters.vhost("a.test:80").aborted, 2);
    assert.equal(site.counters.worker.clientsTooSlow, 2);
    wire.socket.destroy();
  });

  test("cuts streams whose client opens its window a byte at a time", async (t) => {
    const site = await start(t, "at once", { clocks: { sendMs: 60, minSendRate: 5_000 } });
    const wire = await openHttp2(site.port, [0x4, 1]);
    wire.write(headers(1));
    const drip = setInterval(() => wire.write(frame(0x8, 0, 1, number32(1))), 10);
    t.after(() => clearInterval(drip));
    await wire.find(({ type, stream }) => type === 3 && stream === 1);
    wire.socket.destroy();
  });

  test("cuts a connection whose client does not read", async (t) => {
    const site = await start(t, "much", { clocks: { sendMs: 200 } });
    const wire = await openHttp2(site.port, [0x4, 2 ** 30]);
    await wire.find(({ type }) => type === 4);
    wire.socket.pause();
    const asked = Array.from({ length: 50 }, (_, index) => headers(2 * index + 1));
    wire.write(frame(0x8, 0, 0, number32(2 ** 30)), ...asked);
    while (site.front.active === 0) await new Promise((resolve) => setImmediate(resolve));
    await settled(site);
    assert.ok(site.counters.vhost("a.test:80").aborted > 0);
    assert.ok(site.counters.worker.clientsTooSlow > 0);
    wire.socket.destroy();
  });

  test("answers 408 for a body that does not come, and serves on", async (t) => {
    const site = await start(t, "body", { clocks: { progressMs: 60 } });
    const wire = await openHttp2(site.port);
    wire.write(headers(1, POST_FIELDS, false), headers(3));
    assert.equal(await verdictOn(wire, 3), "200");
    assert.equal(await verdictOn(wire, 1), "408");
    assert.equal(site.counters.worker.clientsTooSlow, 1);
    wire.socket.destroy();
  });

  test("ends a connection whose fields never end", async (t) => {
    const site = await start(t, "at once", { clocks: { headerMs: 1_000 } });
    const wire = await connectFrames(site.port);
    // In one packet with the preface: a connection that has not asked anything yet may be closed as idle by the same clock.
    wire.write(PREFACE, settings(), frame(0x1, 0x1, 1, block(GET_FIELDS)));
    assert.equal(await verdictOn(wire), CALM);
    assert.equal(site.counters.worker.clientsTooSlow, 1);
    wire.socket.destroy();
    await settled(site);
  });

  test("holds no block of fields above 128 KB, nor one in more than 1,000 frames", () => {
    const { headerBlockBytes, continuations } = limitsFor(defaultRequestLimits);
    assert.ok(headerBlockBytes <= 128 * 1024);
    assert.ok(continuations <= 1_000);
  });

  test("forgets connections whose clients opened too large a window", async (t) => {
    const site = await start(t, "never");
    const overflow = frame(0x8, 0, 0, number32(0x7fff_ffff));
    const repeat = async (times: number): Promise<void> => {
      for (let count = 0; count < times; count += 1) {
        const wire = await openHttp2(site.port);
        wire.write(headers(1), overflow);
        await wire.find(({ type, payload }) => type === 7 && payload.readUInt32BE(4) === 3);
        wire.socket.destroy();
      }
      await settled(site);
    };
    await repeat(200);
    const before = process.memoryUsage().rss;
    await repeat(REPEATS);
    assert.equal(site.counters.worker.http2Faults, 200 + REPEATS);
    assert.ok(process.memoryUsage().rss - before < REPEATS * 40 * 1024);
  });

  test("ends a connection that brings more than its window", async (t) => {
    const site = await start(t, "never");
    const wire = await openHttp2(site.port);
    for (let id = 1; id < 30; id += 2) {
      wire.write(headers(id, POST_FIELDS, false));
      for (let sent = 0; sent < 15; sent += 1) wire.write(data(id, Buffer.alloc(16_384)));
    }
    assert.equal(
      await verdictOn({
        ...wire,
        find: (matches) => wire.find((one) => one.type === 7 && matches(one)),
      }),
      "GOAWAY 3",
    );
    wire.socket.destroy();
    await settled(site);
  });
});
