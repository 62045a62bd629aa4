// slowhttptest in its four modes: whatever its hundreds of connections hold on to, others are answered.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "node:test";
import { needs } from "../helpers/programs.ts";
import { startPortico } from "../helpers/server.ts";
import { READS_PLUGIN } from "../helpers/reads-plugin.ts";
import { fetchOnce } from "../helpers/traffic.ts";

const BIG_BYTES = 8 * 1024 * 1024;
const SMALL = { status: 200, bytes: 5 };
/** A request of somebody else must not take longer, ms; the attack goes on meanwhile. */
const PATIENCE_MS = 3_000;
const CONNECTIONS = "300";
const SECONDS = "8";

const MODES: Readonly<Record<string, readonly string[]>> = {
  "slow headers": ["-H", "-i", "2", "-x", "10"],
  "slow bodies": ["-B", "-i", "2", "-s", "8192", "-x", "10"],
  "slow reads": ["-X", "-w", "1", "-y", "8", "-n", "5", "-z", "32", "-k", "3"],
  ranges: ["-R", "-a", "10", "-b", "3000"],
};

for (const [mode, options] of Object.entries(MODES))
  test(`slowhttptest, ${mode}: the server answers others`, async (t) => {
    const program = needs(t, "slowhttptest", ["slowhttptest"]);
    if (program === undefined) return;
    const portico = await startPortico(t, {
      conf: {
        global: { "timeout-secs": 3, "send-secs": 3, "plugin-dir": "plugins" },
        vhosts: [
          {
            port: 0,
            interface: "127.0.0.1",
            mounts: [
              { mountpoint: "/", origin: "file://public" },
              { mountpoint: "/reads", origin: "callback://reads" },
            ],
            "ws-protocols": [{ reads: {} }],
          },
        ],
      },
      files: {
        "public/small": "hello",
        "public/big": Buffer.alloc(BIG_BYTES),
        "plugins/reads.mjs": READS_PLUGIN,
      },
      workers: 2,
      expect: [/^Full: closed idle/, /^Refused a connection/],
    });
    const common = ["-c", CONNECTIONS, "-r", "200", "-l", SECONDS, "-p", "3"];
    const attack = spawn(
      program,
      [...options, ...common, "-u", `${portico.url()}/${mode === "slow bodies" ? "reads" : "big"}`],
      {
        stdio: ["ignore", "pipe", "ignore"],
      },
    );
    let report = "";
    attack.stdout.on("data", (chunk: Buffer) => (report += chunk.toString("latin1")));
    const over = once(attack, "exit");
    t.after(() => attack.kill("SIGKILL"));
    let answered = 0;
    while (attack.exitCode === null && attack.signalCode === null) {
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(
        () => late.reject(new Error(`Late: ${report.slice(-600)}`)),
        PATIENCE_MS,
      );
      await Promise.race([fetchOnce(`${portico.url()}/small`, false, SMALL), late.promise]);
      clearTimeout(timer);
      answered += 1;
      await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 50))]);
    }
    // Its own opinion, from a connection of its own.
    // oxlint-disable-next-line no-control-regex -- colours of a terminal
    const plain = report.replace(/\u001b\[[\d;]*m/g, "");
    assert.match(plain, /service available:\s+YES/);
    assert.doesNotMatch(plain, /service available:\s+NO/);
    const { clientsTooSlow } = (await portico.status()).counters;
    const states = /initializing:[^]*?service/.exec(
      plain.slice(plain.lastIndexOf("initializing:")),
    );
    t.diagnostic(
      `${answered} others answered; ${clientsTooSlow} cut; ${states?.[0].replace(/\s+/g, " ") ?? ""}`,
    );
  });
