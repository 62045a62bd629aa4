// The figures of a whole run, and what is wrong with them.

import type { PhaseResult } from "./phase.ts";
import type { Status } from "./server.ts";
import type { Watch } from "./watch.ts";
import type { World } from "./world.ts";

/** The least of the last fifth may be so much above that of the middle one; as in bench/soak.ts. */
const MAX_GROWTH = 1.15;
const SLACK_BYTES = 8 * 2 ** 20;
/** Fewer looks say nothing about growth. */
const MIN_LOOKS = 120;
const MIN_PHASES = 9;
/** Opened once, when first needed, and kept: what wakes the thread that accepts for "balanced", say. */
const DESCRIPTOR_SLACK = 2;
const SHOWN_COMPLAINTS = 10;
/** What events make the server say. */
const EXPECTED = [
  /^Workers run as root/,
  /^Worker died \(/,
  /^Killed \d+ CGI process group/,
  /^Reload refused/,
  /conf:\d+:\d+/,
  /keeps its certificate: The private key/,
  /EMFILE|ENOSPC/,
  // Said once by each worker while the log disk is full; the lines it drops are counted, and judged below.
  /^Cannot write to "[^"]*": lines will be lost/,
  /^Full: closed idle connections/,
  /^Cannot accept on/,
  /^Worker takes no connections: others get/,
  // Where a descriptor for it is missing it looks elsewhere, and says so.
  /^\[pidusage\] We couldn't find uptime/,
];

export type Run = {
  readonly world: World;
  readonly phases: readonly PhaseResult[];
  readonly watch: Watch;
  /** As JSON, the last one; empty where there was none. */
  readonly status: string;
  readonly logLines: number;
};

/** What goes into the result; problems go to the world's. */
export function judge({ world, phases, watch, status, logLines }: Run): Record<string, unknown> {
  const { problems, kills } = world;
  const sum = (value: (phase: PhaseResult) => number): number =>
    phases.reduce((total, phase) => total + value(phase), 0);
  const board = status === "" ? undefined : (JSON.parse(status) as Status);
  const uncounted = sum((phase) => phase.uncounted);
  for (const { pid, parent } of watch.zombies)
    problems.push(`${pid}, a child of ${parent}, was a zombie for seconds`);

  const unexpected = world.server.complaints.filter(
    ({ msg }) => !EXPECTED.some((pattern) => pattern.test(msg)),
  );
  for (const { pid, msg } of unexpected.slice(0, SHOWN_COMPLAINTS))
    problems.push(`The server's log: ${pid} ${msg}`);
  const died = world.server.complaints.filter(({ msg }) => msg.startsWith("Worker died (SIG"));
  const ours = new Set(kills.map(({ pid }) => pid));
  for (const { pid, msg } of died)
    if (!ours.has(pid)) problems.push(`Nobody killed worker ${pid}: ${msg}`);

  const dropped = board?.counters["logLinesDropped"] ?? 0;
  const requests = Number(board?.totals["requests"]);
  // A killed worker takes along lines of a second, or counts of a second whose lines are there.
  const mostLost = sum((phase) => phase.mostUncounted);
  if (board && Math.abs(requests - logLines - dropped) > mostLost)
    problems.push(`${requests} requests are ${logLines} lines in the log and ${dropped} dropped`);
  if (board && board.samplesLost > kills.length)
    problems.push(`${board.samplesLost} samples were lost with ${kills.length} killed workers`);

  const descriptors = judgeDescriptors(phases, problems);
  return {
    events: world.counts,
    secs: sum((phase) => phase.secs),
    requests: {
      answered: sum((phase) => phase.answered),
      byClient: sumByClient(phases),
      webSocketMessages: sum((phase) => phase.messages),
      lost: sum((phase) => phase.lost),
      turnedAway: sum((phase) => phase.turnedAway),
      retried: sum((phase) => phase.retried),
      counted: requests,
      uncounted,
      mostUncounted: mostLost,
    },
    workersKilled: kills.length,
    restarts: board?.restarts,
    samplesLost: board?.samplesLost,
    generations: board?.generation,
    logLines,
    logLinesDropped: dropped,
    descriptors,
    memory: judgeMemory(phases, watch.supervisorBytes, problems),
    complaints: countBy(world.server.complaints.map(({ msg }) => kindOf(msg))),
  };
}

/** The first and the last phases had nothing but load, and the same configuration. */
function judgeDescriptors(
  phases: readonly PhaseResult[],
  problems: string[],
): Record<string, unknown> {
  const [first, last] = [phases[0], phases.at(-1)];
  if (!first || !last) return {};
  const worst = (phase: PhaseResult): number =>
    Math.max(...phase.workers.map(({ descriptors }) => descriptors));
  if (last.supervisor.descriptors > first.supervisor.descriptors + DESCRIPTOR_SLACK)
    problems.push(
      `The supervisor had descriptors ${JSON.stringify(first.supervisor.kinds)}, and has ${JSON.stringify(last.supervisor.kinds)}`,
    );
  if (worst(last) > worst(first) + DESCRIPTOR_SLACK)
    problems.push(`A worker had ${worst(first)} descriptors, one has ${worst(last)}`);
  return {
    supervisor: [first.supervisor.descriptors, last.supervisor.descriptors],
    worker: [worst(first), worst(last)],
  };
}

function judgeMemory(
  phases: readonly PhaseResult[],
  supervisor: readonly number[],
  problems: string[],
): Record<string, unknown> {
  const least = (all: readonly number[], from: number, to: number): number =>
    Math.min(...all.slice(Math.floor(all.length * from), Math.ceil(all.length * to)));
  const grew = (middle: number, end: number): boolean => end > middle * MAX_GROWTH + SLACK_BYTES;
  // The median of each phase's largest worker: of whatever generation.
  const workers = phases.map((phase) =>
    Math.max(...phase.workers.map(({ residentBytes }) => residentBytes)),
  );
  const middleOf = (from: number, to: number): number => {
    const part = workers.slice(Math.floor(workers.length * from), Math.ceil(workers.length * to));
    return part.toSorted((a, b) => a - b)[Math.floor(part.length / 2)] ?? 0;
  };
  const result = {
    supervisor: {
      start: least(supervisor, 0, 0.2),
      middle: least(supervisor, 0.4, 0.6),
      end: least(supervisor, 0.8, 1),
    },
    worker: { start: middleOf(0, 0.34), middle: middleOf(0.34, 0.67), end: middleOf(0.67, 1) },
    generations: phases.flatMap(({ workers: some }) =>
      some.map(({ generation, residentBytes }) => [generation, residentBytes]),
    ),
  };
  if (supervisor.length < MIN_LOOKS || phases.length < MIN_PHASES)
    return { tooShortToJudge: true, ...result };
  if (grew(result.supervisor.middle, result.supervisor.end))
    problems.push(
      `The supervisor's memory grew from ${result.supervisor.middle} to ${result.supervisor.end}`,
    );
  if (grew(result.worker.start, result.worker.end))
    problems.push(`A worker's memory grew from ${result.worker.start} to ${result.worker.end}`);
  return result;
}

function sumByClient(phases: readonly PhaseResult[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { byClient } of phases)
    for (const [name, count] of Object.entries(byClient)) sums[name] = (sums[name] ?? 0) + count;
  return sums;
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** Without what differs from one time to the next. */
function kindOf(message: string): string {
  return (message.split("\n")[0] ?? "")
    .replaceAll(/\/\S+\//g, "")
    .replaceAll(/\d+/g, "N")
    .slice(0, 120);
}
