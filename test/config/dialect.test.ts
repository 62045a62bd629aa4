// The ways in which lwsws files are really written, and what each is read as.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ServerConfig } from "../../config/server.ts";
import { load, vhostText, type Files } from "./fixture.ts";

async function read(
  t: TestContext,
  files: Files,
  environment: Record<string, string> = {},
): Promise<{ config: ServerConfig; root: string }> {
  const { loaded, errors, remarks, root } = await load(t, files, environment);
  assert.deepEqual([errors, remarks], [[], []]);
  assert.ok(loaded);
  return { config: loaded.config, root };
}

test("loadConfig reads a file as the README of lwsws writes it", async (t) => {
  const { config, root } = await read(t, {
    conf: `
# the usual server
 {
  "global": {
   "uid": "48",  # apache user
   "gid": "48",  # apache group
   "count-threads": "1",
   "init-ssl": "yes"
 },
 "vhosts": [ {
     "name": "libwebsockets.example",
     "port": "443",
     "interface":  "lo",  # only here
     "host-ssl-key":  "tls/host.key",
     "host-ssl-cert": "tls/host.crt",
     "access-log": "access.log",
     # and the mounts
     "mounts": [{
       "mountpoint": "/",
       "origin": "file://./www",
       "default": "test.html",
       "cache-max-age": "60",
       "cache-reuse": "1",
       "cache-revalidate": "1",
       "cache-intermediaries": "0"
     }, {
       "mountpoint": "/git",
       "origin": "cgi://./git.cgi",
       "cgi-timeout": "30",
       "cgi-env": [{ "GIT_ROOT": "/srv/git" }, { "A": 1 }]
     }, {
       "mountpoint": "/old",
       "origin": ">https://elsewhere.example"
     }],
     "ws-protocols": [{
       "lws-server-status": { "status": "ok", "update-ms": "2000" }
     }, {
       "dumb-increment-protocol": { "status": "ok", "default": "1" }
     }]
   }
  ]
 }
`,
    "www/test.html": "",
    "git.cgi": "#!/bin/sh\n",
    "tls/host.key": "k",
    "tls/host.crt": "c",
  });
  assert.equal(config.directory, root);
  assert.deepEqual(config.files, [join(root, "conf")]);
  assert.deepEqual(config.global, {
    uid: 48,
    gid: 48,
    "count-threads": 1,
    "reject-service-keywords": [],
    "init-ssl": true,
    "plugin-dir": [],
    "timeout-secs": 15,
    "drain-secs": 300,
    "ticket-key-secs": 43_200,
    "cert-check-secs": 60,
    "file-cache-bytes": 67_108_864,
    "stop-secs": 5,
    "watchdog-secs": 10,
    "ready-secs": 30,
    distribution: "shared",
    "send-secs": 30,
    "min-body-rate": 500,
    "min-send-rate": 500,
    "max-header-bytes": 16_384,
    "max-header-fields": 200,
    "max-uri-bytes": 8_192,
    "max-requests": 10_000,
    "max-connections": 0,
    "ip-limit-wsi": 0,
    "trusted-proxies": [],
  });
  const [vhost] = config.vhosts;
  assert.ok(vhost);
  const { mounts, "ws-protocols": protocols, ...keys } = vhost;
  assert.deepEqual(keys, {
    name: "libwebsockets.example",
    port: 443,
    interface: "lo",
    "unix-socket": false,
    noipv6: false,
    sts: false,
    "client-cert-required": false,
    "redirect-http": false,
    "allow-http-on-https": false,
    "allow-non-tls": false,
    "apply-listen-accept": false,
    "fallback-listen-accept": false,
    "host-ssl-key": join(root, "tls/host.key"),
    "host-ssl-cert": join(root, "tls/host.crt"),
    "access-log": join(root, "access.log"),
    keepalive_timeout: 5,
    "access-log-format": "combined",
    "request-id": false,
    "error-pages": {},
    "max-body-bytes": 104_857_600,
    "max-connections": 0,
    headers: [],
    where: { file: "conf", path: "vhosts[0]" },
  });
  assert.deepEqual(mounts[0], {
    mountpoint: "/",
    origin: { scheme: "file", directory: join(root, "www") },
    default: "test.html",
    headers: [],
    "extra-mimetypes": {},
    "cache-max-age": 60,
    "cache-reuse": true,
    "cache-revalidate": true,
    "cache-intermediaries": false,
    "cache-no": false,
    "error-pages": {},
    compress: true,
    precompressed: true,
    autoindex: false,
    symlinks: "inside",
    "cgi-max-secs": 3600,
    "cgi-keep": false,
    "cgi-body": "spool",
    "cgi-interpreter": {},
    "cgi-env": [],
    "cgi-pass-auth": false,
    satisfy: "all",
    "append-path": false,
    "exact-match": false,
    pmo: {},
    path: "mounts[0]",
  });
  assert.deepEqual(mounts[1]?.origin, { scheme: "cgi", program: join(root, "git.cgi") });
  assert.deepEqual(mounts[1]?.["cgi-env"], [
    ["GIT_ROOT", "/srv/git"],
    ["A", "1"],
  ]);
  assert.equal(mounts[1]?.["cgi-timeout"], 30);
  assert.deepEqual(mounts[2]?.origin, {
    scheme: "redirect",
    location: "https://elsewhere.example",
  });
  const ours = { "max-messages-per-sec": 0, "permessage-deflate": false };
  assert.deepEqual(protocols, [
    {
      name: "lws-server-status",
      keys: ours,
      options: { "update-ms": "2000" },
      isDefault: false,
      path: "ws-protocols[0].lws-server-status",
    },
    {
      name: "dumb-increment-protocol",
      keys: ours,
      options: {},
      isDefault: true,
      path: "ws-protocols[1].dumb-increment-protocol",
    },
  ]);
});

