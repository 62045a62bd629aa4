// Some events under load, and the count afterwards: what the clients saw against what the server says.

import { countDescriptors, descendants, descriptorKinds, residentBytes } from "./processes.ts";
import { classesOf, settle, type Status } from "./server.ts";
import { Tally, unexplained, type Classes } from "./tally.ts";
import { startTraffic } from "./traffic.ts";
import { pause, type GameEvent, type World } from "./world.ts";

const BETWEEN_MS = 700;
/** A worker's last sample before it is killed was a second ago, or some more on a busy machine. */
const UNSAMPLED_MS = 3_000;
const SHOWN_FAILURES = 5;
const STABLE_LOOKS = 3;
const LOOK_MS = 700;

export type PhaseResult = {
  readonly events: readonly string[];
  readonly secs: number;
  readonly answered: number;
  readonly classes: Classes;
  readonly byClient: Readonly<Record<string, number>>;
  readonly messages: number;
  readonly retried: number;
  readonly turnedAway: number;
  /** Requests that failed on killed workers, or for want of descriptors. */
  readonly lost: number;
  /** Answered, but not in the totals: what killed workers had counted since their last sample. */
  readonly uncounted: number;
  readonly mostUncounted: number;
  readonly supervisor: Usage & { readonly kinds: Readonly<Record<string, number>> };
  readonly workers: readonly (Usage & { readonly generation: number })[];
};

export type Usage = { readonly descriptors: number; readonly residentBytes: number };

/** Runs the events one after the other under load. Whatever is wrong goes to the world's problems. */
export async function runPhase(world: World, events: readonly GameEvent[]): Promise<PhaseResult> {
  const { server, site, problems, kills, shortages } = world;
  const isDeadly = events.some((event) => event.isDeadly);
  const tally = new Tally();
  const before = await server.status();
  const startedAt = performance.now();
  const firstKill = kills.length;
  world.extraAnswers = 0;
  const traffic = startTraffic(site.ports, tally);
  try {
    for (const event of events) {
      await pause(BETWEEN_MS);
      try {
        await event.run(world);
      } catch (error) {
        problems.push(`${event.name}: ${(error as Error).message}`);
      }
      world.counts[event.name] = (world.counts[event.name] ?? 0) + 1;
    }
    await pause(BETWEEN_MS);
  } finally {
    await traffic.stop();
  }
  const secs = (performance.now() - startedAt) / 1000;
  const say = (text: string): void =>
    void problems.push(`${events.map(({ name }) => name).join(", ")}: ${text}`);

  const bad = isDeadly ? unexplained(tally.failures, kills, shortages) : tally.failures;
  for (const { client, message, port, at } of bad.slice(0, SHOWN_FAILURES))
    say(`${client}, ${((at - startedAt) / 1000).toFixed(1)} s, port ${port}: ${message}`);
  if (bad.length > SHOWN_FAILURES) say(`${bad.length} requests were lost for no reason`);
  if (!isDeadly && tally.turnedAway > 0) say(`${tally.turnedAway} requests were turned away`);

  const expected = tally.answered + world.extraAnswers;
  const after = await quiet(world, before, isDeadly ? undefined : expected);
  const counted = requestsOf(after) - requestsOf(before);
  const uncounted = expected - counted;
  const mostUncounted = kills
    .slice(firstKill)
    .reduce((sum, { at }) => sum + tally.answeredBetween(at - UNSAMPLED_MS, at), 0);
  if (isDeadly ? uncounted > mostUncounted : uncounted > 0)
    say(`${expected} requests were answered, the server counted ${counted}`);
  // One that failed may have been counted before it did.
  if (counted > expected + tally.failures.length + tally.retried)
    say(
      `${expected} requests were answered and ${tally.failures.length} failed, the server counted ${counted}`,
    );
  if (!isDeadly) compareClasses(world, tally, before, after, say);
  for (const [name, value] of Object.entries(before.totals))
    if (typeof value === "number" && Number(after.totals[name]) < value)
      say(`The total of ${name} fell from ${value} to ${Number(after.totals[name])}`);

  return {
    events: events.map(({ name }) => name),
    secs: Math.round(secs),
    answered: tally.answered,
    classes: tally.classes,
    byClient: tally.byClient,
    messages: tally.messages,
    retried: tally.retried,
    turnedAway: tally.turnedAway,
    lost: tally.failures.length - bad.length,
    uncounted,
    mostUncounted,
    supervisor: { ...usageOf(server.pid), kinds: descriptorKinds(server.pid) },
    workers: after.workers.map(({ pid, generation }) => ({ generation, ...usageOf(pid) })),
  };
}

/** Where no worker died the server has counted what the clients did, to the last request. */
function compareClasses(
  world: World,
  tally: Tally,
  before: Status,
  after: Status,
  say: (text: string) => void,
): void {
  const [old, now] = [classesOf(before), classesOf(after)];
  const grown = now.map((count, index) => count - (old[index] ?? 0));
  // What events asked for themselves is not there.
  const wanted = tally.classes.map(
    (count, index) => count + (index === 3 ? world.extraAnswers : 0),
  );
  if (grown.join() !== wanted.join())
    say(`Answers by class: clients ${wanted.join()}, server ${grown.join()}`);
  for (const [name, where, count] of [
    ["upgrades", "totals", tally.webSockets],
    ["aborted", "totals", tally.left],
    ["http2Connections", "counters", tally.http2Connections],
  ] as const) {
    const growth = Number(after[where][name]) - Number(before[where][name]);
    if (growth !== count) say(`${name}: clients ${count}, server ${growth}`);
  }
}

/** Waits until all clients are forgotten, no program runs, and nobody finishes anything. */
async function quiet(world: World, before: Status, expected: number | undefined): Promise<Status> {
  const { server, workers, problems } = world;
  let status = before;
  let looks = 0;
  let last = -1;
  let others: number[] = [];
  try {
    await settle(
      "quiet",
      async () => {
        status = await server.status();
        const now = requestsOf(status);
        looks = now === last ? looks + 1 : 0;
        last = now;
        const pids = new Set(status.workers.map(({ pid }) => pid));
        others = descendants(server.pid).flatMap(({ pid }) => (pids.has(pid) ? [] : [pid]));
        await pause(LOOK_MS);
        const isCounted = expected !== undefined && now - requestsOf(before) === expected;
        return (
          (isCounted ? looks >= 1 : looks >= STABLE_LOOKS) &&
          status.workers.length === workers &&
          status.workers.every(({ state }) => state === "serving") &&
          others.length === 0
        );
      },
      () =>
        `${others.length} processes too many, workers ${status.workers.map(({ state }) => state).join()}`,
    );
  } catch (error) {
    problems.push((error as Error).message);
  }
  return status;
}

function requestsOf({ totals }: Status): number {
  return Number(totals["requests"]);
}

function usageOf(pid: number): Usage {
  return { descriptors: countDescriptors(pid), residentBytes: residentBytes(pid) };
}
