// The parts of docs/performance.md about programs, WebSockets and memory, from cgi.json, websocket.json and soak.json.

/** What cgi.ts writes. */
export type CgiResult = {
  readonly run: string;
  readonly machine: {
    readonly date: string;
    readonly loadBefore: number;
    readonly cores: number;
    readonly lighttpd: string;
  };
  readonly medians: Readonly<
    Record<string, { readonly perSec: number; readonly cpuUsPerRequest: number }>
  >;
  readonly ratio: number;
  readonly cpuRatio: number;
  readonly starts: readonly {
    readonly by: string;
    readonly rssMb: number;
    readonly medianMs: number;
    readonly p99Ms: number;
    readonly isRealTime: boolean;
  }[];
};

/** What websocket.ts writes. */
export type WebSocketResult = {
  readonly command: string;
  readonly machine: { readonly date: string; readonly loadAverage: number; readonly cores: number };
  readonly results: {
    readonly echo: {
      readonly connections: number;
      readonly bytes: number;
      readonly medians: Readonly<
        Record<string, { readonly perSec: number; readonly cpuUs: number }>
      >;
    };
    readonly broadcast: {
      readonly peers: number;
      readonly workers: number;
      readonly expected: number;
      readonly messages: number;
      readonly p50Ms: number;
      readonly p99Ms: number;
    };
    readonly mirror: { readonly addedP50Ms: number; readonly addedP99Ms: number };
    readonly idle: {
      readonly connections: number;
      readonly bytesEach: Readonly<Record<string, number>>;
    };
  };
};

/** Bars of ours: requests a second of lighttpd's, ms of the event loop for one start. */
const CGI_BAR = 0.85;
const START_BAR_MS = 0.2;
/** Of a bare ws server's messages a second; bytes of an idle connection; ms that another worker adds. */
const ECHO_BAR = 0.9;
const IDLE_BAR_BYTES = 10 * 1024;
const MIRROR_BAR_MS = 1;

/** Programs against lighttpd, and what a start costs the loop. */
export function cgiSection({ run, machine, medians, ratio, cpuRatio, starts }: CgiResult): string {
  const { portico, lighttpd } = medians;
  if (!portico || !lighttpd) throw new Error("cgi.json lacks a server");
  const rows = starts.map(
    ({ by, rssMb, medianMs, p99Ms, isRealTime }) =>
      `| ${by}${isRealTime ? ", real-time" : ""} | ${rssMb} MB | ${medianMs} ms | ${p99Ms} ms |`,
  );
  return `
## Programs

A trivial static CGI program, 16 connections: ${thousands(portico.perSec)} requests a second in one worker, ${thousands(lighttpd.perSec)} in ${machine.lighttpd.split(" ")[0]}; ${ratio} times as many round by round
(${verdict(ratio >= CGI_BAR, `at least ${CGI_BAR}`)}), for ${cpuRatio} times the CPU time, ${portico.cpuUsPerRequest} µs each with the program's own.

How long one start blocks the event loop:

| by | memory of the process | median | p99 |
|---|---|---|---|
${rows.join("\n")}

This is by the clock, from the call until the program runs: how long the loop was not waiting for events. It holds the loop's own work, which does not depend on its memory, and
what the loop waited for: a processor that others had, the started program among them, and libuv's lock, which the thread that started it still holds when the loop wakes up. As a real-time process, which gets
a processor at once, it waits for next to nothing, and that is what the start itself costs. ${startVerdict(starts)} (\`${run}\`, ${machine.date}, ${loadNote(machine.loadBefore, machine.cores)}.)
`;
}

/** The bar is for an ordinary process; what the machine had to do beside it is told by the other one. */
function startVerdict(starts: CgiResult["starts"]): string {
  const worst = (isRealTime: boolean): number =>
    Math.max(
      ...starts
        .filter((start) => start.by === "posix_spawn" && start.isRealTime === isRealTime)
        .map(({ medianMs }) => medianMs),
    );
  const [ordinary, realTime] = [worst(false), worst(true)];
  const bar = verdict(ordinary <= START_BAR_MS, `at most ${START_BAR_MS} ms in the median`);
  return Number.isFinite(realTime)
    ? `${capitalized(bar)} by the ordinary process, ${realTime <= START_BAR_MS ? "held" : "**missed**"} by the real-time one.`
    : `${capitalized(bar)}.`;
}

