// What explain says, and that a server that runs answers just so.

import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { ExplainError } from "../../bin/explain-route.ts";
import { explainUrl } from "../../bin/explain.ts";
import { loadConfig } from "../../config/load.ts";
import { writeConfig } from "../config/fixture.ts";
import { runPortico, startPortico } from "../helpers/server.ts";

const SITE = {
  "www/index.html": "home",
  "www/docs/index.html": "docs",
  "www/empty/": "",
  "www/.env": "secret",
  "www/odd/index.html/": "",
  "outside/file": "elsewhere",
  "www/way-out": "-> ../outside",
  "www/link": "-> index.html",
  "www/circle": "-> circle",
  "www/ümlaut b": "x",
  "run.cgi": "#!/bin/sh\necho Content-Type: text/plain; echo; echo $PATH_INFO\n",
};
const MOUNTS = [
  { mountpoint: "/", origin: "file://www" },
  { mountpoint: "/docs/v1", origin: "file://outside" },
  { mountpoint: "/only", origin: ">https://elsewhere.example/", "exact-match": "1" },
  { mountpoint: "/old", origin: ">https://elsewhere.example/new", "append-path": "1" },
  { mountpoint: "/cgi", origin: "cgi://run.cgi", "cgi-timeout": "7" },
];

function explainer(t: TestContext, vhosts: unknown): (url: string) => Promise<string> {
  const root = writeConfig(t, { ...SITE, conf: JSON.stringify({ vhosts }) });
  return async (url) => {
    const found = await explainUrl(await loadConfig(root), url);
    return found
      .map(({ listeners, vhost, mount, answer }) =>
        [
          `${listeners.join(" ")} | ${vhost.name}: ${vhost.why} | ${mount?.mountpoint}`,
          [answer.status, answer.says, ...answer.headers.flat().slice(0, 2)].join(" "),
        ].join(" | "),
      )
      .join("\n")
      .replaceAll(root, "ROOT");
  };
}

const NAMED = "0.0.0.0:80 | a.test: it has this name";

const answers: readonly [url: string, mount: string, answer: string][] = [
  ["http://a.test", "/", "200 the file ROOT/www/index.html Content-Type text/html"],
  ["HTTP://A.TEST.:80/#part", "/", "200 the file ROOT/www/index.html Content-Type text/html"],
  ["http://user@a.test/docs/", "/", "200 the file ROOT/www/docs/index.html Content-Type text/html"],
  [
    "http://a.test/docs",
    "/",
    "301 ROOT/www/docs is a directory, and its links need the slash Location /docs/",
  ],
  [
    "http://a.test/docs?q=1",
    "/",
    "301 ROOT/www/docs is a directory, and its links need the slash Location /docs/?q=1",
  ],
  [
    "http://a.test/x/../docs",
    "/",
    "301 ROOT/www/docs is a directory, and its links need the slash Location /docs/",
  ],
  [
    "http://a.test/ümlaut b",
    "/",
    "200 the file ROOT/www/ümlaut b Content-Type application/octet-stream",
  ],
  [
    "http://a.test/link",
    "/",
    "200 the file ROOT/www/link, which is ROOT/www/index.html Content-Type application/octet-stream",
  ],
  ["http://a.test/nothing", "/", "404 ROOT/www/nothing: there is no such file"],
  ["http://a.test/empty/", "/", "404 ROOT/www/empty/index.html: there is no such file"],
  [
    "http://a.test/index.html/x",
    "/",
    "404 ROOT/www/index.html/x: a part of the path is a file, not a directory",
  ],
  ["http://a.test/odd/", "/", "404 ROOT/www/odd/index.html: its default file is a directory"],
  ["http://a.test/.env", "/", "404 ROOT/www/.env: names that start with a dot are not served"],
  [
    "http://a.test/way-out/file",
    "/",
    "404 ROOT/www/way-out/file: it is outside of the mount's directory, through a symlink",
  ],
  ["http://a.test/circle", "/", "404 ROOT/www/circle: symlinks go round in a circle"],
  [
    "http://a.test/docs/v1/file",
    "/docs/v1",
    "200 the file ROOT/outside/file Content-Type application/octet-stream",
  ],
  ["http://a.test/docs/v12", "/", "404 ROOT/www/docs/v12: there is no such file"],
  [
    "http://a.test/only",
    "/only",
    "301 the client is sent elsewhere Location https://elsewhere.example/",
  ],
  ["http://a.test/only/x", "/", "404 ROOT/www/only/x: there is no such file"],
  [
    "http://a.test/old/a%20b?c",
    "/old",
    "301 the client is sent elsewhere Location https://elsewhere.example/new/a%20b?c",
  ],
  [
    "http://a.test/cgi/x y",
    "/cgi",
    ' the program ROOT/run.cgi runs with PATH_INFO "/x y"; 504 if it moves no byte for 7 s',
  ],
  [
    "http://a.test/cgi",
    "/cgi",
    " the program ROOT/run.cgi runs with no PATH_INFO; 504 if it moves no byte for 7 s",
  ],
];

