// Compares one worker with one nginx worker, row by row of works.ts, in rounds in turn, every answer checked first.
// Usage: node loadtest/bench/compare.ts [--rows small,tls] [--rounds 5] [--secs 3] [--connections 10000]
// Needs wrk, nginx and openssl; takes about 7 minutes. Writes loadtest/results/compare.json, of which report.ts makes docs/performance.md.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { checkAnswer } from "./check-answer.ts";
import { makeCertificate, startContender, urlOf } from "./contenders.ts";
import { measureIdle } from "./idle.ts";
import { describeMachine } from "./machine.ts";
import { chosenRows, positive } from "./options.ts";
import type { Comparison, IdleResult, RowResult, Summary } from "./result.ts";
import { createServerPool } from "./server-pool.ts";
import { makeSite } from "./servers.ts";
import { works, type Contender, type Work } from "./works.ts";
import { medianOf, round, runWrk, type Round } from "./wrk.ts";

const RESULT = fileURLToPath(new URL("../results/compare.json", import.meta.url));
const WARM_SECS = 2;
const IDLE = "idle";

const { values } = parseArgs({
  options: {
    rows: { type: "string" },
    rounds: { type: "string", default: "5" },
    secs: { type: "string", default: "3" },
    connections: { type: "string", default: "10000" },
  },
});
const rounds = positive("rounds", values.rounds);
const secs = positive("secs", values.secs);
const connections = positive("connections", values.connections);
const keys = [...works.map(({ key }) => key), IDLE];
const wanted = chosenRows(values.rows, keys);

const machine = describeMachine();
const root = mkdtempSync(join(tmpdir(), "portico-bench-"));
const servers = createServerPool<Contender>((contender) => startContender(root, contender));
try {
  makeSite(root);
  makeCertificate(root);
  const rows: RowResult[] = [];
  for (const work of works.filter(({ key }) => wanted.includes(key)))
    rows.push(await compare(work));
  await servers.end();
  const idle = wanted.includes(IDLE) ? await compareIdle() : undefined;
  save(rows, idle);
} finally {
  await servers.end();
  rmSync(root, { recursive: true, force: true });
}

async function compare(work: Work): Promise<RowResult> {
  const { key, name, bar, goal, p99Bar, p99Goal } = work;
  const args = ["-t1", `-c${work.connections}`, ...work.headers.flatMap((line) => ["-H", line])];
  if (work.asksAllPages) args.push("-s", join(root, "pages.lua"));
  const agreed = new Set<string | undefined>();
  const measured = new Map<Contender, Round[]>();
  const run = async (contender: Contender, duration: number): Promise<Round> =>
    runWrk(await servers.get(contender), urlOf(contender, work.path, work.secure), args, duration);

  for (const contender of work.contenders) {
    await servers.get(contender);
    agreed.add(await checkAnswer(urlOf(contender, work.path, work.secure), work));
    await run(contender, WARM_SECS);
    measured.set(contender, []);
  }
  if (agreed.size > 1) throw new Error(`Not the same TLS: ${[...agreed].join("; ")}`);
  for (let count = 0; count < rounds; count += 1)
    for (const contender of work.contenders)
      measured.get(contender)?.push(await run(contender, secs));

  const [tls] = agreed;
  const result: RowResult = {
    key,
    name,
    command: `wrk ${args.join(" ")} -d${secs}s --latency`,
    ...(tls !== undefined && { tls }),
    ...(bar !== undefined && { bar }),
    ...(goal !== undefined && { goal }),
    ...(p99Bar !== undefined && { p99Bar }),
    ...(p99Goal !== undefined && { p99Goal }),
    contenders: [...measured].map(([contender, list]) => summarize(contender, list)),
    perCpuSecond: ratiosOf(measured, ({ cpuUsPerRequest }) => 1 / cpuUsPerRequest),
    perSecond: ratiosOf(measured, ({ perSec }) => perSec),
    p99: ratiosOf(measured, ({ p99Ms }) => p99Ms),
  };
  console.log(name, JSON.stringify(result.contenders), JSON.stringify(result.perCpuSecond));
  return result;
}

/** Of the first to each other: the median of the rounds' ratios, because what disturbs the machine disturbs a whole round. */
function ratiosOf(
  measured: ReadonlyMap<Contender, readonly Round[]>,
  value: (round: Round) => number,
): Record<string, number> {
  const [first, ...others] = [...measured];
  const ours = first?.[1] ?? [];
  return Object.fromEntries(
    others.map(([contender, theirs]) => {
      const ratios = ours.map((own, index) => {
        const other = theirs[index];
        return other ? value(own) / value(other) : Number.NaN;
      });
      return [contender, round(medianOf(ratios), 2)];
    }),
  );
}

function summarize(contender: Contender, list: readonly Round[]): Summary {
  const median = (value: (one: Round) => number): number => medianOf(list.map(value));
  return {
    contender,
    perSec: median(({ perSec }) => perSec),
    cpuUsPerRequest: median(({ cpuUsPerRequest }) => cpuUsPerRequest),
    p99Ms: median(({ p99Ms }) => p99Ms),
    loadPercent: median(({ loadPercent }) => loadPercent),
  };
}

async function compareIdle(): Promise<IdleResult> {
  const bytes: Record<string, number> = {};
  for (const contender of ["portico", "nginx"] as const) {
    bytes[contender] = await measureIdle(await servers.get(contender), connections);
    await servers.end();
  }
  const result = { connections, bar: 5 * 1024, goal: 3.5 * 1024, bytesEach: bytes };
  console.log("idle connections", JSON.stringify(result));
  return result;
}

/** Rows that were not asked for keep what they had, if it was measured with the same version. */
function save(rows: readonly RowResult[], idle: IdleResult | undefined): void {
  const before = existsSync(RESULT)
    ? (JSON.parse(readFileSync(RESULT, "utf8")) as Comparison)
    : undefined;
  const kept = before?.machine.commit === machine.commit ? before : undefined;
  const all = works.flatMap(
    ({ key }) =>
      rows.find((row) => row.key === key) ?? kept?.rows.find((row) => row.key === key) ?? [],
  );
  const lastIdle = idle ?? kept?.idle;
  const command = `node loadtest/bench/compare.ts --rounds ${rounds} --secs ${secs} --connections ${connections}`;
  const report: Comparison = {
    command,
    machine,
    rounds,
    secs,
    rows: all,
    ...(lastIdle && { idle: lastIdle }),
  };
  writeFileSync(RESULT, `${JSON.stringify(report, undefined, 2)}\n`);
}