test("loadConfig takes a byte order mark, native numbers and flags, null as not given", async (t) => {
  const { config } = await read(t, {
    conf: '\uFEFF{"global": {"uid": 48, "init-ssl": false, "username": null}, "vhosts": [{"port": -1, "sts": null, "name": 127, "noipv6": true, "dht": null}]}',
  });
  assert.equal(config.global.uid, 48);
  assert.equal("username" in config.global, false);
  assert.deepEqual(
    [
      config.vhosts[0]?.port,
      config.vhosts[0]?.name,
      config.vhosts[0]?.noipv6,
      config.vhosts[0]?.sts,
    ],
    [-1, "127", true, false],
  );
});

const flags: readonly [text: string, value: boolean][] = [
  ['"1"', true],
  ['"0"', false],
  ['"on"', true],
  ['"OFF"', false],
  ['"Yes"', true],
  ['"no"', false],
  ['"true"', true],
  ['"false"', false],
  ['"-1"', true],
  ['""', false],
  ["1", true],
  ["0", false],
  ["true", true],
  ["false", false],
];

for (const [text, value] of flags)
  test(`loadConfig reads ${text} as the flag ${value}`, async (t) => {
    const { config } = await read(t, { conf: vhostText(`"noipv6": ${text}`) });
    assert.equal(config.vhosts[0]?.noipv6, value);
  });

test("loadConfig takes 0 for the default in times of lwsws", async (t) => {
  const { config } = await read(t, {
    conf: '{"global": {"timeout-secs": "0"}, "vhosts": [{"port": 0, "keepalive-timeout": "0"}]}',
  });
  assert.deepEqual([config.global["timeout-secs"], config.vhosts[0]?.keepalive_timeout], [15, 5]);
});

function vhostNamed(text: string): string {
  return vhostText(`"name": "${text}"`);
}

test("loadConfig reads conf, then conf.d in byte order without backups and directories", async (t) => {
  const { config, root } = await read(t, {
    conf: vhostNamed("main"),
    "conf.d/b": vhostNamed("b"),
    "conf.d/B": vhostNamed("B.upper"),
    "conf.d/10": vhostNamed("ten"),
    "conf.d/9": vhostNamed("nine"),
    "conf.d/.hidden": vhostNamed("hidden"),
    "conf.d/é": vhostNamed("accent"),
    "conf.d/b~": "not { json",
    "conf.d/~b": "not { json",
    "conf.d/sub/x": "not { json",
    "conf.d/link": "-> ../elsewhere",
    elsewhere: vhostNamed("linked"),
  });
  const order = ["main", "hidden", "ten", "nine", "B.upper", "b", "linked", "accent"];
  assert.deepEqual(
    config.vhosts.map((vhost) => vhost.name),
    order,
  );
  assert.deepEqual(config.files.at(1), join(root, "conf.d/.hidden"));
  assert.deepEqual(config.vhosts[1]?.where, { file: "conf.d/.hidden", path: "vhosts[0]" });
});

