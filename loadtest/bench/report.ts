// Writes docs/performance.md and its plots from loadtest/results/compare.json, handshakes.json, http2.json, cgi.json, websocket.json and soak.json. Usage: npm run bench:report

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Machine } from "./machine.ts";
import { plotRatios } from "./plot.ts";
import { http2PlotRows, http2Section } from "./report-http2.ts";
import { cgiSection, handshakeSection, soakSection, webSocketSection } from "./report-others.ts";
import type { Comparison, Http2Comparison, IdleResult, RowResult, Summary } from "./result.ts";
import { works } from "./works.ts";

const RESULT = fileURLToPath(new URL("../results/compare.json", import.meta.url));
const DISTRIBUTION = fileURLToPath(new URL("../results/distribution.json", import.meta.url));
const HTTP2_RESULT = fileURLToPath(new URL("../results/http2.json", import.meta.url));
const HANDSHAKE_RESULT = fileURLToPath(new URL("../results/handshakes.json", import.meta.url));
const CGI_RESULT = fileURLToPath(new URL("../results/cgi.json", import.meta.url));
const WEBSOCKET_RESULT = fileURLToPath(new URL("../results/websocket.json", import.meta.url));
const SOAK_RESULT = fileURLToPath(new URL("../results/soak.json", import.meta.url));
const HTTP2_PLOT = fileURLToPath(
  new URL("../../docs/images/performance-http2.svg", import.meta.url),
);
const DOCUMENT = fileURLToPath(new URL("../../docs/performance.md", import.meta.url));
const PLOT = fileURLToPath(new URL("../../docs/images/performance.svg", import.meta.url));
/** Above this share of a core wrk is the limit of the requests per second, %. */
const BUSY_LOAD_PERCENT = 90;
/** Against node:http. */
const NODE_BAR = 1.6;

const comparison = JSON.parse(readFileSync(RESULT, "utf8")) as Comparison;
const overHttp2 = existsSync(HTTP2_RESULT)
  ? (JSON.parse(readFileSync(HTTP2_RESULT, "utf8")) as Http2Comparison)
  : undefined;
writeFileSync(PLOT, plotRatios(comparison.rows.filter(isAgainstNginx)));
if (overHttp2) writeFileSync(HTTP2_PLOT, plotRatios(http2PlotRows(overHttp2)));
writeFileSync(DOCUMENT, write(comparison));

function isAgainstNginx(row: RowResult): boolean {
  return row.perCpuSecond["nginx"] !== undefined;
}

function write({ command, machine, rounds, secs, rows, idle }: Comparison): string {
  const { cpu, cores, memoryGb, kernel, node, nginx, wrk, date, commit, loadAverage } = machine;
  const compared = rows.filter(isAgainstNginx);
  const tls = rows.find((row) => row.tls !== undefined)?.tls;
  return `# Performance

This page is written by \`npm run bench:report\` from [loadtest/results/compare.json](../loadtest/results/compare.json), which \`npm run bench\` measures, and
from what else is in [loadtest/results](../loadtest/results), each file by the script of its name in \`loadtest/bench\`.

One worker of Portico against one worker of ${nginx}, the same files, both with an access log that is collected and written 16 KB at a time, without compression. Each server is
a process of its own; answers are checked first; after a warm-up ${count(rounds, "round")} of ${count(secs, "second")} in turn, of which the median counts. What is compared is requests per second
of the server's CPU time, its supervisor's or master's included, because the load generator (${wrk}) runs on the same machine.${tls === undefined ? "" : ` TLS is ${tls}, X25519, on both sides.`}

* ${date}, commit ${commit}: ${cpu}, ${count(cores, "core")}, ${memoryGb} GB, Linux ${kernel}, Node ${node}
* \`${command}\`
* load average before the run: ${loadAverage}${loadAverage > cores / 2 ? " — **others were at work on this machine, so all figures are worse than they need be, and ratios are rough**" : ""}

![Requests per CPU-second as a part of nginx's](images/performance.svg)

## Requests per CPU-second

| work | Portico | nginx | ratio | bar | goal | |
|---|---|---|---|---|---|---|
${compared.map(ratioRow).join("\n")}

CPU time per request in µs. The bar is what we do not want to fall below, the goal what we want. But for the row of pages in turn all requests of a row are the same
byte for byte, which helps us more than nginx: request lines and fields that came before are not read again (\`worker/http/byte-memory.ts\`).

## Requests per second, and the slowest 1 %

| work | Portico | p99 | nginx | p99 | p99 ratio | wrk's share of a core |
|---|---|---|---|---|---|---|
${compared.map(rateRow).join("\n")}
${rows.map(latencyNote).join("")}
${beside(rows)}${idle ? idleSection(idle) : ""}
## Where nginx is better, and why

${losses(compared, idle)}
${section(HANDSHAKE_RESULT, handshakeSection)}
${overHttp2 ? http2Section(overHttp2) : ""}${section(CGI_RESULT, cgiSection)}${section(WEBSOCKET_RESULT, webSocketSection)}${section(SOAK_RESULT, soakSection)}
## What else is measured

\`node bin/node.mjs loadtest/bench/NAME.ts\`: \`config-scale\` (configurations of 1,000 vhosts). Each says at its top what it needs and where it writes.

${distributionLine(JSON.parse(readFileSync(DISTRIBUTION, "utf8")) as Distribution)}
`;
}

/** What there is no result of is left out. */
function section(file: string, describe: (result: never) => string): string {
  return existsSync(file) ? describe(JSON.parse(readFileSync(file, "utf8")) as never) : "";
}