function capitalized(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/** Echo against a bare server, one message to many, the mirror, idle connections. */
export function webSocketSection({ command, machine, results }: WebSocketResult): string {
  const { echo, broadcast, mirror, idle } = results;
  const { portico, ws } = echo.medians;
  if (!portico || !ws) throw new Error("websocket.json lacks a server");
  const ratio = Math.round((portico.perSec / ws.perSec) * 100) / 100;
  const { portico: ourBytes = NaN, ws: theirBytes = NaN } = idle.bytesEach;
  const missed = broadcast.expected - broadcast.messages;
  return `
## WebSockets

* Echo of ${echo.bytes} bytes, ${echo.connections} connections: ${thousands(portico.perSec)} messages a second in one worker, ${thousands(ws.perSec)} in a bare \`ws\` server, ${ratio} times as many (${verdict(ratio >= ECHO_BAR, `at least ${ECHO_BAR}`)}); ${portico.cpuUs} µs of CPU time each against ${ws.cpuUs}.
* One message of 100 bytes a second to ${thousands(broadcast.peers)} peers over ${broadcast.workers} workers: ${missed === 0 ? "each gets each" : `**${missed} of ${broadcast.expected} are missing**`}, half of them within ${round(broadcast.p50Ms)} ms, 99 % within ${round(broadcast.p99Ms)} ms.
* What somebody says in \`lws-mirror-protocol\` a client of another worker hears ${mirror.addedP50Ms} ms later than the sender itself in the median (${verdict(mirror.addedP50Ms <= MIRROR_BAR_MS, `at most ${MIRROR_BAR_MS} ms`)}), p99 ${mirror.addedP99Ms} ms.
* ${thousands(idle.connections)} that wait in one worker take ${round(ourBytes / 1024)} KiB each (${verdict(ourBytes <= IDLE_BAR_BYTES, "at most 10")}), in a bare \`ws\` server ${round(theirBytes / 1024)}.

(\`${command}\`, ${machine.date}, ${loadNote(machine.loadAverage, machine.cores)}; clients on the same machine.)
`;
}

function loadNote(loadAverage: number, cores: number): string {
  const note = `load average before it ${round(loadAverage)}`;
  return loadAverage > cores / 2
    ? `${note} — **others were at work on this machine: figures are worse than they need be, and ratios are rough**`
    : note;
}

function verdict(isHeld: boolean, bar: string): string {
  return `bar: ${bar}, ${isHeld ? "held" : "**missed**"}`;
}

function thousands(value: number): string {
  return value.toLocaleString("en-GB");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

type SoakSample = {
  readonly requests: number;
  readonly heapBytes: number;
  readonly rssBytes: number;
};

/** What soak.ts writes. */
export type SoakResult = {
  readonly command: string;
  readonly machine: {
    readonly date: string;
    readonly commit: string;
    readonly loadAverage: number;
    readonly cores: number;
  };
  readonly requests: number;
  readonly secs: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly start: SoakSample;
  readonly middle: SoakSample;
  readonly end: SoakSample;
};

/** What millions of requests leave in memory. */
export function soakSection(result: SoakResult): string {
  const { command, machine, requests, secs, kinds } = result;
  const rows = (["start", "middle", "end"] as const).map((part) => {
    const sample = result[part];
    return `| ${part} | ${thousands(sample.requests)} | ${mebibytes(sample.heapBytes)} | ${mebibytes(sample.rssBytes)} |`;
  });
  const mix = Object.entries(kinds).map(([kind, count]) => `${thousands(count)} ${kind}`);
  return `
## Memory under load

${thousands(requests)} requests in ${secs} s to one worker (${mix.join(", ")}), pipelined, on connections that come and go.

| | after requests | heap | memory of the worker |
|---|---|---|---|
${rows.join("\n")}

The least of the second, the middle and the last fifth of the run (\`${command}\`, ${machine.date}, commit ${machine.commit}, load average before it ${machine.loadAverage} on ${machine.cores} cores).
`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}
