// What may happen to a server any day and must not cost a request.

import { once } from "node:events";
import { closeSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { openClear } from "./links.ts";
import { settle } from "./server.ts";
import { mustDo, pause, type GameEvent, type World } from "./world.ts";

const HUPS = 20;
const MAX_GENERATIONS = 4;
const CERTIFICATE_LOOKS_MS = 2_500;
const FULL_MS = 3_000;
const FILL_BYTES = 1024 * 1024;

export const GENTLE: readonly GameEvent[] = [
  gentle("reload", (world) => mustDo(world, "reload")),
  gentle("reopen", async (world) => {
    const log = world.server.path(join(world.site.logs, "access.log"));
    renameSync(log, `${log}.${world.counts["reopen"] ?? 0}`);
    await mustDo(world, "reopen");
  }),
  gentle("certificate", changeCertificate),
  gentle("mistake", async (world) => {
    const { site, server } = world;
    const mistake = site.mistakes[(world.counts["mistake"] ?? 0) % site.mistakes.length];
    if (!mistake) return;
    const before = (await server.status()).generation;
    site.breakWith(mistake);
    const { code, output } = await server.command("reload");
    const after = (await server.status()).generation;
    if (code !== 1 || !mistake.names.test(output) || after !== before)
      world.problems.push(
        `Reload onto ${mistake.what}: exit status ${code}, generation ${before} to ${after}: ${output}`,
      );
    site.configure();
    await mustDo(world, "reload");
  }),
  gentle("hangups", async (world) => {
    const before = (await world.server.status()).generation;
    for (let n = 0; n < HUPS; n += 1) {
      process.kill(world.server.pid, "SIGHUP");
      await pause(1_000 / HUPS);
    }
    await settle("a reload by signal", async () => {
      const { generation, generations } = await world.server.status();
      if (generations.length > MAX_GENERATIONS + 1)
        world.problems.push(`${generations.length} generations at a time`);
      return generation > before;
    });
    // This one comes after all of them.
    await mustDo(world, "reload");
    const { generation } = await world.server.status();
    if (generation - before > HUPS / 2)
      world.problems.push(`${HUPS} SIGHUPs in a second became ${generation - before} reloads`);
  }),
  gentle("restart", (world) => mustDo(world, "restart")),
  gentle("drain", async (world) => {
    const [worker] = await world.server.serving();
    await mustDo(world, "drain", String(worker?.id));
  }),
  gentle("scale", async (world) => {
    await mustDo(world, "scale", String(world.workers + 1));
    await pause(1_000);
    await mustDo(world, "scale", String(world.workers));
  }),
  gentle("distribution", async (world) => {
    const isOdd = (world.counts["distribution"] ?? 0) % 2 === 1;
    world.site.configure({ distribution: isOdd ? "shared" : "balanced" });
    await mustDo(world, "reload");
  }),
  gentle("vhost", async (world) => {
    const { site } = world;
    site.configure({ extraPort: site.extraPort });
    await mustDo(world, "reload");
    try {
      const link = await openClear(site.extraPort);
      const { status } = await link.ask("/nothing-that-is-counted");
      link.close();
      if (status !== 404) world.problems.push(`A new vhost answers with ${status}`);
    } catch (error) {
      world.problems.push(`A new vhost does not answer: ${(error as Error).message}`);
    }
    world.extraAnswers += 1;
    site.configure();
    await mustDo(world, "reload");
    await settle("a vhost that is gone to refuse", () => refuses(site.extraPort));
  }),
  {
    ...gentle("log disk", fillLogDisk),
    missing: ({ server }) =>
      server.hasLogDisk ? undefined : "only root may mount a small disk of its own",
  },
];

function gentle(name: string, run: (world: World) => Promise<void>): GameEvent {
  return { name, isDeadly: false, run };
}

async function changeCertificate(world: World): Promise<void> {
  const { site } = world;
  const old = await servedCertificate(site.ports.secure);
  site.breakCertificate();
  await pause(CERTIFICATE_LOOKS_MS);
  if ((await servedCertificate(site.ports.secure)) !== old)
    world.problems.push("A certificate without its key was put to use");
  site.changeCertificate();
  await settle(
    "the new certificate",
    async () => (await servedCertificate(site.ports.secure)) !== old,
  );
}

async function servedCertificate(port: number): Promise<string> {
  const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

async function fillLogDisk({ server, site }: World): Promise<void> {
  const path = server.path(join(site.logs, "filler"));
  const fd = openSync(path, "w");
  try {
    for (let bytes = FILL_BYTES; bytes >= 1;) {
      try {
        writeSync(fd, Buffer.alloc(bytes));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
        bytes = Math.floor(bytes / 2);
      }
    }
    await pause(FULL_MS);
  } finally {
    closeSync(fd);
    rmSync(path);
  }
}

function refuses(port: number): Promise<boolean> {
  const socket = net.connect(port, "127.0.0.1");
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(false));
    socket.once("error", () => resolve(true));
  }).finally(() => socket.destroy()) as Promise<boolean>;
}
