// The numbers of the whole server for Prometheus and its kin: `"origin": "metrics://"`. OpenMetrics 1.0, or the older text
// format to clients that like it better. Every worker answers the same, from the supervisor's board.

import type { Board } from "../../../ipc/board.ts";
import { HttpError } from "../../http/exchange.ts";
import { preferredType } from "../../http/negotiate.ts";
import { defineMount } from "../../mount.ts";
import { describeServer } from "./families.ts";
import { writeOpenMetrics, writePrometheusText } from "./exposition.ts";

const OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT = "text/plain; version=0.0.4; charset=utf-8";
const METHODS = ["Allow", "GET, HEAD"] as const;

/** `metrics://` mounts. */
export const metrics = defineMount({
  scheme: "metrics",
  provision({ readBoard }) {
    let shown: Board | undefined;
    /** What was written of `shown`, by media type. */
    const written = new Map<string, string>();

    function write(board: Board, type: string): string {
      if (shown !== board) written.clear();
      shown = board;
      let text = written.get(type);
      if (text === undefined) {
        const families = describeServer(board);
        text = type === TEXT ? writePrometheusText(families) : writeOpenMetrics(families);
        written.set(type, text);
      }
      return text;
    }

    return {
      async handle(exchange, rest) {
        if (rest !== "") throw new HttpError(404, "");
        if (exchange.method !== "GET" && exchange.method !== "HEAD")
          throw new HttpError(405, "Metrics answer to GET and HEAD", { headers: [METHODS] });
        const type = preferredType(exchange.header("accept"), [OPEN_METRICS, TEXT]) ?? OPEN_METRICS;
        const body = write(await readBoard(), type);
        exchange.send(
          200,
          [
            ["Content-Type", type],
            ["Cache-Control", "no-store"],
            ["Vary", "Accept"],
          ],
          body,
        );
      },
    };
  },
});
