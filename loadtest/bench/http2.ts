// HTTP/2 over TLS by h2load: one worker against one nginx worker and node:http2, row by row of http2-works.ts, in rounds in turn.
// Usage: node loadtest/bench/http2.ts [--rows streams,100k] [--rounds 5] [--connections 2000]
// Needs h2load, nginx, curl and openssl. Writes loadtest/results/http2.json, which report.ts puts into docs/performance.md.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { makeCertificate } from "./contenders.ts";
import { runH2load, type Http2Round } from "./h2load.ts";
import { makeHttp2Site, startHttp2Contender } from "./http2-contenders.ts";
import { measureHttp2Idle } from "./http2-idle.ts";
import { http2Works, IDLE_BAR, type Http2Contender, type Http2Work } from "./http2-works.ts";
import { describeMachine } from "./machine.ts";
import { chosenRows, positive } from "./options.ts";
import type { Http2Comparison, Http2IdleResult, Http2RowResult } from "./result.ts";
import { createServerPool } from "./server-pool.ts";
import type { Server } from "./servers.ts";
import { medianOf, round } from "./wrk.ts";

const RESULT = fileURLToPath(new URL("../results/http2.json", import.meta.url));
const IDLE = "idle";

const { values } = parseArgs({
  options: {
    rows: { type: "string" },
    rounds: { type: "string", default: "5" },
    connections: { type: "string", default: "2000" },
  },
});
const rounds = positive("rounds", values.rounds);
const connections = positive("connections", values.connections);
const keys = [...http2Works.map(({ key }) => key), IDLE];
const wanted = chosenRows(values.rows, keys);

const machine = describeMachine();
const root = mkdtempSync(join(tmpdir(), "portico-bench-"));
const servers = createServerPool<Http2Contender>((contender) =>
  startHttp2Contender(root, contender),
);
try {
  const upload = makeHttp2Site(root);
  makeCertificate(root);
  const rows: Http2RowResult[] = [];
  for (const work of http2Works.filter(({ key }) => wanted.includes(key)))
    rows.push(await compare(work, upload));
  await servers.end();
  save(rows, wanted.includes(IDLE) ? await compareIdle() : undefined);
} finally {
  await servers.end();
  rmSync(root, { recursive: true, force: true });
}

async function compare(work: Http2Work, upload: string): Promise<Http2RowResult> {
  const { key, name, contenders, bars } = work;
  const args = work.h2load.map((arg) => (arg === "{upload}" ? upload : arg));
  const measured = new Map<Http2Contender, Http2Round[]>();
  const run = async (contender: Http2Contender): Promise<Http2Round> => {
    const server = await servers.get(contender);
    return runH2load(server, urlOf(server, work), args, work.bytes === undefined);
  };
  for (const contender of contenders) {
    checkAnswer(await servers.get(contender), work, upload);
    await run(contender);
    measured.set(contender, []);
  }
  for (let count = 0; count < rounds; count += 1)
    for (const contender of contenders) measured.get(contender)?.push(await run(contender));
  const result: Http2RowResult = {
    key,
    name,
    command: `h2load ${work.h2load.join(" ").replace("{upload}", "10-MB-file")}`,
    bars: Object.fromEntries(Object.entries(bars)),
    contenders: [...measured].map(([contender, list]) => summarize(contender, list)),
    perCpuSecond: ratiosOf(measured, ({ cpuUsPerRequest }) => 1 / cpuUsPerRequest),
    perSecond: ratiosOf(measured, ({ perSec }) => perSec),
  };
  console.log(name, result.contenders, result.perCpuSecond, result.perSecond);
  return result;
}

/** Ours to each other's: the median of the rounds' ratios, because what disturbs the machine disturbs a whole round. */
function ratiosOf(
  measured: ReadonlyMap<string, readonly Http2Round[]>,
  value: (round: Http2Round) => number,
): Record<string, number> {
  const [first, ...others] = [...measured];
  return Object.fromEntries(
    others.map(([contender, theirs]) => {
      const ratios = (first?.[1] ?? []).map((own, index) => {
        const other = theirs[index];
        return other ? value(own) / value(other) : Number.NaN;
      });
      return [contender, round(medianOf(ratios), 2)];
    }),
  );
}

function summarize(
  contender: string,
  list: readonly Http2Round[],
): Http2RowResult["contenders"][number] {
  const median = (value: (one: Http2Round) => number): number => medianOf(list.map(value));
  return {
    contender,
    perSec: median(({ perSec }) => perSec),
    megabytesPerSec: median(({ megabytesPerSec }) => megabytesPerSec),
    cpuUsPerRequest: median(({ cpuUsPerRequest }) => cpuUsPerRequest),
    meanMs: median(({ meanMs }) => meanMs),
    memoryMb: list.map(({ memoryMb }) => memoryMb),
  };
}

async function compareIdle(): Promise<Http2IdleResult> {
  const bytesEach: Record<string, number> = {};
  for (const contender of ["portico", "nginx", "node:http2"] as const) {
    bytesEach[contender] = await measureHttp2Idle(await servers.get(contender), connections);
    await servers.end();
  }
  const result = { connections, bar: IDLE_BAR, bytesEach };
  console.log("idle connections", result);
  return result;
}

function urlOf({ port }: Server, { path }: Http2Work): string {
  return `https://127.0.0.1:${port}${path}`;
}

/** Throws where the answer is not the one that is compared. */
function checkAnswer(server: Server, work: Http2Work, upload: string): void {
  const body = work.bytes === undefined ? ["--data-binary", `@${upload}`] : [];
  const format = "\n%{http_version} %{http_code} %{size_download}";
  const args = ["-sk", "--http2", "-w", format, ...body, urlOf(server, work)];
  const { stdout } = spawnSync("curl", args, { encoding: "latin1", maxBuffer: 2 ** 30 });
  const [version, status, bytes] = stdout.slice(stdout.lastIndexOf("\n") + 1).split(" ");
  const isRight =
    work.bytes === undefined
      ? Number(/^\d+/.exec(stdout)?.[0]) === readFileSync(upload).length
      : Number(bytes) === work.bytes;
  if (version !== "2" || status !== "200" || !isRight)
    throw new Error(`${server.name} answers ${work.path} with ${status}, ${bytes} bytes`);
}

/** Rows that were not asked for keep what they had, if it was measured with the same version. */
function save(rows: readonly Http2RowResult[], idle: Http2IdleResult | undefined): void {
  const before = existsSync(RESULT)
    ? (JSON.parse(readFileSync(RESULT, "utf8")) as Http2Comparison)
    : undefined;
  const kept = before?.machine.commit === machine.commit ? before : undefined;
  const lastIdle = idle ?? kept?.idle;
  const report: Http2Comparison = {
    command: `node loadtest/bench/http2.ts --rounds ${rounds} --connections ${connections}`,
    machine: { ...machine, h2load: h2loadVersion() },
    rounds,
    rows: http2Works.flatMap(
      ({ key }) =>
        rows.find((row) => row.key === key) ?? kept?.rows.find((row) => row.key === key) ?? [],
    ),
    ...(lastIdle && { idle: lastIdle }),
  };
  writeFileSync(RESULT, `${JSON.stringify(report, undefined, 2)}\n`);
}

function h2loadVersion(): string {
  return spawnSync("h2load", ["--version"], { encoding: "utf8" }).stdout.trim();
}
