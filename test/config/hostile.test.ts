// What a careless editor or an attacker can put into a configuration: each mistake is said once, with its place, and
// nothing exhausts memory.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig } from "../../config/load.ts";
import { ConfigError, formatProblem } from "../../config/problems.ts";
import { load, vhostText, writeConfig, type Files } from "./fixture.ts";

const GOOD = vhostText('"name": "good"');

const refused: readonly [name: string, files: Files, errors: string[]][] = [
  [
    "a header given twice, once",
    { conf: vhostText('"headers": [{"X-A": "1", "X-A": "2"}]') },
    ['conf:1 ‹"X-A"› vhosts[0].headers[0].X-A: Given twice in one object; first at conf:1:38'],
  ],
  [
    "a definition given twice, once",
    { conf: '{"=A": "1", "=A": "2", "vhosts": [{"port": 0}]}' },
    ['conf:1 ‹"=A"› =A: Given twice in one object; first at conf:1:2'],
  ],
  [
    "__proto__ everywhere, once each",
    { conf: '{"__proto__": {}, "vhosts": [{"port": 0,\n"__pr\\u006fto__": 1}]}' },
    [
      'conf:1 ‹"__proto__"› __proto__: "__proto__" cannot be a key',
      'conf:2 ‹"__pr\\u006fto__"› vhosts[0].__proto__: "__proto__" cannot be a key',
    ],
  ],
  [
    "a definition that uses itself or a later one, and nothing that uses it",
    {
      conf: '{"=A": "${A}",\n"=B": "${C}",\n"=C": "c", "vhosts": [{"port": "${A}", "name": "${B}"}]}',
    },
    [
      'conf:1 ‹"${A}"› =A: "=A" at conf:1:2 is not read yet; a definition may use those before it',
      'conf:2 ‹"${C}"› =B: "=C" at conf:3:1 is not read yet; a definition may use those before it',
    ],
  ],
  [
    "a variable that is not there, and not the value that is left",
    { conf: '{"vhosts": [{"port": "${env:NO_PORT}"}]}' },
    ['conf:1 ‹"${env:NO_PORT}"› vhosts[0].port: The environment has no variable "NO_PORT"'],
  ],
  [
    "definitions that multiply, once",
    {
      conf: JSON.stringify(
        {
          "=A0": "x".repeat(1_000),
          ...Object.fromEntries(
            Array.from({ length: 30 }, (_, n) => [`=A${n + 1}`, `\${A${n}}`.repeat(10)]),
          ),
          vhosts: [{ port: 0, name: "${A30}" }],
        },
        undefined,
        1,
      ),
    },
    [
      `conf:4 ‹"${"${A1}".repeat(10)}"› =A2: Longer than 65536 characters once its names are replaced`,
    ],
  ],
  [
    "a long definition that is used too often in one value",
    {
      conf: `{"=A": "${"x".repeat(60_000)}",\n"vhosts": [{"port": 0,\n"name": "${"${A}".repeat(60)}"}]}`,
    },
    [
      `conf:3 ‹"${"${A}".repeat(60)}"› vhosts[0].name: Longer than 65536 characters once its names are replaced`,
    ],
  ],
  [
    "misspelt keys that are needed, once each",
    {
      conf: '{"vhosts": [{"prot": "seven",\n"mounts": [{"mountpont": "x",\n"orign": "fil://y"}]}]}',
    },
    [
      'conf:1 ‹"prot"› vhosts[0].prot: Unknown key "prot" in a vhost; did you mean "port"?',
      'conf:1 ‹"seven"› vhosts[0].prot: Expected a whole number from -2 to 65535, got "seven"',
      'conf:2 ‹"mountpont"› vhosts[0].mounts[0].mountpont: Unknown key "mountpont" in a mount; did you mean "mountpoint"?',
      'conf:2 ‹"x"› vhosts[0].mounts[0].mountpont: Expected a path that starts with "/", got "x"',
      'conf:3 ‹"orign"› vhosts[0].mounts[0].orign: Unknown key "orign" in a mount; did you mean "origin"?',
      'conf:3 ‹"fil://y"› vhosts[0].mounts[0].orign: Unknown scheme "fil://"; expected file://, cgi://, git://, fcgi://, >http://, >https://, callback://, metrics:// or health://; did you mean "file://"?',
    ],
  ],
  [
    "vhosts that are none, without saying that there are none",
    { conf: '{"vhosts": {"port": 0}}' },
    ["conf:1 ‹{› vhosts: Expected an array of vhosts, got an object"],
  ],
  [
    "the configuration of another server",
    { conf: "server {\n  listen 80;\n}\n" },
    ['conf:1 ‹server›: Expected an object, {"vhosts": […]}, found "server"'],
  ],
  [
    "half of a surrogate pair",
    { conf: vhostText('"name": "a\\ud800"') },
    [
      'conf:1 ‹"a\\ud800"›: Half of a surrogate pair in a string; \\ud800 to \\udfff stand in pairs only',
    ],
  ],
  [
    "UTF-16 without a byte order mark",
    { conf: Buffer.from(GOOD, "utf16le") },
    ["conf:1:1: This is UTF-16; save it as UTF-8"],
  ],
  [
    "a name of kilobytes, with a message that can be read",
    { conf: vhostText(`"name": "${"x".repeat(256)}"`) },
    [`conf:1 ‹"${"x".repeat(256)}"› vhosts[0].name: Expected a host name, got "${"x".repeat(79)}…`],
  ],
  [
    "a name with an escape sequence",
    { conf: vhostText('"name": "a\\u001b[2J"') },
    ['conf:1 ‹"a\\u001b[2J"› vhosts[0].name: Expected a host name, got "a\\u001b[2J"'],
  ],
  [
    "a redirect to a path",
    { conf: vhostText('"mounts": [{"mountpoint": "/", "origin": ">/other"}]') },
    [
      'conf:1 ‹">/other"› vhosts[0].mounts[0].origin: A redirect goes to a whole URL, ">https://example.com/page"; got ">/other"',
    ],
  ],
  [
    "symlinks in a circle",
    { conf: GOOD, "conf.d/a": "-> b", "conf.d/b": "-> a" },
    ["a", "b"].map(
      (name) => `conf.d/${name}: Cannot read "ROOT/conf.d/${name}": symlinks go round in a circle`,
    ),
  ],
  [
    "a conf.d that is a file",
    { conf: GOOD, "conf.d": "{}" },
    ["conf.d: Cannot read the directory: it is a file"],
  ],
];