test("loadConfig needs no conf when conf.d has files", async (t) => {
  const { config } = await read(t, { "conf.d/a": vhostText('"name": "a"') });
  assert.equal(config.vhosts.length, 1);
});

test("loadConfig gathers plugin-dir from all files, repeated and as an array; other globals: the last file holds", async (t) => {
  const { config, root } = await read(t, {
    conf: '{"global": {"plugin-dir": "p1", "plugin-dir": "p2", "stop-secs": 7}, "vhosts": [{"port": 0}]}',
    "conf.d/a": '{"global": {"plugin-dir": ["../p1", "."], "stop-secs": 7}}',
    "p1/": "",
    "p2/": "",
  });
  const expected = ["p1", "p2", "p1", "conf.d"].map((name) => join(root, name));
  assert.deepEqual(config.global["plugin-dir"], expected);
  assert.equal(config.global["stop-secs"], 7);
});

const origins: readonly [origin: string, read: (root: string) => unknown][] = [
  ["file://./www", (root) => ({ scheme: "file", directory: join(root, "www") })],
  ["file://www/", (root) => ({ scheme: "file", directory: join(root, "www") })],
  ["file:///tmp", () => ({ scheme: "file", directory: "/tmp" })],
  ["file:////tmp/./", () => ({ scheme: "file", directory: "/tmp" })],
  ["file://usr/bin", () => ({ scheme: "file", directory: "/usr/bin" })],
  ["cgi://usr/bin/env", () => ({ scheme: "cgi", program: "/usr/bin/env" })],
  ["cgi://x.cgi", (root) => ({ scheme: "cgi", program: join(root, "x.cgi") })],
  [
    ">http://a.example:8080/b?c#d",
    () => ({ scheme: "redirect", location: "http://a.example:8080/b?c#d" }),
  ],
  ["callback://com.example.x", () => ({ scheme: "callback", protocol: "com.example.x" })],
];

for (const [origin, expected] of origins)
  test(`loadConfig reads the origin ${origin}`, async (t) => {
    const conf = vhostText(`"mounts": [{"mountpoint": "/", "origin": "${origin}"}]`);
    const { config, root } = await read(t, { conf, "www/": "", "x.cgi": "" });
    assert.deepEqual(config.vhosts[0]?.mounts[0]?.origin, expected(root));
  });

test("loadConfig prefers the reading of an origin beside the file over the one from the root", async (t) => {
  const conf = vhostText('"mounts": [{"mountpoint": "/", "origin": "cgi://usr/bin/env"}]');
  const { config, root } = await read(t, { conf, "usr/bin/env": "-> /usr/bin/env" });
  assert.deepEqual(config.vhosts[0]?.mounts[0]?.origin, {
    scheme: "cgi",
    program: join(root, "usr/bin/env"),
  });
});

test("loadConfig takes paths relative to the file they stand in", async (t) => {
  const conf = vhostText(
    '"access-log": "log", "mounts": [{"mountpoint": "/", "origin": "file://../www"}]',
  );
  const { config, root } = await read(t, { "conf.d/a": conf, "www/": "" });
  assert.equal(config.vhosts[0]?.["access-log"], join(root, "conf.d/log"));
  assert.deepEqual(config.vhosts[0]?.mounts[0]?.origin, {
    scheme: "file",
    directory: join(root, "www"),
  });
});

test("loadConfig replaces _lws_ddir_, definitions and variables", async (t) => {
  const { config, root } = await read(
    t,
    {
      conf: '{"=HOST": "a.example", "=FULL": "www.${HOST}", "=PORT": 0, "vhosts": [{"name": "${FULL}", "port": "${PORT}", "mounts": [{"mountpoint": "/${env:PART}", "origin": "file://_lws_ddir_/www", "headers": {"X": "$${HOST} $${a b}"}}]}]}',
      "conf.d/a":
        '{"vhosts": [{"name": "b.${HOST}", "port": 0, "ws-protocols": {"p": {"deep": [{"er": "${HOST}"}]}}}]}',
      "data/www/": "",
    },
    { PART: "part", PORTICO_DATA_DIR: "data" },
  );
  const [first, second] = config.vhosts;
  assert.deepEqual([first?.name, first?.port, second?.name], ["www.a.example", 0, "b.a.example"]);
  assert.equal(first?.mounts[0]?.mountpoint, "/part");
  assert.deepEqual(first?.mounts[0]?.origin, { scheme: "file", directory: join(root, "data/www") });
  assert.deepEqual(first?.mounts[0]?.headers, [["X", "${HOST} ${a b}"]]);
  assert.deepEqual(second?.["ws-protocols"][0]?.options, { deep: [{ er: "a.example" }] });
});

