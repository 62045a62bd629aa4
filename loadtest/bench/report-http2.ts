// The part of docs/performance.md about HTTP/2, from loadtest/results/http2.json.

import { UPLOAD_BYTES } from "./http2-works.ts";
import type { PlotRow } from "./plot.ts";
import type { Http2Comparison, Http2RowResult } from "./result.ts";

/** The rows that have a place in the plot. */
export function http2PlotRows({ rows }: Http2Comparison): PlotRow[] {
  return rows
    .filter(({ perCpuSecond }) => perCpuSecond["nginx"] !== undefined)
    .map(({ name, perCpuSecond, bars }) => ({
      name,
      perCpuSecond,
      ...(bars["nginx"] !== undefined && { bar: bars["nginx"] }),
    }));
}

/** Markdown, from its heading on. */
export function http2Section(comparison: Http2Comparison): string {
  const { machine, command, rounds, rows } = comparison;
  const { date, commit, node, nginx, h2load, loadAverage, cores } = machine;
  return `## HTTP/2

One worker against one worker of ${nginx} and one process of \`node:http2\`, by ${h2load} over TLS 1.3 (TLS_AES_128_GCM_SHA256, X25519), in ${rounds} rounds in turn after one that
does not count. Again requests per second of the server's CPU time are compared. The program on \`node:http2\` has its file in memory, writes a line of a log for each request and pipes
uploads into the same program as a CGI mount would.

* ${date}, commit ${commit}, Node ${node}: \`${command}\`
* load average before the run: ${loadAverage}${loadAverage > cores / 2 ? " — **others were at work on this machine, so all figures are worse than they need be, and ratios are rough**" : ""}

![Requests of HTTP/2 per CPU-second as a part of nginx's](images/performance-http2.svg)

| work | Portico | others | ratio | bar | |
|---|---|---|---|---|---|
${rows.flatMap(ratioRows).join("\n")}

| work | Portico | others |
|---|---|---|
${rows.map(rateRow).join("\n")}
${uploadNote(rows)}${idleNote(comparison)}`;
}

function ratioRows(row: Http2RowResult): string[] {
  const [ours, ...others] = row.contenders;
  return others.map(({ contender, cpuUsPerRequest }) => {
    const ratio = row.perCpuSecond[contender] ?? 0;
    const bar = row.bars[contender];
    const verdict = bar === undefined ? "" : ratio < bar ? "**below the bar**" : "bar held";
    return `| ${row.name} | ${ours?.cpuUsPerRequest} µs | ${contender}: ${cpuUsPerRequest} µs | ${ratio} | ${bar ?? "–"} | ${verdict} |`;
  });
}

function rateRow({ name, contenders }: Http2RowResult): string {
  const [ours, ...others] = contenders.map(
    ({ contender, perSec, megabytesPerSec, meanMs }) =>
      `${contender === "portico" ? "" : `${contender}: `}${thousands(perSec)}/s, ${thousands(megabytesPerSec)} MB/s, mean ${meanMs} ms`,
  );
  return `| ${name} | ${ours} | ${others.join("<br>")} |`;
}

function uploadNote(rows: readonly Http2RowResult[]): string {
  const uploads = rows.find(({ key }) => key === "uploads")?.contenders[0];
  if (!uploads) return "";
  const gigabytes = Math.round((100 * UPLOAD_BYTES) / 2 ** 30);
  return `\nMemory of all processes after each round of uploads (${gigabytes} GB each): ${uploads.memoryMb.map((mb) => `${mb} MB`).join(", ")}.\n`;
}

function idleNote({ idle }: Http2Comparison): string {
  if (!idle) return "";
  const { connections, bar, bytesEach } = idle;
  const { portico = 0, nginx = 0, "node:http2": node = 0 } = bytesEach;
  const state = portico <= bar * node ? "bar held" : "**over the bar**";
  return `
${thousands(connections)} connections over TLS that wait, each after one answer, take ${kilobytes(portico)} each in Portico, ${kilobytes(node)} in \`node:http2\`, ${kilobytes(nginx)} in nginx
(bar: no more than \`node:http2\`; ${state}).
`;
}

function thousands(value: number): string {
  return value.toLocaleString("en-GB");
}

function kilobytes(bytes: number): string {
  return `${Math.round(bytes / 102.4) / 10} KB`;
}
