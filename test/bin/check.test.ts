import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import test, { type TestContext } from "node:test";
import type { Problem } from "../../config/problems.ts";
import { writeConfig, type Files } from "../config/fixture.ts";
import { runPortico, startPortico } from "../helpers/server.ts";

const IS_ROOT = process.getuid?.() === 0;

type Checked = {
  readonly root: string;
  readonly code: number | null;
  /** Without the warning that root gets. */
  readonly lines: readonly string[];
  readonly stderr: string;
};

async function check(t: TestContext, files: Files): Promise<Checked> {
  const root = writeConfig(t, files);
  const { code, stdout, stderr } = await runPortico(["check", "-c", root]);
  const lines = stdout.replaceAll(root, "ROOT").trimEnd().split("\n");
  const [first = ""] = lines;
  if (!IS_ROOT || !first.startsWith("warning: Workers run as root"))
    return { root, code, lines, stderr };
  const rest = lines
    .slice(1)
    .map((line) => line.replace(/, 1 warning(?= and )|(?:; | and )1 warning$/, ""));
  return { root, code, lines: rest, stderr };
}

function plugin(name: string, start: string): string {
  return `export default { name: "${name}", start() { ${start} } };\n`;
}

test("check of a sound configuration says so and leaves nothing behind", async (t) => {
  const { root, code, lines, stderr } = await check(t, {
    "plugins/talker.mjs": `console.log("imported");\n${plugin("talker", "return {};")}`,
    "old.log": "kept\n",
    conf: '{"global": {"plugin-dir": "plugins", "pid-file": "x.pid"}}',
    "conf.d/site": JSON.stringify({
      vhosts: [
        { name: "a", port: 1, "access-log": "../new.log", "ws-protocols": { talker: {} } },
        { name: "b", "unix-socket": 1, interface: "../b.sock", "access-log": "../old.log" },
      ],
    }),
  });
  assert.deepEqual(lines, ["ROOT: can be served, 2 vhosts in conf, conf.d/site"]);
  assert.equal(stderr, "imported\n", "what a plugin prints is not part of the report");
  assert.equal(code, 0);
  assert.deepEqual(readdirSync(root).toSorted(), ["conf", "conf.d", "old.log", "plugins"]);
  assert.equal(readFileSync(join(root, "old.log"), "utf8"), "kept\n");
});

test("check tells at once what the reader, the supervisor and a worker find", async (t) => {
  const { code, lines } = await check(t, {
    "plugins/fussy.mjs": plugin("fussy", 'throw new Error("no ink")'),
    "plugins/broken.mjs": "export default 1;\n",
    "log/": "",
    conf: [
      '{"global": {"plugin-dir": "plugins", "stop_secs": 1, "interface": "x"},',
      ' "vhosts": [{"name": "a", "port": 1, "noipv6": 1, "access-log": "log",',
      '  "ws-protocols": {"fussy": {},',
      '   "nobody": {}},',
      '  "mounts": [{"mountpoint": "/", "origin": "callback://fussy", "intrepret": []}]}]}',
    ].join("\n"),
  });
  assert.deepEqual(lines, [
    'notice: conf:1:54 global.interface: "interface" never had an effect in lwsws either; set interface in each vhost',
    "error: conf:1:27 global.plugin-dir: ROOT/plugins/broken.mjs: Expected a default export made by defineProtocol()",
    'error: conf:1:38 global.stop_secs: Unknown key "stop_secs" in "global"; it has no effect; did you mean "stop-secs"?',
    'error: conf:2:65 vhosts[0].access-log: Cannot open "ROOT/log": EISDIR',
    'error: conf:3:29 vhosts[0].ws-protocols.fussy: Protocol "fussy" did not start: no ink',
    'error: conf:4:14 vhosts[0].ws-protocols.nobody: No plugin serves protocol "nobody", known are dumb-increment-protocol, fussy, lws-deaddrop, lws-mirror-protocol, lws-server-status, lws-status, protocol-lws-raw-test, protocol-post-demo, raw-proxy',
    'error: conf:5:64 vhosts[0].mounts[0].intrepret: Unknown key "intrepret" in a mount; it has no effect; did you mean "interpret"?',
    "ROOT: 6 errors and 1 notice",
  ]);
  assert.equal(code, 1);
});

test("check makes unknown keys errors where run only warns", async (t) => {
  const files = { conf: '{"vhosts": [{"port": 0, "nmae": "a"}]}' };
  const { code, lines } = await check(t, files);
  assert.deepEqual(lines, [
    'error: conf:1:25 vhosts[0].nmae: Unknown key "nmae" in a vhost; it has no effect; did you mean "name"?',
    "ROOT: 1 error",
  ]);
  assert.equal(code, 1);
});

test("check of files that cannot be read tells their mistakes", async (t) => {
  const { code, lines } = await check(t, {
    conf: '{"vhosts": [{"port": 99999, "zzzzzz": 1}]}',
    "conf.d/a": '{"vhosts": [{"port": 1}}\n',
  });
  assert.equal(lines.length, 4, lines.join("\n"));
  assert.match(lines[0] ?? "", /^error: conf:1:22 vhosts\[0\]\.port: Expected a whole number/);
  assert.match(lines[1] ?? "", /^error: conf:1:29 vhosts\[0\]\.zzzzzz: Unknown key/);
  assert.match(lines[2] ?? "", /^error: conf\.d\/a:1:24: Found "}"/);
  assert.equal(lines[3], "ROOT: 3 errors");
  assert.equal(code, 1);
});

