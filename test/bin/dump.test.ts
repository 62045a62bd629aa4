import assert from "node:assert/strict";
import test from "node:test";
import { writeConfig } from "../config/fixture.ts";
import { runPortico } from "../helpers/server.ts";

const FILES = {
  "www/": "",
  "plugins/a/": "",
  "plugins/b/": "",
  conf: `{
  "=ROOT": "www",
  "global": { "plugin-dir": "plugins/a", "stop-secs": "7", "server-string": "Pörtico" }
}`,
  "conf.d/a": `{
  "global": { "stop-secs": 8, "plugin-dir": "../plugins/b", "drain-secs": null },
  "vhosts": [{
    "name": "a.test", "port": "0", "keepalive-timeout": "3",
    "headers": [{ "X-A": "1" }, { "X-B": 2 }],
    "mounts": [
      { "mountpoint": "/", "origin": "file://../\${ROOT}", "extra-mimetypes": { ".x": "text/x" } },
      { "mountpoint": "/r", "origin": ">https://x.test", "origin": "callback://p", "append-path": 1 }
    ],
    "ws-protocols": [{ "p": { "rooms": [1, { "deep": true }], "api-token": "abc", "home": "\${env:HOME}" } },
      { "q": {} }]
  }]
}`,
  "conf.d/b": '{ "vhosts": [{ "port": -1 }] }',
};

test("dump shows each value that takes effect with its place", async (t) => {
  const root = writeConfig(t, FILES);
  const { code, stdout, stderr } = await runPortico(["dump", "-c", root]);
  assert.equal(stderr, "");
  assert.equal(code, 0);
  const blocks = new Map(
    stdout
      .replaceAll(root, "ROOT")
      .trimEnd()
      .split("\n\n")
      .map((block) => {
        const [title = "", ...lines] = block.split("\n");
        return [title, lines.map((line) => line.trim().replace(/ {2,}/g, "  "))];
      }),
  );
  assert.deepEqual(
    [...blocks.keys()],
    [
      "ROOT: conf, conf.d/a, conf.d/b",
      "global",
      "vhost a.test:0",
      "vhost a.test:0, mount /",
      "vhost a.test:0, mount /r",
      "vhost a.test:0, ws-protocols",
      "vhost default:-1",
    ],
  );
  const has = (title: string, wanted: readonly string[]): void => {
    const lines = blocks.get(title) ?? [];
    assert.deepEqual(
      wanted.filter((line) => !lines.includes(line)),
      [],
      lines.join("\n"),
    );
  };
  has("global", [
    'server-string  conf:3:77  "Pörtico"',
    'plugin-dir  conf:3:29  "ROOT/plugins/a"',
    'plugin-dir  conf.d/a:2:45  "ROOT/plugins/b"',
    "stop-secs  conf.d/a:2:28  8",
    "drain-secs  default  300",
  ]);
  has("vhost a.test:0", [
    'name  conf.d/a:4:13  "a.test"',
    "port  conf.d/a:4:31  0",
    "keepalive_timeout  conf.d/a:4:57  3",
    'headers.X-A  conf.d/a:5:26  "1"',
    "headers.X-B  conf.d/a:5:42  2",
    "sts  default  false",
  ]);
  has("vhost a.test:0, mount /", [
    'origin  conf.d/a:7:38  "file://ROOT/www"',
    'default  default  "index.html"',
    'extra-mimetypes..x  conf.d/a:7:86  "text/x"',
  ]);
  assert.deepEqual(blocks.get("vhost a.test:0, mount /r"), [
    'mountpoint  conf.d/a:8:23  "/r"',
    'origin  conf.d/a:8:39  ">https://x.test"',
    'origin  conf.d/a:8:68  "callback://p"',
    'satisfy  default  "all"',
    "append-path  conf.d/a:8:99  true",
    "exact-match  default  false",
  ]);
  assert.deepEqual(blocks.get("vhost a.test:0, ws-protocols"), [
    "p.rooms[0]  conf.d/a:10:41  1",
    "p.rooms[1].deep  conf.d/a:10:54  true",
    'p.api-token  conf.d/a:10:76  "(hidden)"',
    'p.home  conf.d/a:10:91  "${env:HOME}"',
    "q  conf.d/a:11:14  {}",
  ]);
});

test("dump --json prints the same as an array", async (t) => {
  const root = writeConfig(t, FILES);
  const { code, stdout } = await runPortico(["dump", "-c", root, "--json"]);
  assert.equal(code, 0);
  const values = new Map(
    (JSON.parse(stdout) as { path: string; value: unknown; from: unknown }[]).map((one) => [
      one.path,
      [one.value, one.from],
    ]),
  );
  assert.deepEqual(values.get("global.stop-secs"), [8, { file: "conf.d/a", line: 2, column: 28 }]);
  assert.deepEqual(values.get("global.ready-secs"), [30, "default"]);
  assert.deepEqual(values.get("vhosts[0].mounts[1].append-path")?.[0], true);
  assert.deepEqual(values.get("vhosts[1].port"), [-1, { file: "conf.d/b", line: 1, column: 24 }]);
});

test("dump of a broken configuration tells what is wrong", async (t) => {
  const root = writeConfig(t, { conf: '{"vhosts": [{"port": "x"}]}' });
  const { code, stdout, stderr } = await runPortico(["dump", "-c", root]);
  assert.equal(stdout, "");
  assert.match(stderr, /^error: conf:1:22 vhosts\[0\]\.port: Expected a whole number/);
  assert.match(stderr, /portico: The configuration has 1 problem\n$/);
  assert.equal(code, 1);
});

test("dump shows options of protocols in one object, and hides what may be a secret", async (t) => {
  const root = writeConfig(t, {
    conf: `{ "vhosts": [{ "port": 0,
  "headers": { "Authorization": "Bearer s1", "X-Api-Key": "s2", "Set-Cookie": "s3" },
  "mounts": [{ "mountpoint": "/c", "origin": "cgi:///bin/true",
      "cgi-env": { "PGPASS": "s4", "MYSQL_PWD": "s5", "TOKEN_A": "s6", "PASSWORD_FILE": "/etc/pw", "DB": "postgres://u:s7@h/d" } },
    { "mountpoint": "/r", "origin": ">https://u:s8@x.test/" }],
  "ws-protocols": { "p.q": { "deep": { "er": "yes", "password": "s9" } }, "r": { "pass": "s10" } } }] }`,
  });
  const { stdout } = await runPortico(["dump", "-c", root]);
  const lines = new Set(stdout.split("\n").map((line) => line.trim().replace(/ +/g, " ")));
  for (const line of [
    'p.q.deep.er conf:6:46 "yes"',
    'cgi-env.PASSWORD_FILE conf:4:89 "/etc/pw"',
    'cgi-env.DB conf:4:106 "postgres://u:(hidden)@h/d"',
    'origin conf:5:37 ">https://u:(hidden)@x.test/"',
  ])
    assert.ok(lines.has(line), `${line}\n${stdout}`);
  assert.doesNotMatch(stdout, /\bs\d+\b/);
  const json = await runPortico(["dump", "-c", root, "--json"]);
  assert.doesNotMatch(json.stdout, /\bs\d+\b/);
});
