// A worker that somebody else has taken over says what it likes. The supervisor, which may be root, ends it at the first word
// that ours would not say, keeps nothing of it, and serves on.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { encodeFrame } from "../../ipc/frame.ts";
import {
  emptyCgiCounters,
  emptyGauges,
  emptyMountCounters,
  emptyVhostCounters,
  emptyWorkerCounters,
  MAX_PROTOCOL_COUNTERS,
  type Sample,
} from "../../ipc/stats.ts";
import { startPortico, waitUntil, type PorticoOptions } from "../helpers/server.ts";

/** Speaks for its worker: what is sent to it goes to the supervisor, byte by byte. */
const PLUGIN = `import { writeSync } from "node:fs";
const CHANNEL_FD = 3;
export default {
  name: "mouth",
  start: () => ({
    async request(exchange) {
      const chunks = [];
      for await (const chunk of exchange.body) chunks.push(chunk);
      if (chunks.length > 0) writeSync(CHANNEL_FD, Buffer.concat(chunks));
      exchange.send(200, [], "said");
    },
  }),
};`;

const SITE: PorticoOptions = {
  conf: {
    global: { "plugin-dir": "plugins" },
    vhosts: [
      {
        name: "h",
        port: 0,
        interface: "127.0.0.1",
        mounts: [{ mountpoint: "/", origin: "callback://mouth" }],
        "ws-protocols": [{ mouth: {} }],
      },
    ],
  },
  files: { "plugins/mouth.mjs": PLUGIN },
  workers: 1,
};

function sample(changes: Partial<Sample>): { sample: Sample; last: boolean } {
  const counters = emptyWorkerCounters();
  const nothing = { vhosts: {}, mounts: {}, cgi: {}, cgiGauges: {}, protocols: {} };
  return { sample: { ...nothing, counters, gauges: emptyGauges(), ...changes }, last: true };
}

function manyCounters(): Record<string, number> {
  return Object.fromEntries(
    Array.from({ length: MAX_PROTOCOL_COUNTERS + 1 }, (_, at) => [`c${at}`, 1]),
  );
}

const data = Buffer.from("x");
const scope = "a:80 mouth";

const words: readonly (readonly [what: string, message: unknown, reason: RegExp])[] = [
  ["a topic without end", ["subscribe", { topic: "x".repeat(6_000), on: true }], /topic/],
  [
    "a store's key without end",
    ["store", { scope, key: "x".repeat(300), data, isGone: false }],
    /key of a store/,
  ],
  [
    "a store's value without end",
    ["store", { scope, key: "k", data: Buffer.alloc(65_537), isGone: false }],
    /value of a store/,
  ],
  [
    "a store's name without end",
    ["store", { scope: "x".repeat(5_000), key: "k", data, isGone: false }],
    /Named a store/,
  ],
  [
    "the traffic of an unknown vhost",
    ["sample", sample({ vhosts: { "unknown:1": emptyVhostCounters() } })],
    /not configured/,
  ],
  [
    "a vhost by the name of a member of every object",
    ["sample", sample({ vhosts: { constructor: emptyVhostCounters() } })],
    /not configured/,
  ],
  [
    "the programs of an unknown mount",
    ["sample", sample({ cgi: { "unknown:1 /": emptyCgiCounters() } })],
    /not configured/,
  ],
  [
    "the traffic of an unknown mount",
    ["sample", sample({ mounts: { "h:0 /nowhere": emptyMountCounters() } })],
    /not configured/,
  ],
  [
    "what an unknown protocol counts",
    ["sample", sample({ protocols: { "h:0/nobody": { messages: 1 } } })],
    /not configured/,
  ],
  [
    "a counter of a protocol with a name that is none",
    ["sample", sample({ protocols: { "h:0/mouth": { "a b": 1 } } })],
    /no protocol may have/,
  ],
  [
    "more counters of a protocol than it may have",
    ["sample", sample({ protocols: { "h:0/mouth": manyCounters() } })],
    /no protocol may have/,
  ],
  [
    "more declined connections than it was offered",
    ["connections", { upTo: 1, declined: Array.from({ length: 1_000 }, () => 1), open: 0 }],
    /broken message/,
  ],
  [
    "less than no connection",
    ["connections", { upTo: 0, declined: [], open: -1 }],
    /broken message/,
  ],
  [
    "a latency in more parts than there are",
    [
      "sample",
      sample({
        vhosts: {
          "h:0": { ...emptyVhostCounters(), latency: Array.from({ length: 1_000 }, () => 1) },
        },
      }),
    ],
    /broken message/,
  ],
  [
    "less than nothing",
    ["sample", sample({ vhosts: { "h:0": { ...emptyVhostCounters(), requests: -1 } } })],
    /broken message/,
  ],
  [
    "that less has happened than before",
    ["sample", sample({ counters: emptyWorkerCounters() })],
    /go back/,
  ],
  ["a message that is none", ["sudo", {}], /broken message/],
];

suite("A worker is ended, and the server serves on, when it says", () => {
  for (const [what, message, reason] of words)
    test(what, async (t) => {
      const portico = await startPortico(t, { ...SITE, expect: [/^Worker .*SIGKILL/] });
      assert.equal((await fetch(portico.url())).status, 200);
      const before = await waitUntil("its first words", async () => {
        const { totals, workers } = await portico.status();
        return totals.requests > 0 && workers[0]?.pid;
      });
      const body = encodeFrame(message, 1_000_000);
      // It may be ended before it can answer.
      await fetch(portico.url(), { method: "POST", body }).catch(() => undefined);
      const end = await portico.log(/^Worker .*SIGKILL/);
      assert.equal(end.pid, before);
      assert.match(end.msg, reason);
      await waitUntil("another worker serves", async () => {
        const [worker] = (await portico.status()).workers;
        return worker !== undefined && worker.pid !== before && worker.state === "serving";
      });
      assert.equal((await fetch(portico.url())).status, 200);
    });
});
