// Answers that leave from memory: the same as on the other way, counted one by one, and never one for another request.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { PreparedReply } from "../../../worker/http/prepared.ts";
import type { ReadyRequest } from "../../../worker/http/lane-head.ts";
import { createHttp2Front } from "../../../worker/http2/front.ts";
import {
  block,
  data,
  frame,
  GET_FIELDS,
  headers,
  number32,
  openHttp2,
  verdictOn,
  type FrameWire,
} from "../../helpers/http2-wire.ts";
import { startSite, type TestSite, type TestSiteOptions } from "../../helpers/site.ts";

type Ready = {
  readonly reply: (request: ReadyRequest) => PreparedReply | undefined;
  readonly hosts?: readonly string[];
  readonly options?: Partial<TestSiteOptions>;
};

type ReadySite = TestSite & {
  /** Paths that were not answered from memory. */
  readonly asked: string[];
};

/** Mounts that have an answer ready; else they answer with the path themselves, but "/never". */
async function start(t: TestContext, ready: Ready): Promise<ReadySite> {
  const asked: string[] = [];
  const site = await startSite(t, {
    createFront: createHttp2Front,
    vhosts: (ready.hosts ?? ["a.test"]).map((name) => ({
      name,
      mounts: [
        {
          mountpoint: "/",
          handle(exchange) {
            asked.push(exchange.path);
            if (exchange.path !== "/never") exchange.send(200, [], exchange.path);
          },
          ready: ready.reply,
        },
      ],
    })),
    ...ready.options,
  });
  return { ...site, asked };
}

/** Bytes of DATA on a stream. */
function bodyOf(wire: FrameWire, stream: number): Buffer {
  const frames = wire.frames.filter(({ type, stream: of }) => type === 0 && of === stream);
  return Buffer.concat(frames.map(({ payload }) => payload));
}

async function bodyOn(wire: FrameWire, stream: number): Promise<string> {
  await wire.find(({ type, stream: of, flags }) => type === 0 && of === stream && flags === 1);
  return bodyOf(wire, stream).toString();
}

async function settled(site: TestSite): Promise<void> {
  while (site.front.open > 0 || site.front.active > 0)
    await new Promise((resolve) => setImmediate(resolve));
}

const windowUpdate = (stream: number, bytes: number): Buffer =>
  frame(0x8, 0, stream, number32(bytes));

function request(id: number, bytes: Uint8Array): Buffer {
  return frame(0x1, 0x5, id, bytes);
}

/** A field that goes into the table, by the index of its name. */
function indexed(name: number, value: string): Buffer {
  return Buffer.concat([Buffer.of(0x40 | name, value.length), Buffer.from(value)]);
}

const PATH = 4;
const AUTHORITY = 1;
const GET_HTTPS = Buffer.of(0x82, 0x87);
/** The two newest fields of the table. */
const NEWEST = 0xbe;
const SECOND = 0xbf;

const paths = (one: ReadyRequest): PreparedReply =>
  new PreparedReply(200, [], Buffer.from(`ready ${one.path}`));

test("Http2Front reads the same bytes anew when the table has changed behind them", async (t) => {
  const site = await start(t, { reply: paths });
  const wire = await openHttp2(site.port);
  const same = Buffer.concat([GET_HTTPS, Buffer.of(NEWEST, SECOND)]);
  const bring = (path: string): Buffer =>
    Buffer.concat([GET_HTTPS, indexed(AUTHORITY, "a.test"), indexed(PATH, path)]);
  const blocks = [
    bring("/one"),
    same,
    same,
    // Brings both again, so that those of before are two places further.
    bring("/one"),
    Buffer.concat([GET_HTTPS, Buffer.of(NEWEST + 2, SECOND + 2)]),
    same,
    bring("/two"),
    same,
    same,
  ];
  wire.write(...blocks.map((bytes, index) => request(2 * index + 1, bytes)));
  assert.deepEqual(
    await Promise.all(blocks.map((_, index) => bodyOn(wire, 2 * index + 1))),
    blocks.map((_, index) => `ready /${index < 6 ? "one" : "two"}`),
  );
  // A smaller table has forgotten both.
  wire.write(request(21, Buffer.concat([Buffer.of(0x20), block(GET_FIELDS)])), request(23, same));
  assert.equal(
    await verdictOn({ ...wire, find: (of) => wire.find((one) => one.type === 7 && of(one)) }),
    "GOAWAY 9",
  );
  wire.socket.end();
  await wire.ended();
});

test("Http2Front counts and logs each of many answers to one read", async (t) => {
  const site = await start(t, {
    reply: ({ path, method }) =>
      path === "/lost"
        ? new PreparedReply(404, [], Buffer.from(method))
        : paths({ path } as ReadyRequest),
  });
  const wire = await openHttp2(site.port);
  const lost = [...GET_FIELDS.slice(0, 2), [":path", "/lost"], [":authority", "a.test"]] as const;
  const ids = Array.from({ length: 20 }, (_, index) => 2 * index + 1);
  wire.write(...ids.map((id) => headers(id, id % 10 === 1 ? lost : GET_FIELDS)));
  for (const id of ids) assert.equal(await bodyOn(wire, id), id % 10 === 1 ? "GET" : "ready /");
  wire.socket.end();
  await wire.ended();
  await settled(site);
  for (const counted of [site.counters.vhost("a.test:80"), site.counters.mount("a.test:80 /")]) {
    const { requests, status2xx, status4xx, latency } = counted;
    assert.deepEqual([requests, status2xx, status4xx], [20, 16, 4]);
    assert.equal(
      latency.reduce((sum, count) => sum + count),
      20,
    );
  }
  assert.equal(site.counters.mount("a.test:80 /").tx, 4 * "GET".length + 16 * "ready /".length);
  assert.equal(site.logged.filter((line) => line.includes('"GET /lost HTTP/2.0" 404 3')).length, 4);
  assert.equal(site.logged.filter((line) => line.includes('"GET / HTTP/2.0" 200 7')).length, 16);
});

