// CPU per TLS handshake of one worker against one nginx worker: full and resumed, TLS 1.2 and 1.3, with the same
// certificate, version and key exchange (X25519, as nginx's OpenSSL knows no ML-KEM), and of a connection without one.
// Usage: node loadtest/bench/handshakes.ts. Needs nginx and openssl. Writes loadtest/results/handshakes.json.
// The client is our own, because wrk resumes whenever it can, and a server's CPU time does not depend on its client's speed.

import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { availableParallelism, cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { fileURLToPath } from "node:url";
import { cpuUsOf, launchNginx, launchPortico, type Server } from "./servers.ts";

const ROUNDS = 15;
const HANDSHAKES = 500;
/** Code that runs a few hundred times a second is compiled late, and compiling counts, too. */
const WARM_UP = 10_000;
const AT_ONCE = 8;
const RESULT = fileURLToPath(new URL("../results/handshakes.json", import.meta.url));
const CIPHERS =
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305";
const GROUPS = "X25519:prime256v1";

type Mode = {
  readonly name: string;
  /** Undefined connects and closes without TLS. */
  readonly version: tls.SecureVersion | undefined;
  readonly resumes: boolean;
  /** Least part of nginx's handshakes per second of CPU time. */
  readonly bar?: number;
};

const modes: readonly Mode[] = [
  { name: "TCP connection alone", version: undefined, resumes: false },
  { name: "TLS 1.3 full", version: "TLSv1.3", resumes: false, bar: 0.85 },
  { name: "TLS 1.3 resumed", version: "TLSv1.3", resumes: true },
  { name: "TLS 1.2 full", version: "TLSv1.2", resumes: false, bar: 0.85 },
  { name: "TLS 1.2 resumed", version: "TLSv1.2", resumes: true, bar: 0.7 },
];

const loadBefore = loadavg()[0] ?? 0;
const root = mkdtempSync(join(tmpdir(), "portico-bench-"));
const [cert, key] = [join(root, "cert.pem"), join(root, "key.pem")];
execFileSync(
  "openssl",
  "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout"
    .split(" ")
    .concat(key, "-out", cert),
  { stdio: "ignore" },
);
mkdirSync(join(root, "site"));
const servers = [await startPortico(18_083), await startNginx(18_084)];
try {
  const results = [];
  for (const mode of modes) {
    const rounds = new Map<string, number[]>(servers.map(({ name }) => [name, []]));
    for (const server of servers) await measure(server, mode, WARM_UP);
    for (let round = 0; round < ROUNDS; round += 1)
      for (const server of servers)
        rounds.get(server.name)?.push(await measure(server, mode, HANDSHAKES));
    const [ours = [], theirs = []] = servers.map(({ name }) => rounds.get(name));
    const cpuUs = { portico: median(ours), nginx: median(theirs) };
    // Round by round: what else the machine does meanwhile falls on both.
    const ratios = ours.map((us, index) => (theirs[index] ?? 0) / us);
    const ratio = Math.round(median(ratios) * 100) / 100;
    results.push({
      mode: mode.name,
      cpuUs,
      perCpuSecondOfNginx: ratio,
      ...(mode.bar !== undefined && { bar: mode.bar }),
      rounds: Object.fromEntries(rounds),
    });
    console.log(mode.name, cpuUs, ratio);
  }
  const report = {
    command: "node loadtest/bench/handshakes.ts",
    machine: describeMachine(),
    handshakes: HANDSHAKES,
    atOnce: AT_ONCE,
    results,
  };
  writeFileSync(RESULT, `${JSON.stringify(report, undefined, 2)}\n`);
} finally {
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(root, { recursive: true, force: true });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function startPortico(port: number): Promise<Server> {
  const vhost = {
    name: "localhost",
    port,
    interface: "127.0.0.1",
    "host-ssl-cert": cert,
    "host-ssl-key": key,
    // As nginx has them, instead of the defaults with their post-quantum group.
    ciphers: CIPHERS,
    "ecdh-curve": GROUPS,
    mounts: [{ mountpoint: "/", origin: `file://${join(root, "site")}` }],
  };
  return launchPortico(root, port, { global: { "init-ssl": "1" }, vhosts: [vhost] });
}

function startNginx(port: number): Promise<Server> {
  return launchNginx(
    root,
    port,
    `access_log off;
  server { listen 127.0.0.1:${port} ssl backlog=4096; root ${root}/site;
    ssl_certificate ${cert}; ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ${CIPHERS}; ssl_ecdh_curve ${GROUPS};
    ssl_session_tickets on; ssl_session_cache off; }`,
  );
}

/** Microseconds of the server's CPU time per connection. */
async function measure(server: Server, mode: Mode, count: number): Promise<number> {
  const session = mode.resumes ? await obtainSession(server, mode) : undefined;
  let left = count;
  const before = cpuUsOf(server.pid);
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await (mode.version === undefined ? connectOnce(server) : shakeHands(server, mode, session));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  return Math.round(((cpuUsOf(server.pid) - before) / count) * 10) / 10;
}

async function connectOnce(server: Server): Promise<void> {
  const socket = net.connect({ port: server.port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  socket.end();
  socket.resume();
  await once(socket, "close");
}

function connect(server: Server, mode: Mode, session: Buffer | undefined): tls.TLSSocket {
  return tls.connect({
    port: server.port,
    host: "127.0.0.1",
    servername: "localhost",
    rejectUnauthorized: false,
    ...(mode.version && { minVersion: mode.version, maxVersion: mode.version }),
    // P-256 is for the certificate, which TLS 1.2 counts among the groups.
    ecdhCurve: GROUPS,
    ...(session && { session }),
  });
}

async function shakeHands(server: Server, mode: Mode, session: Buffer | undefined): Promise<void> {
  const socket = connect(server, mode, session);
  await once(socket, "secureConnect");
  if (socket.isSessionReused() !== mode.resumes)
    throw new Error(
      `${server.name}, ${mode.name}: the session was ${mode.resumes ? "not " : ""}resumed`,
    );
  socket.end();
  socket.resume();
  await once(socket, "close");
}

/** The ticket of TLS 1.3 comes after the handshake, so the client asks for something and waits. */
async function obtainSession(server: Server, mode: Mode): Promise<Buffer> {
  const socket = connect(server, mode, undefined);
  const [session] = (await once(socket, "session")) as [Buffer];
  socket.destroy();
  return session;
}

function describeMachine(): Record<string, unknown> {
  const run = (program: string, args: readonly string[]): string => {
    const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
    return stdout + stderr;
  };
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model,
    cores: availableParallelism(),
    // Far above the number of cores others were at work, and figures are inflated.
    loadAverage: Math.round(loadBefore * 10) / 10,
    kernel: release(),
    node: process.version,
    nodeOpenssl: process.versions.openssl,
    nginx: run("nginx", ["-v"]).trim(),
    nginxOpenssl: /OpenSSL [\d.]+/.exec(run("nginx", ["-V"]))?.[0] ?? "",
    commit: run("git", ["rev-parse", "--short", "HEAD"]).trim(),
  };
}