type Distribution = {
  readonly command: string;
  readonly machine: Machine;
  readonly workers: number;
  readonly rows: readonly {
    readonly name: string;
    readonly contenders: readonly {
      readonly mode: string;
      readonly perCpuSecondOfShared: number;
    }[];
  }[];
  readonly spread: Readonly<Record<string, readonly number[]>>;
};

/** What evenly spread connections cost. */
function distributionLine({ command, machine, workers, rows, spread }: Distribution): string {
  const costs = rows.map(({ name, contenders }) => {
    const balanced = contenders.find(({ mode }) => mode === "balanced");
    return `${balanced?.perCpuSecondOfShared} for "${name}"`;
  });
  const [shared, balanced] = ["shared", "balanced"].map((mode) => spread[mode]?.join(" and "));
  return `\`"distribution": "balanced"\` answers, of what "shared" does per CPU-second with ${workers} workers, ${costs.join(" and ")}; of 200 idle connections the workers have ${balanced} instead of ${shared} (\`${command}\`, load average before it ${machine.loadAverage}).`;
}

function ratioRow(row: RowResult): string {
  const [ours, theirs] = pair(row);
  const ratio = row.perCpuSecond["nginx"] ?? 0;
  return `| ${row.name} | ${ours.cpuUsPerRequest} µs | ${theirs.cpuUsPerRequest} µs | ${ratio} | ${row.bar ?? "–"} | ${row.goal ?? "–"} | ${verdict(ratio, row.bar, row.goal)} |`;
}

function verdict(ratio: number, bar = 0, goal = Infinity): string {
  if (ratio < bar) return "**below the bar**";
  return ratio >= goal ? "goal reached" : "bar held";
}

function rateRow(row: RowResult): string {
  const [ours, theirs] = pair(row);
  return `| ${row.name} | ${thousands(ours.perSec)} | ${ours.p99Ms} ms | ${thousands(theirs.perSec)} | ${theirs.p99Ms} ms | ${row.p99["nginx"]} | ${ours.loadPercent} %, ${theirs.loadPercent} % |`;
}

function latencyNote({ name, p99, p99Bar, p99Goal }: RowResult): string {
  const ratio = p99["nginx"];
  if (ratio === undefined || p99Bar === undefined) return "";
  const word =
    ratio > p99Bar
      ? "**misses the bar**"
      : ratio <= (p99Goal ?? 0)
        ? "reaches the goal"
        : "holds the bar";
  return `\n* p99 of "${name}" is ${ratio} times nginx's; at most ${p99Bar} is the bar, ${p99Goal} the goal: it ${word}.`;
}

/** Of node:http, and of a second worker. */
function beside(rows: readonly RowResult[]): string {
  const lines: string[] = [];
  const small = rows.find(({ key }) => key === "small");
  const ratio = small?.perCpuSecond["node:http"];
  if (ratio !== undefined)
    lines.push(
      `* Portico answers the 1 KB file ${ratio} times as often per CPU-second as a careful program on \`node:http\` (bar ${NODE_BAR}: ${ratio >= NODE_BAR ? "held" : "**missed**"}).`,
    );
  const workers = rows.find(({ key }) => key === "workers");
  const [two] = workers?.contenders ?? [];
  const times = workers?.perSecond["portico"];
  if (two && times !== undefined) {
    const limit =
      two.loadPercent > BUSY_LOAD_PERCENT ? "it is the limit" : "it takes its cores from them";
    lines.push(
      `* Two workers answer ${times} times the requests per second of one; the load generator uses ${two.loadPercent} % of a core meanwhile, and on ${comparison.machine.cores} cores ${limit}.`,
    );
  }
  return lines.length === 0 ? "" : `\n${lines.join("\n")}\n`;
}

function idleSection({ connections, bar, goal, bytesEach }: IdleResult): string {
  const { portico = 0, nginx = 0 } = bytesEach;
  const state = portico > bar ? "**over the bar**" : portico <= goal ? "goal reached" : "bar held";
  return `
## Connections that wait

${thousands(connections)} kept connections, each after one answer, take ${kilobytes(portico)} each in Portico and ${kilobytes(nginx)} in nginx, beside what the kernel keeps for every socket
(bar ${kilobytes(bar)}, goal ${kilobytes(goal)}: ${state}).
`;
}

function losses(rows: readonly RowResult[], idle: IdleResult | undefined): string {
  const items = rows
    .filter((row) => (row.perCpuSecond["nginx"] ?? 1) < 1)
    .map((row) => {
      const reason = works.find(({ key }) => key === row.key)?.reason ?? "";
      return `* **${row.name}** (${row.perCpuSecond["nginx"]}): ${reason}`;
    });
  const { portico = 0, nginx = 0 } = idle?.bytesEach ?? {};
  if (portico > nginx)
    items.push(
      `* **Idle connections** (${kilobytes(portico)} against ${kilobytes(nginx)}): what we know of the connection are objects of JavaScript; nginx keeps a structure of C.`,
    );
  return items.length === 0 ? "Nowhere in this run.\n" : `${items.join("\n")}\n`;
}

function pair(row: RowResult): [Summary, Summary] {
  const find = (name: string): Summary => {
    const found = row.contenders.find(({ contender }) => contender === name);
    if (!found) throw new Error(`No ${name} in "${row.name}"`);
    return found;
  };
  return [find("portico"), find("nginx")];
}

function thousands(value: number): string {
  return value.toLocaleString("en-GB");
}

function kilobytes(bytes: number): string {
  return `${Math.round(bytes / 102.4) / 10} KB`;
}

function count(value: number, word: string): string {
  return `${value} ${word}${value === 1 ? "" : "s"}`;
}
