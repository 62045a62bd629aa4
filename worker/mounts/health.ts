// For load balancers: `"origin": "health://"` answers 200 while every worker of the generation serves, else 503, also in a
// worker that drains. Answers are ready in memory and cost nothing; the body is one word.

import { HttpError } from "../http/exchange.ts";
import type { HealthState } from "../health.ts";
import { PreparedReply } from "../http/prepared.ts";
import { defineMount } from "../mount.ts";

const HEADERS = [
  ["Content-Type", "text/plain; charset=utf-8"],
  ["Cache-Control", "no-store"],
] as const;
const METHODS = ["Allow", "GET, HEAD"] as const;

/** `health://` mounts. */
export const health = defineMount({
  scheme: "health",
  provision({ health: own }) {
    const prepare = (status: number, word: string): PreparedReply =>
      new PreparedReply(status, HEADERS, Buffer.from(`${word}\n`));
    const replies: Readonly<Record<HealthState, PreparedReply>> = {
      serving: prepare(200, "ok"),
      starting: prepare(503, "starting"),
      degraded: prepare(503, "degraded"),
      leaving: prepare(503, "draining"),
    };
    return {
      handle(exchange, rest) {
        if (rest !== "") throw new HttpError(404, "");
        if (exchange.method !== "GET" && exchange.method !== "HEAD")
          throw new HttpError(405, "Health answers to GET and HEAD", { headers: [METHODS] });
        const { status, body } = replies[own.state];
        exchange.send(status, HEADERS, body);
      },
      ready: (_request, rest) => (rest === "" ? replies[own.state] : undefined),
    };
  },
});
