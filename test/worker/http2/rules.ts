// Sites that answer with the length of a body, and cases of bytes with the verdict on them.

import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { createHttp2Front } from "../../../worker/http2/front.ts";
import { headers, openHttp2, verdictOn } from "../../helpers/http2-wire.ts";
import { startSite, type TestSite } from "../../helpers/site.ts";

export type Case = {
  readonly what: string;
  /** Sent behind the preface and SETTINGS. */
  readonly bytes: readonly Uint8Array[];
  /** As verdictOn() says it. */
  readonly verdict: string;
  readonly stream?: number;
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
              exchange.send(200, [["Content-Type", "text/plain"]], `${bytes}`);
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
    for (const { what, bytes, verdict, stream } of cases)
      test(what, async (t) => {
        const site = await startCounting(t);
        const wire = await openHttp2(site.port);
        wire.write(...bytes);
        assert.equal(await verdictOn(wire, stream), verdict);
        if (!verdict.startsWith("GOAWAY")) {
          // The connection serves on, and both ends still have the same tables.
          wire.write(headers(101));
          assert.equal(await verdictOn(wire, 101), "200");
        } else {
          wire.socket.end();
          await wire.ended();
          assert.equal(site.counters.worker.http2Faults, 1);
        }
        wire.socket.destroy();
      });
  });
}