for (const [url, mount, answer] of answers)
  test(`explainUrl ${url}`, async (t) => {
    const explain = explainer(t, [{ name: "a.test", port: 80, noipv6: 1, mounts: MOUNTS }]);
    assert.equal(await explain(url), `${NAMED} | ${mount} | ${answer}`);
  });

test("explainUrl names the vhost and why it is that one", async (t) => {
  const mounts = [{ mountpoint: "/x", origin: "file://www" }];
  const explain = explainer(t, [
    { name: "first.test", port: 80, noipv6: 1, mounts },
    { name: "*.wild.test", port: 80, noipv6: 1, mounts },
    { name: "bücher.test", port: 80, noipv6: 1, mounts },
    { name: "local", port: 80, interface: "127.0.0.1", mounts },
    { name: "any", port: 0, noipv6: 1, mounts },
  ]);
  const lost = "no mount covers this path";
  const unknown = 'no vhost here is called "b.test", and this is the first one of the address';
  const local = 'no vhost here is called "127.0.0.1", and this is the first one of the address';
  assert.deepEqual((await explain("http://b.test/")).split("\n"), [
    `0.0.0.0:80 | first.test: ${unknown} | undefined | 404 ${lost}`,
    `0.0.0.0:80 at 127.0.0.1 | local: ${unknown} | undefined | 404 ${lost}`,
  ]);
  assert.equal(
    await explain("http://127.0.0.1/"),
    `0.0.0.0:80 at 127.0.0.1 | local: ${local} | undefined | 404 ${lost}`,
  );
  assert.match(
    await explain("http://a.wild.test/"),
    /^0\.0\.0\.0:80 \| \*\.wild\.test: "a\.wild\.test" fits this name/,
  );
  assert.match(
    await explain("http://Bücher.test/"),
    /^0\.0\.0\.0:80 \| bücher\.test: it has this name/,
  );
  assert.match(await explain("http://any:8080/"), /^0\.0\.0\.0:0 \| any: it has this name/);
});

test("explainUrl names the protocols of a WebSocket", async (t) => {
  const protocols = { "dumb-increment-protocol": {}, "lws-status": { default: "1" } };
  const explain = explainer(t, [
    { name: "a.test", port: 80, noipv6: 1, "ws-protocols": protocols },
    { name: "b.test", port: 80, noipv6: 1 },
  ]);
  assert.match(
    await explain("ws://a.test/any/path"),
    /the protocol that the client names, one of dumb-increment-protocol, lws-status; a client that names none gets lws-status$/,
  );
  assert.match(await explain("ws://b.test/"), /no WebSocket protocol is enabled here/);
});

const refusals: readonly [url: string, message: RegExp][] = [
  [
    "http://a.test:81/",
    /^Nothing listens for a\.test on port 81; the configuration has 0\.0\.0\.0:80 \(http\)$/,
  ],
  ["http://[::1]/", /^Nothing listens for \[::1\] on port 80/],
  ["https://a.test:80/", /^0\.0\.0\.0:80 talks plain HTTP: write http:\/\/ or ws:\/\/$/],
  [
    "http://a.test/../x",
    /^400 Bad Request before any vhost is chosen: The request target is malformed$/,
  ],
  ["http://a.test/%zz", /^400 Bad Request/],
  [
    "http://a_b!.test/",
    /^400 Bad Request before any vhost is chosen: The Host field is malformed$/,
  ],
  [`http://a.test/${"x".repeat(9000)}`, /^414 URI Too Long/],
  ["ftp://a.test/", /^Expected a URL of http, https, ws or wss/],
  ["/path", /names no host$/],
];

for (const [url, message] of refusals)
  test(`explainUrl refuses ${url.slice(0, 40)}`, async (t) => {
    const explain = explainer(t, [{ name: "a.test", port: 80, noipv6: 1, mounts: MOUNTS }]);
    await assert.rejects(explain(url), (error) => {
      assert.ok(error instanceof ExplainError, String(error));
      assert.match(error.message, message);
      return true;
    });
  });

