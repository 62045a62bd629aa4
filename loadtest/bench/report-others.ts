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
    readonly longestMedianMs: number;
  }[];
};

/** What handshakes.ts writes. */
export type HandshakeResult = {
  readonly command: string;
  readonly machine: {
    readonly date: string;
    readonly loadAverage: number;
    readonly cores: number;
    readonly nodeOpenssl: string;
    readonly nginxOpenssl: string;
  };
  readonly handshakes: number;
  readonly atOnce: number;
  readonly results: readonly {
    readonly mode: string;
    readonly cpuUs: { readonly portico: number; readonly nginx: number };
    readonly perCpuSecondOfNginx: number;
    readonly bar?: number;
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

/** Connections that do nothing but begin, against nginx. */
export function handshakeSection(result: HandshakeResult): string {
  const { command, machine, handshakes, atOnce, results } = result;
  const rows = results.map(
    ({ mode, cpuUs, perCpuSecondOfNginx: ratio, bar }) =>
      `| ${mode} | ${cpuUs.portico} µs | ${cpuUs.nginx} µs | ${ratio} | ${bar === undefined ? "–" : verdict(ratio >= bar, `at least ${bar}`)} |`,
  );
  return `
## TLS handshakes

CPU time of all processes for a connection that is opened and closed again, the same certificate (P-256), version and key exchange (X25519), ${handshakes} connections a round, ${atOnce} at once, both servers warm; the
ratio is the median of the rounds. OpenSSL is ${machine.nodeOpenssl} in Node, and ${machine.nginxOpenssl.replace("OpenSSL ", "")} in nginx.

| connection | Portico | nginx | ratio | |
|---|---|---|---|---|
${rows.join("\n")}

OpenSSL takes about as long in both. We answer the client's goodbye, as RFC 8446 6.1 has it, which nginx leaves out, and ask epoll twice a turn, because libuv's loop stands above ours; the rest is JavaScript. (\`${command}\`, ${machine.date}, ${loadNote(machine.loadAverage, machine.cores)}.)
`;
}

/** Programs against lighttpd, and what a start costs the loop. */
export function cgiSection({ run, machine, medians, ratio, cpuRatio, starts }: CgiResult): string {
  const { portico, lighttpd } = medians;
  if (!portico || !lighttpd) throw new Error("cgi.json lacks a server");
  const rows = starts.map(
    ({ by, rssMb, medianMs, p99Ms, longestMedianMs }) =>
      `| ${by} | ${rssMb} MB | ${medianMs} ms | ${p99Ms} ms | ${longestMedianMs} ms |`,
  );
  return `
## Programs

A trivial static CGI program, 16 connections: ${thousands(portico.perSec)} requests a second in one worker, ${thousands(lighttpd.perSec)} in ${machine.lighttpd.split(" ")[0]}; ${ratio} times as many round by round
(${verdict(ratio >= CGI_BAR, `at least ${CGI_BAR}`)}), for ${cpuRatio} times the CPU time, ${portico.cpuUsPerRequest} µs each with the program's own.

How long one start blocks the event loop:

| by | memory of the process | median | p99 | longest wait in one, median |
|---|---|---|---|---|
${rows.join("\n")}

From the call until the program runs, in a loop that is never idle: how much longer than usual its turns take, so much later all others are served. ${startVerdict(starts)} (\`${run}\`, ${machine.date}, ${loadNote(machine.loadBefore, machine.cores)}.)
`;
}

function startVerdict(starts: CgiResult["starts"]): string {
  const ours = starts.filter(({ by }) => by === "posix_spawn").map(({ medianMs }) => medianMs);
  const isHeld = Math.max(...ours) <= START_BAR_MS;
  return `${capitalized(verdict(isHeld, `at most ${START_BAR_MS} ms in the median`))}.`;
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
