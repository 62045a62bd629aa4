// Millions of mixed requests on one worker: what they leave in its memory. Files, 304, HEAD, redirects, 404, ranges, a form posted
// to a plugin, a CGI program now and then; pipelined, on connections that come and go; each answer's status is checked.
// Usage: node loadtest/bench/soak.ts [--millions 1] [--minutes 4]. Ends at whichever comes first, writes loadtest/results/soak.json,
// and fails where heap or memory of the end are far above those of the middle.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMachine } from "./machine.ts";
import { launchPortico, makeSite, type Server } from "./servers.ts";
import { createSoakClient } from "./soak-client.ts";
import { LONG_AGO_SECS } from "./works.ts";

const RESULT = fileURLToPath(new URL("../results/soak.json", import.meta.url));
const PORT = 18_085;
const CLIENTS = 32;
const SAMPLE_MS = 1_000;
/** What the first part of a run does to memory is warming up: caches fill, code is compiled. */
const WARM_PART = 0.2;
/** The least of the last fifth may be so much above that of the middle one. */
const MAX_GROWTH = 1.15;
const SLACK_BYTES = 8 * 2 ** 20;

type Sample = { readonly requests: number; readonly heapBytes: number; readonly rssBytes: number };

const { values } = parseArgs({
  options: {
    millions: { type: "string", default: "1" },
    minutes: { type: "string", default: "4" },
  },
});
const most = Number(values.millions) * 1_000_000;
const mostMs = Number(values.minutes) * 60_000;
if (!(most > 0) || !(mostMs > 0)) throw new Error("--millions and --minutes want numbers above 0");

const machine = describeMachine();
const root = mkdtempSync(join(tmpdir(), "portico-soak-"));
makeSite(root);
mkdirSync(join(root, "site", "directory"));
const vhost = {
  name: "localhost",
  port: PORT,
  interface: "127.0.0.1",
  "access-log": join(root, "access.log"),
  mounts: [
    { mountpoint: "/", origin: `file://${join(root, "site")}` },
    { mountpoint: "/cgi", origin: `cgi://${join(root, "hello.cgi")}` },
    { mountpoint: "/post", origin: "callback://protocol-post-demo" },
    { mountpoint: "/metrics", origin: "metrics://" },
  ],
  "ws-protocols": [{ "protocol-post-demo": { status: "ok" } }],
};
const server = await launchPortico(root, PORT, { vhosts: [vhost] });
try {
  await soak();
} finally {
  await server.stop();
  rmSync(root, { recursive: true, force: true });
}

async function soak(): Promise<void> {
  const startedAt = performance.now();
  const client = createSoakClient(PORT, new Date(LONG_AGO_SECS * 1000).toUTCString());
  const isOver = (): boolean => client.answers() >= most || performance.now() - startedAt >= mostMs;
  const samples: Sample[] = [];
  const sampling = setInterval(() => void takeSample(client.answers(), samples), SAMPLE_MS);
  try {
    await Promise.all(Array.from({ length: CLIENTS }, () => client.run(isOver)));
  } finally {
    clearInterval(sampling);
  }
  await takeSample(client.answers(), samples);

  const secs = Math.round((performance.now() - startedAt) / 1000);
  const part = (from: number, to: number): Sample =>
    leastOf(samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to)));
  const report = {
    command: `node loadtest/bench/soak.ts --millions ${values.millions} --minutes ${values.minutes}`,
    machine,
    requests: client.answers(),
    secs,
    kinds: client.kinds(),
    // Each the least of a fifth of the run: what is garbage still counts until it is collected.
    start: part(WARM_PART, WARM_PART + 0.2),
    middle: part(0.4, 0.6),
    end: part(0.8, 1),
  };
  writeFileSync(RESULT, `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(report);
  for (const key of ["heapBytes", "rssBytes"] as const)
    if (report.end[key] > report.middle[key] * MAX_GROWTH + SLACK_BYTES) {
      console.error(`${key} grew from ${report.middle[key]} to ${report.end[key]}`);
      process.exitCode = 1;
    }
}

async function takeSample(requests: number, samples: Sample[]): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${PORT}/metrics`);
  const text = await response.text();
  const heap = /^portico_worker_heap_bytes\{[^}]*\} (\d+)/m.exec(text)?.[1];
  if (heap === undefined) throw new Error(`No heap size in:\n${text.slice(0, 2_000)}`);
  samples.push({ requests, heapBytes: Number(heap), rssBytes: workerBytes(server) });
}

/** VmRSS of the one worker, which is the largest process below the supervisor. */
function workerBytes(portico: Server): number {
  const sizes = portico
    .pids()
    .filter((one) => one !== portico.pid)
    .map((one) => {
      try {
        const status = readFileSync(`/proc/${one}/status`, "latin1");
        return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
      } catch {
        // A CGI program that has ended.
        return 0;
      }
    });
  return Math.max(...sizes);
}

function leastOf(samples: readonly Sample[]): Sample {
  const least = (value: (sample: Sample) => number): number => Math.min(...samples.map(value));
  return {
    requests: least(({ requests }) => requests),
    heapBytes: least(({ heapBytes }) => heapBytes),
    rssBytes: least(({ rssBytes }) => rssBytes),
  };
}