test("a server answers as explainUrl says", async (t) => {
  const files = Object.entries(SITE).filter(
    ([, content]) => content !== "" && !content.startsWith("-> "),
  );
  const portico = await startPortico(t, {
    conf: { vhosts: [{ name: "a.test", port: 0, mounts: MOUNTS }] },
    files: Object.fromEntries(files),
  });
  const loaded = await loadConfig(portico.directory);
  const targets = answers
    .map(([url]) => /^\w+:\/\/[^/]*(\/[^#]*)/i.exec(url)?.[1])
    .filter(
      (target) => target !== undefined && !/^\/cgi|way-out|circle|link|empty|odd/.test(target),
    );
  assert.ok(targets.length > 10);
  for (const target of targets) {
    const [found] = await explainUrl(loaded, `http://a.test:${portico.port()}${target}`);
    const sent = await get(
      portico.port(),
      (target ?? "").replaceAll(/[^!-~]+/g, encodeURIComponent),
    );
    const location = found?.answer.headers.find(([name]) => name === "Location")?.[1];
    assert.deepEqual([target, found?.answer.status, location], [target, ...sent]);
  }
});

test("portico explain prints one block for each vhost that the URL reaches", async (t) => {
  const conf = { vhosts: [{ name: "a.test", port: 80, noipv6: 1, mounts: MOUNTS }] };
  const root = writeConfig(t, { ...SITE, conf: JSON.stringify(conf, undefined, 1) });
  const text = await runPortico(["explain", "http://a.test/docs", "-c", root]);
  assert.equal(text.stderr, "");
  assert.deepEqual(text.stdout.replaceAll(root, "ROOT").split("\n"), [
    "listener  0.0.0.0:80",
    "vhost     a.test (conf:4:12): it has this name",
    "path      /docs",
    "mount     / (conf:8:5): the longest mountpoint that covers the path",
    "origin    file://ROOT/www",
    "answer    301 Moved Permanently: ROOT/www/docs is a directory, and its links need the slash",
    "          Location: /docs/",
    "",
  ]);
  assert.equal(text.code, 0);
  const json = await runPortico(["explain", "a.test/docs", "-c", root, "--json"]);
  const [found] = JSON.parse(json.stdout) as Awaited<ReturnType<typeof explainUrl>>;
  assert.equal(found?.mount?.place, "conf:8:5");
  assert.equal(found.answer.status, 301);
  const lost = await runPortico(["explain", "http://a.test:1/", "-c", root]);
  assert.match(lost.stderr, /^portico: Nothing listens for a\.test on port 1; /);
  assert.equal(lost.code, 1);
});

test(
  "portico explain looks with the eyes of the workers' user",
  { skip: process.getuid?.() !== 0 && "needs root" },
  async (t) => {
    const root = writeConfig(t, {
      "www/private": "x",
      conf: JSON.stringify({
        global: { username: "nobody" },
        vhosts: [{ port: 80, noipv6: 1, mounts: [{ mountpoint: "/", origin: "file://www" }] }],
      }),
    });
    chmodSync(root, 0o755);
    chmodSync(join(root, "www/private"), 0o600);
    const { stdout, code } = await runPortico(["explain", "http://x/private", "-c", root]);
    assert.match(stdout, /403 Forbidden: \S+: the user that workers run as may not read it/);
    assert.equal(code, 0);
  },
);

/** Status and Location. */
async function get(port: number, path: string): Promise<[number | undefined, string | undefined]> {
  const request = http.get({
    host: "127.0.0.1",
    port,
    path,
    headers: { host: "a.test" },
    agent: false,
  });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  response.resume();
  await once(response, "end");
  return [response.statusCode, response.headers.location];
}

test("explain lets no escape sequence of a URL reach the terminal", async (t) => {
  const root = writeConfig(t, {
    "www/": "",
    conf: '{"vhosts": [{"port": 8080, "mounts": [{"mountpoint": "/", "origin": "file://./www"}]}]}',
  });
  for (const options of [[], ["--json"]]) {
    const url = "http://a.test:8080/\u001b[31m\u009b2J\u202ex";
    const { stdout } = await runPortico(["explain", "-c", root, ...options, url]);
    assert.match(stdout, /u001b\[31m.*u009b2J.*u202ex/);
    // oxlint-disable-next-line no-control-regex -- they are what must not be there
    assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  }
});

test("explainUrl names what a client has to be or to know", async (t) => {
  const keys = { "basic-auth": "passwords", allow: "10.0.0.0/8, unix:" };
  const mounts = [
    { mountpoint: "/", origin: "file://www" },
    { mountpoint: "/both", origin: "file://www", ...keys },
    { mountpoint: "/any", origin: "file://www", ...keys, satisfy: "any" },
  ];
  const vhosts = [
    { port: 80, name: "a.test", mounts },
    { port: 80, name: "b.test", mounts, deny: ["192.0.2.1"] },
  ];
  const root = writeConfig(t, { ...SITE, passwords: "", conf: JSON.stringify({ vhosts }) });
  const needs = async (url: string): Promise<string | undefined> => {
    const [found] = await explainUrl(await loadConfig(root), url);
    return found?.guard?.replaceAll(root, "ROOT");
  };
  const own = "an address by allow 10.0.0.0/8, unix:";
  const password = "a password of ROOT/passwords";
  const all = "an address by deny 192.0.2.1";
  assert.equal(await needs("http://a.test/"), undefined);
  assert.equal(await needs("http://a.test/both/x"), `${own} and ${password}`);
  assert.equal(await needs("http://a.test/any"), `${own} or ${password}`);
  assert.equal(await needs("http://b.test/"), all);
  assert.equal(await needs("http://b.test/both"), `${all} and ${own} and ${password}`);
  const printed = await runPortico(["explain", "-c", root, "http://a.test/both"]);
  assert.match(printed.stdout, /^needs +an address by allow .* and a password of /m);
});