test("loadConfig reads headers as an array of objects or one object, repeated names, long and non-ASCII values", async (t) => {
  const long = "x".repeat(5_000);
  const conf = `{"vhosts": [{"port": 0, "headers": [{"Link": "<a>", "X-Long": "${long}"}, {"Link": "<b>"}],
    "mounts": [{"mountpoint": "/", "origin": "callback://p", "headers": {"X-N": 5, "X-E": " é "}}]}]}`;
  const { config } = await read(t, { conf });
  assert.deepEqual(config.vhosts[0]?.headers, [
    ["Link", "<a>"],
    ["X-Long", long],
    ["Link", "<b>"],
  ]);
  // One character for each byte of UTF-8, as the answer is written.
  assert.deepEqual(config.vhosts[0]?.mounts[0]?.headers, [
    ["X-N", "5"],
    ["X-E", "\u00c3\u00a9"],
  ]);
});

test("loadConfig keeps options of protocols and callback mounts as written, nested, null and repeated", async (t) => {
  const conf = vhostText(
    '"ws-protocols": {"a": {"x": {"y": [1, null, {"z": "1"}]}, "filepath": "/1", "filepath": "/2"}, "b": null}, "mounts": [{"mountpoint": "/", "origin": "callback://a", "pmo": [{"k": "v"}, {"n": {"m": null}}]}]',
  );
  const { config } = await read(t, { conf });
  const [a, b] = config.vhosts[0]?.["ws-protocols"] ?? [];
  assert.deepEqual(a?.options, { x: { y: [1, null, { z: "1" }] }, filepath: ["/1", "/2"] });
  assert.deepEqual([a?.path, b?.name, b?.options], ["ws-protocols.a", "b", {}]);
  assert.deepEqual(config.vhosts[0]?.mounts[0]?.pmo, { k: "v", n: { m: null } });
});

test("loadConfig takes a Unix socket without a port, in the file system and in the abstract namespace", async (t) => {
  const { config, root } = await read(t, {
    conf: '{"vhosts": [{"unix-socket": "1", "interface": "run/s", "unix-socket-perms": "www:www"}, {"name": "b", "unix-socket": "1", "interface": "@portico"}]}',
    "run/": "",
  });
  assert.deepEqual(
    config.vhosts.map((vhost) => vhost.interface),
    [join(root, "run/s"), "@portico"],
  );
});

test("loadConfig allows several names on one TLS port, addresses as names and a mount inside a callback mount", async (t) => {
  const { config } = await read(t, {
    conf: `{"global": {"init-ssl": "1"}, "vhosts": [
      {"name": "a.example", "port": 443, "sts": "on", "host-ssl-cert": "c", "host-ssl-key": "c"},
      {"name": "192.0.2.1", "port": 443, "host-ssl-cert": "c", "host-ssl-key": "c",
       "mounts": [{"mountpoint": "/", "origin": "callback://p"}, {"mountpoint": "/static", "origin": "file://./"}]},
      {"name": "a.example", "port": 80, "interface": "[::1]"}, {"name": "a.example", "port": -2}]}`,
    c: "",
  });
  assert.deepEqual(
    config.vhosts.map((vhost) => vhost.name),
    ["a.example", "192.0.2.1", "a.example", "a.example"],
  );
  assert.equal(config.vhosts[2]?.interface, "::1");
});

test("loadConfig freezes all of its result", async (t) => {
  const { config } = await read(t, {
    conf: vhostText('"headers": {"X": "1"}, "ws-protocols": {"p": {"a": {"b": []}}}'),
  });
  const open: string[] = [];
  const visit = (value: unknown, path: string) => {
    if (typeof value !== "object" || value === null) return;
    if (!Object.isFrozen(value)) open.push(path);
    for (const [key, member] of Object.entries(value)) visit(member, `${path}.${key}`);
  };
  visit(config, "config");
  assert.deepEqual(open, []);
  assert.deepEqual(structuredClone(config), config);
});
