// The engine beside node:http2: the same requests must have the same outcome; and random frames, which may end a connection but
// nothing else.

import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { createHttp2Front } from "../../../worker/http2/front.ts";
import {
  block,
  data,
  frame,
  headers,
  number32,
  openHttp2,
  verdictOn,
} from "../../helpers/http2-wire.ts";
import { startSite, type TestSite } from "../../helpers/site.ts";

const PATIENCE_MS = 5_000;

async function startOracle(t: TestContext): Promise<number> {
  const server = http2.createServer();
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {});
  });
  server.on("stream", (stream: http2.ServerHttp2Stream, fields) => {
    stream.on("error", () => {});
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => (bytes += chunk.length));
    stream.on("end", () => {
      if (stream.destroyed) return;
      stream.respond({ ":status": 200 });
      stream.end(fields[":method"] === "HEAD" ? undefined : `${bytes}`);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function startOurs(t: TestContext): Promise<TestSite> {
  return startSite(t, {
    createFront: createHttp2Front,
    vhosts: [
      {
        name: "a.test",
        mounts: [
          {
            mountpoint: "/",
            async handle(exchange) {
              let bytes = 0;
              for await (const chunk of exchange.body) bytes += (chunk as Buffer).length;
              exchange.send(200, [], `${bytes}`);
            },
          },
        ],
      },
    ],
  });
}

/** A request with perhaps something wrong: fields, then pieces of a body, perhaps trailers. */
const shape = fc.record({
  method: fc.constantFrom("GET", "POST", "HEAD"),
  extra: fc.array(
    fc.constantFrom<[string, string]>(
      ["x-a", "b"],
      ["accept", "*/*"],
      ["cookie", "a=b"],
      ["te", "trailers"],
      ["te", "gzip"],
      ["connection", "close"],
      ["transfer-encoding", "chunked"],
      ["upgrade", "h2c"],
      ["X-Upper", "a"],
      ["x-nul", "a\0b"],
      ["x-crlf", "a\r\nb"],
      ["", "empty"],
      [":path", "/again"],
      [":unknown", "x"],
    ),
    { maxLength: 3 },
  ),
  isBehind: fc.boolean(),
  drop: fc.constantFrom(undefined, ":method", ":scheme", ":path"),
  pieces: fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 3 }),
  announced: fc.constantFrom("none", "right", "more", "less"),
  trailers: fc.constantFrom<readonly (readonly [string, string])[] | undefined>(
    undefined,
    [["x-end", "1"]],
    [[":path", "/"]],
  ),
});

type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;

function bytesOf(one: Shape): Buffer[] {
  const total = one.pieces.reduce((sum, bytes) => sum + bytes, 0);
  const pseudo: [string, string][] = [
    [":method", one.method],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "a.test"],
  ];
  const length = { none: undefined, right: total, more: total + 1, less: Math.max(0, total - 1) }[
    one.announced
  ];
  const kept = pseudo.filter(([name]) => name !== one.drop);
  const fields = one.isBehind ? [...kept, ...one.extra] : [...one.extra, ...kept];
  if (length !== undefined) fields.push(["content-length", String(length)]);
  const isBare = one.pieces.length === 0 && !one.trailers;
  return [
    headers(1, fields, isBare),
    ...one.pieces.map((bytes, at) =>
      data(1, Buffer.alloc(bytes), !one.trailers && at === one.pieces.length - 1),
    ),
    ...(one.trailers ? [headers(1, one.trailers)] : []),
  ];
}

/** What a client learns: a status, that the request was refused, or that the connection was. */
async function outcomeOf(port: number, bytes: readonly Uint8Array[]): Promise<string> {
  const wire = await openHttp2(port);
  wire.write(...bytes);
  const verdict = await verdictOn(wire);
  wire.socket.destroy();
  return verdict;
}

test("Http2Front agrees with node:http2 about a thousand requests", async (t) => {
  const oracle = await startOracle(t);
  const ours = await startOurs(t);
  let agreed = 0;
  const differences: string[] = [];
  await fc.assert(
    fc.asyncProperty(shape, async (one) => {
      const bytes = bytesOf(one);
      const [theirs, own] = await Promise.all([
        outcomeOf(oracle, bytes),
        outcomeOf(ours.port, bytes),
      ]);
      const accepts = (verdict: string): boolean => verdict === "200";
      if (accepts(theirs) === accepts(own)) agreed += 1;
      else differences.push(`${theirs} there, ${own} here: ${JSON.stringify(one)}`);
    }),
    { numRuns: 1_000 },
  );
  assert.deepEqual(
    differences.filter((line) => !isKnown(line)),
    [],
  );
  assert.ok(agreed > 700, `${agreed}`);
});

/** nghttp2 leaves such fields out and serves the rest; RFC 9113 8.2.1 calls the whole request malformed. */
function isKnown(line: string): boolean {
  return /x-nul|x-crlf|\["",/.test(line) && line.startsWith("200 there, RST 1 here");
}

const frames = fc.array(
  fc.oneof(
    fc.record({
      type: fc.integer({ min: 0, max: 17 }),
      flags: fc.constantFrom(0, 1, 4, 5, 8, 0x20, 0x2d),
      stream: fc.constantFrom(0, 1, 2, 3, 5, 0x7fff_ffff),
      payload: fc.uint8Array({ maxLength: 40 }),
    }),
    fc.record({
      type: fc.constant(1),
      flags: fc.constantFrom(4, 5),
      stream: fc.constantFrom(1, 3, 5, 7),
      payload: fc.constant(
        block([
          [":method", "POST"],
          [":scheme", "http"],
          [":path", "/"],
          [":authority", "a.test"],
        ]),
      ),
    }),
    fc.record({
      type: fc.constantFrom(0, 8),
      flags: fc.constantFrom(0, 1),
      stream: fc.constantFrom(0, 1, 3),
      payload: fc.constant(number32(1_000)),
    }),
  ),
  { maxLength: 12 },
);

test("Http2Front survives random frames: it answers, or ends the connection with a reason, and forgets it", async (t) => {
  const site = await startOurs(t);
  await fc.assert(
    fc.asyncProperty(frames, fc.integer({ min: 1, max: 50 }), async (sequence, step) => {
      const wire = await openHttp2(site.port);
      const bytes = Buffer.concat(
        sequence.map(({ type, flags, stream, payload }) => frame(type, flags, stream, payload)),
      );
      // In pieces, so that frames begin and end anywhere.
      for (let at = 0; at < bytes.length; at += step)
        wire.socket.write(bytes.subarray(at, at + step));
      wire.write(frame(0x6, 0, 0, Buffer.alloc(8, 7)));
      const isOver = await wire.find(
        ({ type, flags, payload }) => type === 7 || (type === 6 && flags === 1 && payload[0] === 7),
      );
      const isOpenBlock = sequence.length > 0;
      assert.ok(isOver ?? isOpenBlock);
      wire.socket.resetAndDestroy();
    }),
    { numRuns: 500 },
  );
  const patience = AbortSignal.timeout(PATIENCE_MS);
  while ((site.front.open > 0 || site.front.active > 0) && !patience.aborted)
    await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([site.front.open, site.front.active], [0, 0]);
});
