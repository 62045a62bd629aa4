// Sites that answer with the length of a body, and cases of bytes with the verdict on them.

import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { createHttp2Front } from "../../../worker/http2/front.ts";
import {
  connectFrames,
  headers,
  openHttp2,
  verdictOn,
  type Frame,
  type FrameWire,
} from "../../helpers/http2-wire.ts";
import { startSite, type TestSite } from "../../helpers/site.ts";

export type Case = {
  readonly what: string;
  /** Names of the same case in h2spec. */
  readonly ids?: readonly string[];
  /** Sent behind the preface and SETTINGS; a frame that is waited for in between. */
  readonly bytes: readonly (Uint8Array | Wait)[];
  /** As verdictOn() says it; or the first frame of one of the types of TOLD behind the bytes. */
  readonly verdict: string;
  readonly stream?: number;
  /** Nothing is sent before the bytes. */
  readonly isBare?: boolean;
  /** There is no room for one more stream. */
  readonly isFull?: boolean;
};

export type Wait = (frame: Frame) => boolean;

/** A stream none of the cases uses. */
const FOLLOWER = 1_001;

/** Each type of frame that may be a verdict, and what of it is told. */
const TOLD: Readonly<
  Record<string, { readonly type: number; readonly tell: (frame: Frame) => string }>
> = {
  DATA: { type: 0x0, tell: ({ payload }) => `DATA ${payload.length}` },
  SETTINGS: { type: 0x4, tell: ({ flags }) => (flags & 1 ? "SETTINGS ack" : "SETTINGS") },
  PING: {
    type: 0x6,
    tell: ({ flags, payload }) =>
      `PING ${flags & 1 ? "ack " : ""}${payload.toString("latin1").replace(/\0+$/, "")}`.trimEnd(),
  },
};

export function startCounting(t: TestContext): Promise<TestSite> {
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
              exchange.send(200, [["Content-Type", "text/plain"]], `${bytes} bytes`);
            },
          },
        ],
      },
    ],
  });
}

/** Runs each case on a connection of its own. What spares the connection must leave it usable. */
export function judge(name: string, cases: readonly Case[]): void {
  suite(name, () => {
    for (const one of cases)
      test([...(one.ids ?? []), one.what].join(" "), async (t) => {
        const site = await startCounting(t);
        const wire = one.isBare ? await connectFrames(site.port) : await openHttp2(site.port);
        const seen = await send(wire, one.bytes);
        assert.equal(await verdictBehind(wire, seen, one), one.verdict);
        if (one.verdict.startsWith("GOAWAY")) {
          wire.socket.end();
          await wire.ended();
          assert.equal(site.counters.worker.http2Faults, 1);
        } else if (one.verdict !== "closed" && !one.isBare && !one.isFull) {
          // The connection serves on, and both ends still have the same tables.
          wire.write(headers(FOLLOWER));
          assert.equal(await verdictOn(wire, FOLLOWER), "200");
        }
        wire.socket.destroy();
      });
  });
}

/** Returns how many frames had come up to the last that was waited for. */
async function send(wire: FrameWire, steps: Case["bytes"]): Promise<number> {
  let seen = 0;
  let gathered: Uint8Array[] = [];
  for (const step of steps) {
    if (typeof step !== "function") {
      gathered.push(step);
      continue;
    }
    wire.write(...gathered);
    gathered = [];
    const from = seen;
    const found = await wire.find((frame) => wire.frames.indexOf(frame) >= from && step(frame));
    assert.ok(found);
    seen = wire.frames.indexOf(found) + 1;
  }
  wire.write(...gathered);
  return seen;
}

async function verdictBehind(wire: FrameWire, seen: number, one: Case): Promise<string> {
  const told = TOLD[one.verdict.split(" ")[0] ?? ""];
  const isBehind = (frame: Frame): boolean => wire.frames.indexOf(frame) >= seen;
  if (!told)
    return verdictOn(
      { ...wire, find: (matches) => wire.find((frame) => isBehind(frame) && matches(frame)) },
      one.stream,
    );
  const found = await wire.find(
    (frame) =>
      isBehind(frame) && (frame.type === told.type || frame.type === 0x3 || frame.type === 0x7),
  );
  if (!found) return "closed";
  return found.type === told.type ? told.tell(found) : `frame ${found.type}`;
}