for (const [name, files, errors] of refused)
  test(`loadConfig refuses ${name}`, async (t) => {
    assert.deepEqual((await load(t, files)).errors, errors);
  });

test("loadConfig remarks on a ${ that begins no name", async (t) => {
  const { remarks, loaded } = await load(t, {
    conf: vhostText('"headers": {"X-A": "${", "X-B": "$${", "X-C": "${env:}"}'),
  });
  const says = 'stays as it is: a name has letters, digits and _; a plain "${" is written "$${"';
  assert.deepEqual(remarks, [
    `warning conf:1 ‹"\${"› vhosts[0].headers.X-A: "\${" ${says}`,
    `warning conf:1 ‹"\${env:}"› vhosts[0].headers.X-C: "\${env:}" ${says}`,
  ]);
  assert.deepEqual(loaded?.config.vhosts[0]?.headers, [
    ["X-A", "${"],
    ["X-B", "${"],
    ["X-C", "${env:}"],
  ]);
});

test("loadConfig tells no secret when a definition changes", async (t) => {
  const { remarks } = await load(t, {
    conf: '{"=DB_PASSWORD": "one", "=HOST": "a"}',
    "conf.d/a": `{"=DB_PASSWORD": "two", "=HOST": "b", "vhosts": [{"port": 0}]}`,
  });
  assert.deepEqual(remarks, [
    'notice conf.d/a:1 ‹"=DB_PASSWORD"› =DB_PASSWORD: Defined otherwise at conf:1:2; from here on this holds',
    'notice conf.d/a:1 ‹"=HOST"› =HOST: Defined as "a" at conf:1:25; from here on it is "b"',
  ]);
});

test("loadConfig takes lines that end in CR alone", async (t) => {
  const { errors } = await load(t, { conf: '{ # a comment\r"vhosts": [\r{"port": "seven"}]}' });
  assert.deepEqual(errors, [
    'conf:3 ‹"seven"› vhosts[0].port: Expected a whole number from -2 to 65535, got "seven"',
  ]);
});

test("loadConfig stops replacing names before memory is full", async (t) => {
  const vhosts = Array.from({ length: 1_000 }, (_, n) => ({
    port: 0,
    name: `v${n}`,
    headers: { "X-A": "${A}" },
  }));
  const { errors } = await load(t, { conf: JSON.stringify({ "=A": "x".repeat(50_000), vhosts }) });
  assert.equal(errors.length, 1);
  assert.match(errors[0] ?? "", /vhosts\[335\]\.headers\.X-A: All values together are longer than/);
});

test("loadConfig reads no more values than fit into memory", async (t) => {
  const { errors } = await load(t, { conf: `[${"[],".repeat(1_000_001)}[]]` });
  assert.equal(errors.length, 1);
  assert.match(
    errors[0] ?? "",
    /More than 1000000 values; at most that many are read from one file$/,
  );
});

test("loadConfig opens no FIFO, device or socket, and names no file that cannot be named", async (t) => {
  const root = writeConfig(t, { conf: GOOD, "conf.d/dev": "-> /dev/zero" });
  const fifo = spawnSync("mkfifo", [join(root, "conf.d/fifo")]);
  assert.equal(fifo.status, 0);
  spawnSync("sh", ["-c", String.raw`printf '{}' > "$(printf 'bad\377')"`], {
    cwd: join(root, "conf.d"),
  });
  await assert.rejects(loadConfig(root), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.deepEqual(error.problems.map(formatProblem), [
      "conf.d/bad\ufffd: Its name is not UTF-8; rename it",
      "conf.d/dev: Is not a file",
      "conf.d/fifo: Is not a file",
    ]);
    return true;
  });
});