test("Http2Front counts a known request for the vhost that it asks", async (t) => {
  const site = await start(t, { reply: paths, hosts: ["a.test", "b.test"] });
  const wire = await openHttp2(site.port);
  const other = [...GET_FIELDS.slice(0, 3), [":authority", "b.test"]] as const;
  wire.write(
    headers(1),
    headers(3),
    headers(5, other),
    headers(7),
    headers(9, other),
    headers(11, other),
  );
  await bodyOn(wire, 11);
  assert.deepEqual(
    ["a.test:80", "b.test:80"].map((key) => site.counters.vhost(key).requests),
    [3, 3],
  );
  wire.socket.destroy();
});

test("Http2Front asks a mount again each time, and goes the other way when it is not ready", async (t) => {
  let answers = 0;
  const site = await start(t, {
    reply: (one) => {
      answers += 1;
      return answers === 3 || answers === 4 ? undefined : paths(one);
    },
  });
  const wire = await openHttp2(site.port);
  wire.write(headers(1), headers(3));
  assert.deepEqual([await bodyOn(wire, 1), await bodyOn(wire, 3)], ["ready /", "ready /"]);
  wire.write(headers(5));
  assert.equal(await bodyOn(wire, 5), "/");
  wire.write(headers(7));
  assert.equal(await bodyOn(wire, 7), "ready /");
  assert.deepEqual([answers, site.asked], [5, ["/"]]);
  wire.socket.destroy();
});

test("Http2Front refuses a known request like any other when there are too many streams", async (t) => {
  const site = await start(t, {
    reply: (one) => (one.path === "/never" ? undefined : paths(one)),
  });
  const wire = await openHttp2(site.port);
  wire.write(headers(1), headers(3));
  await bodyOn(wire, 3);
  const never = [...GET_FIELDS.slice(0, 2), [":path", "/never"], [":authority", "a.test"]] as const;
  wire.write(
    ...Array.from({ length: 100 }, (_, index) => headers(2 * index + 5, never)),
    headers(205),
  );
  assert.equal(await verdictOn(wire, 205), "RST 7");
  wire.write(frame(0x3, 0, 5, number32(8)), headers(207));
  assert.equal(await verdictOn(wire, 207), "200");
  wire.socket.destroy();
  await settled(site);
});

test("Http2Front ends a connection with the last request that it may have, known or not", async (t) => {
  const site = await start(t, { reply: paths, options: { limits: { maxRequests: 3 } } });
  const wire = await openHttp2(site.port);
  wire.write(headers(1), headers(3), headers(5));
  await bodyOn(wire, 5);
  const goaway = await wire.find(({ type }) => type === 7);
  assert.equal(goaway?.payload.readUInt32BE(4), 0);
  wire.socket.destroy();
});

test("Http2Front answers from memory within the windows, and counts what the client takes", async (t) => {
  const reply = new PreparedReply(200, [["Content-Type", "text/plain"]], Buffer.alloc(20_000, "x"));
  let asked = 0;
  const site = await startSite(t, {
    createFront: createHttp2Front,
    vhosts: [
      {
        name: "a.test",
        mounts: [
          {
            mountpoint: "/",
            handle(exchange) {
              asked += 1;
              exchange.send(reply.status, reply.headers, reply.body);
            },
            ready: () => reply,
          },
        ],
      },
    ],
  });
  const wire = await openHttp2(site.port);
  // Three fit into the connection's window; the fourth waits for it, the slow way.
  wire.write(headers(1), headers(3), headers(5), headers(7));
  await wire.find(({ type, stream }) => type === 0 && stream === 7);
  assert.deepEqual([bodyOf(wire, 5).length, bodyOf(wire, 7).length, asked], [20_000, 5_535, 1]);
  wire.write(windowUpdate(0, 100_000));
  await wire.find(({ type, stream, flags }) => type === 0 && stream === 7 && flags === 1);
  // A closed stream takes no more frames.
  wire.write(headers(9, [...GET_FIELDS.slice(1), [":method", "HEAD"]]));
  const head = await wire.find(({ type, stream }) => type === 1 && stream === 9);
  assert.equal(head?.flags, 0x5);
  wire.write(data(9, "x"));
  await wire.find(({ type }) => type === 7);
  wire.socket.end();
  await wire.ended();
  await settled(site);
  const { requests, status2xx, aborted } = site.counters.vhost("a.test:80");
  assert.deepEqual([requests, status2xx, aborted], [5, 5, 0]);
  assert.equal(site.logged.filter((line) => / 200 20000 /.test(line)).length, 4);
});