test("check tells of a worker that dies", async (t) => {
  const { code, lines } = await check(t, {
    "plugins/bad.mjs": "process.exit(3);\n",
    conf: '{"global": {"plugin-dir": "plugins"}, "vhosts": [{"port": 1}]}',
  });
  assert.deepEqual(lines, [
    "error: Worker 0 ended before it served (exit status 3)",
    "ROOT: 1 error",
  ]);
  assert.equal(code, 1);
});

test("check gives up on a worker that does not become ready", async (t) => {
  const { code, lines } = await check(t, {
    "plugins/slow.mjs": "setInterval(() => {}, 1000);\nawait new Promise(() => {});\n",
    conf: '{"global": {"plugin-dir": "plugins", "ready-secs": 1}, "vhosts": [{"port": 1}]}',
  });
  assert.deepEqual(lines, [
    "error: Not every worker was ready within ready-secs (1)",
    "ROOT: 1 error",
  ]);
  assert.equal(code, 1);
});

test("check --json prints an array of problems", async (t) => {
  const root = writeConfig(t, {
    "plugins/talker.mjs": `console.log("[");\n${plugin("talker", "return {};")}`,
    conf: '{"global": {"plugin-dir": "plugins"}, "vhosts": [{"port": 1, "nmae": "a"}]}',
  });
  const { code, stdout } = await runPortico(["check", "-c", root, "--json"]);
  const problems = JSON.parse(stdout) as Problem[];
  assert.deepEqual(
    problems.filter((problem) => problem.severity === "error"),
    [
      {
        severity: "error",
        file: "conf",
        line: 1,
        column: 62,
        source: '{"global": {"plugin-dir": "plugins"}, "vhosts": [{"port": 1, "nmae": "a"}]}',
        path: "vhosts[0].nmae",
        message: 'Unknown key "nmae" in a vhost; it has no effect; did you mean "name"?',
        code: "unknown-key",
      },
    ],
  );
  assert.equal(code, 1);
});

test("check runs beside a server of the same configuration", async (t) => {
  const portico = await startPortico(t, {
    conf: { vhosts: [{ name: "a", port: 0, "access-log": "access.log" }] },
    workers: 1,
  });
  const before = await portico.status();
  const { code, stdout } = await runPortico(["check", "-c", portico.directory]);
  assert.match(stdout, /: can be served, 1 vhost in conf/);
  assert.equal(code, 0);
  const after = await portico.status();
  assert.deepEqual(
    after.workers.map(({ pid, state }) => [pid, state]),
    before.workers.map(({ pid, state }) => [pid, state]),
  );
});

test(
  "check finds what the workers' user may not do",
  { skip: !IS_ROOT && "needs root" },
  async (t) => {
    const root = writeConfig(t, {
      "closed/run.cgi": "#!/bin/sh\n",
      conf: JSON.stringify({
        global: { username: "nobody" },
        vhosts: [
          {
            port: 1,
            "access-log": "closed/access.log",
            mounts: [{ mountpoint: "/", origin: "cgi://closed/run.cgi" }],
          },
        ],
      }),
    });
    chmodSync(root, 0o755);
    chmodSync(join(root, "closed"), 0o700);
    const { code, stdout } = await runPortico(["check", "-c", root]);
    assert.deepEqual(stdout.replaceAll(root, "ROOT").trimEnd().split("\n"), [
      'error: conf:1:66 vhosts[0].access-log: Cannot open "ROOT/closed/access.log": EACCES',
      'error: conf:1:96 vhosts[0].mounts[0].cgi-chdir: Cannot enter "ROOT/closed": EACCES',
      'error: conf:1:123 vhosts[0].mounts[0].origin: Cannot run "ROOT/closed/run.cgi": EACCES',
      "ROOT: 3 errors",
    ]);
    assert.equal(code, 1);
  },
);

test("check names a user that does not exist", async (t) => {
  const { code, lines } = await check(t, {
    conf: '{"global": {"username": "no-such-user"}, "vhosts": [{"port": 1}]}',
  });
  assert.deepEqual(lines, [
    'error: conf:1:25 global.username: Unknown user "no-such-user"',
    "ROOT: 1 error",
  ]);
  assert.equal(code, 1);
});

for (const command of [["check"], ["dump"], ["explain", "http://a/"], ["run"]])
  test(`${command[0]} of a directory without a configuration says so in one sentence`, async (t) => {
    const root = writeConfig(t, { "empty/": "", file: "" });
    const cases = [
      [
        "none",
        /^portico: The configuration directory "\S+\/none" does not exist; name another one/,
      ],
      ["empty", /^portico: "\S+\/empty" holds no configuration, neither a file "conf" nor/],
      ["file", /^portico: "\S+\/file" is not a directory; -c takes the one that holds "conf"\n$/],
    ] as const;
    for (const [name, sentence] of cases) {
      const { code, stdout, stderr } = await runPortico([...command, "-c", join(root, name)]);
      assert.match(stderr, sentence);
      assert.equal(stderr.split("\n").length, 2, stderr);
      assert.equal(stdout, "");
      assert.equal(code, 1);
    }
  });

test("schema ends quietly where its reader has seen enough", async () => {
  const launcher = join(import.meta.dirname, "../../bin/portico.mjs");
  const shell = spawn("sh", ["-c", `"${process.execPath}" "${launcher}" schema | head -c 1`]);
  const [stdout, stderr] = await Promise.all([text(shell.stdout), text(shell.stderr)]);
  assert.equal(stderr, "");
  assert.equal(stdout, "{");
});

test("status of a directory that is not there says what to do", async (t) => {
  const { code, stderr } = await runPortico(["status", "-c", join(writeConfig(t, {}), "none")]);
  assert.match(stderr, /^portico: The configuration directory "\S+\/none" does not exist; name/);
  assert.equal(code, 1);
});
