// Mixed load on a real server while workers are killed and stopped, it reloads, logs reopen, certificates change, the log disk
// fills, descriptors run out, the configuration breaks and mends. Requests may be lost on killed workers only, totals agree with
// what the clients counted, and nothing is left behind: no process, no descriptor, no memory.
// Usage: node loadtest/chaos.ts [--minutes 10] [--workers 2] [--events NAME,…] [--result FILE]. Exits 1 when something is wrong.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMachine } from "./bench/machine.ts";
import { DEADLY } from "./chaos/deadly-events.ts";
import { GENTLE } from "./chaos/gentle-events.ts";
import { runPhase, type PhaseResult } from "./chaos/phase.ts";
import { processesNaming, processState } from "./chaos/processes.ts";
import { launch, type Server } from "./chaos/server.ts";
import { makeSite } from "./chaos/site.ts";
import { judge } from "./chaos/verdict.ts";
import { watchProcesses, type Watch } from "./chaos/watch.ts";
import { mustDo, pause, type GameEvent, type World } from "./chaos/world.ts";

const RESULT = fileURLToPath(new URL("results/chaos.json", import.meta.url));
/** Long enough for a machine that does other things too. */
const WATCHDOG_SECS = 5;
/** Events of one kind before the count is taken. */
const EVENTS_AT_ONCE = 3;
const LET_GO_MS = 6_000;
const MINUTE_MS = 60_000;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    workers: { type: "string", default: "2" },
    events: { type: "string", default: "" },
    result: { type: "string", default: RESULT },
  },
});
const [minutes, workers] = [Number(values.minutes), Number(values.workers)];
if (!(minutes > 0) || !(workers > 1))
  throw new Error("--minutes wants more than 0, --workers more than 1");
const all = [...GENTLE, ...DEADLY];
const names = values.events === "" ? all.map(({ name }) => name) : values.events.split(",");
for (const name of names)
  if (!all.some((event) => event.name === name))
    throw new Error(
      `There is no event "${name}"; there are ${all.map((event) => event.name).join(", ")}`,
    );

const machine = describeMachine();
const root = mkdtempSync(join(tmpdir(), "portico-chaos-"));
const problems: string[] = [];
try {
  await play();
} finally {
  rmSync(root, { recursive: true, force: true });
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;

async function play(): Promise<void> {
  const site = await makeSite(root, WATCHDOG_SECS);
  const server = await launch(root, site.logs, workers);
  const watch = watchProcesses(server.pid);
  const world: World = {
    server,
    site,
    workers,
    kills: [],
    shortages: [],
    problems,
    extraAnswers: 0,
    counts: {},
  };
  const leftOut: Record<string, string> = {};
  const present = all.filter((event) => {
    if (!names.includes(event.name)) return false;
    const reason = event.missing?.(world);
    if (reason !== undefined) leftOut[event.name] = reason;
    return reason === undefined;
  });
  const phases: PhaseResult[] = [];
  let last = "";
  let logLines = 0;
  let code: number | null = null;
  try {
    await playRounds(world, present, phases);
    const status = await server.status();
    logLines = countLines(server, site.logs);
    last = JSON.stringify(status);
  } catch (error) {
    problems.push((error as Error).message);
  } finally {
    code = await server.stop();
    watch.stop();
  }
  if (code !== 0) problems.push(`The server ends with exit status ${code}`);
  const left = leftovers(watch);
  if (left.length > 0) problems.push(`Processes are left: ${left.join(", ")}`);
  const report = {
    command: `npm run chaos -- --minutes ${values.minutes} --workers ${values.workers}${values.events && ` --events ${values.events}`}`,
    machine,
    leftOut,
    ...judge({ world, phases, watch, status: last, logLines }),
    problems,
  };
  mkdirSync(dirname(values.result), { recursive: true });
  writeFileSync(values.result, `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(report);
}

/** By turns: what must not cost a request, then what may; in the beginning and in the end nothing but load. */
async function playRounds(
  world: World,
  present: readonly GameEvent[],
  phases: PhaseResult[],
): Promise<void> {
  const kinds = [
    present.filter(({ isDeadly }) => !isDeadly),
    present.filter(({ isDeadly }) => isDeadly),
  ].filter((kind) => kind.length > 0);
  const endsAt = performance.now() + minutes * MINUTE_MS;
  const calm = async (): Promise<void> => {
    world.site.configure();
    await mustDo(world, "reload");
    // What is kept for seconds after a worker has left is not what is looked for.
    await pause(LET_GO_MS);
    phases.push(await runPhase(world, []));
  };
  await calm();
  for (let round = 0; round === 0 || performance.now() < endsAt; round += 1) {
    for (const kind of kinds) {
      const events = Array.from(
        { length: Math.min(EVENTS_AT_ONCE, kind.length) },
        (_, index) => kind[(round * EVENTS_AT_ONCE + index) % kind.length] as GameEvent,
      );
      const result = await runPhase(world, events);
      phases.push(result);
      console.error(
        `${result.events.join(", ")}: ${result.answered} answers, ${result.lost} lost, ${problems.length} problems so far`,
      );
    }
  }
  await calm();
  await calm();
}

/** Everything that ever was below the server, and programs of ours by their names. */
function leftovers(watch: Watch): string[] {
  const known = [...watch.seen.values()].filter(
    ({ pid, startedAt }) => processState(pid)?.startedAt === startedAt,
  );
  return [
    ...known.map(({ pid, state }) => `${pid} (${state})`),
    ...processesNaming(root).map((pid) => `${pid} by name`),
  ];
}

/** Lines of all access logs; one that is no whole line is a problem. */
function countLines(server: Server, logs: string): number {
  let lines = 0;
  const directory = server.path(logs);
  for (const name of readdirSync(directory)) {
    const text = readFileSync(join(directory, name), "latin1");
    if (text !== "" && !text.endsWith("\n")) problems.push(`${name} ends within a line`);
    for (const line of text.split("\n").slice(0, -1)) {
      lines += 1;
      if (!/^127\.0\.0\.1 - - \[[^\]]+\] "GET [^"]*" \d{3} [\d-]+ "[^"]*" "[^"]*"/.test(line))
        problems.push(`A torn line in ${name}: ${line}`);
    }
  }
  return lines;
}
