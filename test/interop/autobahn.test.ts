// The Autobahn test-suite against an echo protocol, in clear and compressed. install-autobahn.sh installs it.
// Left out: 9.3.1 to 9.3.4 and 9.4.1 to 9.4.4, messages of more than 1,024 fragments, which are refused on purpose; of the 216
// cases of compression, which take an hour and have all been OK when they were run, all but 15.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { needs } from "../helpers/programs.ts";
import { startPortico } from "../helpers/server.ts";

const run = promisify(execFile);

const INSTALLED = join(import.meta.dirname, "../../build/autobahn");
/** The largest message of its cases. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const ECHO_PLUGIN = `export default {
  name: "echo",
  maxMessageBytes: ${MAX_MESSAGE_BYTES},
  sendQueue: { maxBytes: ${2 * MAX_MESSAGE_BYTES} },
  start: () => ({
    message: (peer, message, isBinary) => void peer.send(isBinary ? message : message.toString()),
  }),
};`;

const PROTOCOL = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];
const FRAGMENTS = ["9.3.1", "9.3.2", "9.3.3", "9.3.4", "9.4.1", "9.4.2", "9.4.3", "9.4.4"];
/** 1,000 messages of 16 bytes with each kind of data and each set of parameters, of 1 KiB, of 8 KiB in fragments of 256 bytes. */
const COMPRESSION = ["12.1.1", "12.2.1", "12.3.1", "12.4.1", "12.5.1", "12.1.4", "12.1.11"].concat([
  "13.1.1",
  "13.2.1",
  "13.3.1",
  "13.4.1",
  "13.5.1",
  "13.6.1",
  "13.7.1",
  "13.1.4",
]);
const PASSED = new Set(["OK", "NON-STRICT", "INFORMATIONAL"]);

type Outcome = { readonly behavior: string; readonly behaviorClose: string };

/** Undefined once the test is skipped. */
function findSuite(t: TestContext): string | undefined {
  const program = join(INSTALLED, "bin/wstest");
  const pyenv = process.env["PYENV_ROOT"] ?? join(homedir(), ".pyenv");
  const pythons = [
    ...globSync("versions/2.7*/bin/python2.7", { cwd: pyenv }),
    "/usr/bin/python2.7",
  ];
  // Not even CI can have it everywhere.
  if (!existsSync(program) && !pythons.some((python) => existsSync(resolve(pyenv, python)))) {
    t.skip("The Autobahn test-suite needs Python 2.7, which is not here");
    return undefined;
  }
  return needs(t, "The Autobahn test-suite (test/interop/install-autobahn.sh)", [program]);
}

/** Runs cases (with "*" for all of a group) and tells how each went. */
async function outcomes(
  t: TestContext,
  program: string,
  options: Readonly<Record<string, unknown>>,
  cases: readonly string[],
  left: readonly string[] = [],
): Promise<Map<string, Outcome>> {
  const portico = await startPortico(t, {
    conf: {
      global: { "plugin-dir": "plugins" },
      vhosts: [
        {
          name: "localhost",
          interface: "127.0.0.1",
          port: 0,
          mounts: [],
          "ws-protocols": { echo: { default: true, ...options } },
        },
      ],
    },
    files: { "plugins/echo.mjs": ECHO_PLUGIN },
    workers: 1,
  });
  const reports = join(portico.directory, "reports");
  const specification = {
    outdir: reports,
    servers: [{ agent: "portico", url: `ws://127.0.0.1:${portico.port()}` }],
    cases,
    "exclude-cases": left,
    "exclude-agent-cases": {},
  };
  portico.write("specification.json", JSON.stringify(specification));
  const file = join(portico.directory, "specification.json");
  await run(program, ["-m", "fuzzingclient", "-s", file], {
    env: { ...process.env, PYTHONUSERBASE: INSTALLED },
    maxBuffer: Infinity,
  });
  const report: { portico: Record<string, Outcome> } = JSON.parse(
    readFileSync(join(reports, "index.json"), "utf8"),
  );
  return new Map(Object.entries(report.portico));
}

function assertPassed(all: ReadonlyMap<string, Outcome>, atLeast: number): void {
  const failed = [...all].filter(
    ([, { behavior, behaviorClose }]) => !PASSED.has(behavior) || !PASSED.has(behaviorClose),
  );
  assert.deepEqual(failed, []);
  assert.ok(all.size >= atLeast, `${all.size} cases were run`);
}

suite("The Autobahn test-suite passes", { concurrency: true }, () => {
  test("in clear", async (t) => {
    const program = findSuite(t);
    if (program === undefined) return;
    const all = await outcomes(t, program, {}, [...PROTOCOL, "9.*"], FRAGMENTS);
    assertPassed(all, 293);
  });

  test("with permessage-deflate", async (t) => {
    const program = findSuite(t);
    if (program === undefined) return;
    const compressed = { "permessage-deflate": true };
    assertPassed(await outcomes(t, program, compressed, [...PROTOCOL, ...COMPRESSION]), 262);
  });
});
