import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./fixture.ts";

const FILES = { "www/": "", passwords: "" };
const AUTH = '"basic-auth": "passwords"';

function conf(mounts: readonly string[], members = "", global = ""): string {
  const list = mounts.map((mount) => `{"origin": "file://./www", ${mount}}`).join(",\n");
  return `{"global": {${global}}, "vhosts": [{"port": 0, ${members}\n"mounts": [${list}]}]}`;
}

const CLEAR = /^notice conf:\d+ \S+ vhosts\[0\]\.\S+\.basic-auth: Passwords come in clear/;

type Case = {
  readonly what: string;
  readonly conf: string;
  /** Each with what it says of passwords in clear left out. */
  readonly remarks: readonly string[];
};

const cases: readonly Case[] = [
  {
    what: "an open mount inside of one that asks for a password",
    conf: conf([`"mountpoint": "/", ${AUTH}`, '"mountpoint": "/a/b"']),
    remarks: [
      'notice conf:3 ‹"/a/b"› vhosts[0].mounts[1].mountpoint: Open without a password, although "/" around it asks for one; give it basic-auth too if that is not meant',
    ],
  },
  {
    what: "no open mount inside of an open one inside of one that asks",
    conf: conf([`"mountpoint": "/a", ${AUTH}`, '"mountpoint": "/"', '"mountpoint": "/ab"']),
    remarks: [],
  },
  {
    what: "WebSockets that stand open beside it",
    conf: conf([`"mountpoint": "/a", ${AUTH}`], '"ws-protocols": {"p": {}},'),
    remarks: [
      'notice conf:1 ‹{› vhosts[0].ws-protocols.p: WebSockets of "p" can be opened at any path, also outside of the mounts that ask for a password; give it basic-auth too if that is not meant',
    ],
  },
  {
    what: "several of them in one line, without those that ask",
    conf: conf(
      [`"mountpoint": "/a", ${AUTH}`],
      `"ws-protocols": {"p": {}, "q": {${AUTH}}, "r": {}},`,
    ),
    remarks: [
      'notice conf:1 ‹{› vhosts[0].ws-protocols.p: WebSockets of "p", "r" can be opened at any path, also outside of the mounts that ask for a password; give them basic-auth too if that is not meant',
    ],
  },
  {
    what: "nothing where the whole vhost asks, or the protocol does",
    conf: conf(
      [`"mountpoint": "/", ${AUTH}`],
      `"ws-protocols": {"p": {}, "q": {${AUTH}, "basic-auth-realm": "q"}},`,
    ),
    remarks: [],
  },
  {
    what: "a realm and satisfy that have no effect",
    conf: conf([
      '"mountpoint": "/a", "basic-auth-realm": "A", "satisfy": "any", "deny": "all"',
      `"mountpoint": "/b", ${AUTH}, "satisfy": "any"`,
    ]),
    remarks: [
      'notice conf:2 ‹"A"› vhosts[0].mounts[0].basic-auth-realm: Has no effect without basic-auth',
      'notice conf:2 ‹"any"› vhosts[0].mounts[0].satisfy: Has no effect without basic-auth on the same mount',
      'notice conf:3 ‹"any"› vhosts[0].mounts[1].satisfy: Has no effect without allow or deny on the same mount',
    ],
  },
  {
    what: "caches that would open it",
    conf: conf([
      `"mountpoint": "/", ${AUTH}, "cache-max-age": 1, "cache-reuse": 1, "cache-intermediaries": 1`,
    ]),
    remarks: [
      "warning conf:2 ‹1› vhosts[0].mounts[0].cache-intermediaries: Lets caches on the way give answers of this mount to people without a password",
    ],
  },
];

for (const { what, conf: text, remarks } of cases)
  test(`loadConfig tells of ${what}`, async (t) => {
    const outcome = await load(t, { ...FILES, conf: text });
    assert.deepEqual(outcome.errors, []);
    assert.deepEqual(
      outcome.remarks.filter((remark) => !CLEAR.test(remark)),
      remarks,
    );
  });

test("loadConfig tells of passwords in clear, but not behind a proxy that may have TLS", async (t) => {
  const mounts = [`"mountpoint": "/", ${AUTH}`];
  const remarksOf = async (text: string): Promise<readonly string[]> =>
    (await load(t, { ...FILES, conf: text })).remarks;
  assert.match((await remarksOf(conf(mounts))).join("\n"), CLEAR);
  assert.deepEqual(await remarksOf(conf(mounts, "", '"trusted-proxies": "10.0.0.1"')), []);
  assert.deepEqual(await remarksOf(conf(mounts, '"trusted-proxies": "10.0.0.1",')), []);
});

const refused: readonly [what: string, text: string, error: RegExp][] = [
  [
    "an address that is none",
    conf(['"mountpoint": "/"'], '"allow": ["192.0.2.1", "localhost"],'),
    /vhosts\[0\]\.allow\[1\]: Expected an address, a network/,
  ],
  [
    "a prefix that is too long",
    conf(['"mountpoint": "/", "deny": "192.0.2.0/33"']),
    /mounts\[0\]\.deny: Expected at most 32 bits/,
  ],
  [
    '"all" where it has no meaning',
    conf(['"mountpoint": "/"'], '"trusted-proxies": "all",'),
    /trusted-proxies: Expected an address, a network/,
  ],
  [
    "an unknown way to satisfy",
    conf(['"mountpoint": "/", "satisfy": "some"']),
    /satisfy: Expected one of "all", "any", got "some"/,
  ],
  [
    "a realm with a line end",
    conf([`"mountpoint": "/", ${AUTH}, "basic-auth-realm": "a\\nb"`]),
    /basic-auth-realm: A header value cannot hold the control character 0x0a/,
  ],
  [
    "a keyword without a status",
    conf(['"mountpoint": "/"'], "", '"reject-service-keywords": [{"bot": "go away"}]'),
    /reject-service-keywords\[0\]\.bot: Expected a status from 400 to 599/,
  ],
  [
    "a keyword that welcomes",
    conf(['"mountpoint": "/"'], "", '"reject-service-keywords": {"bot": "200 OK"}'),
    /reject-service-keywords\.bot: Expected a status from 400 to 599/,
  ],
  [
    "an empty keyword",
    conf(['"mountpoint": "/"'], "", '"reject-service-keywords": {"": "403"}'),
    /An empty word would refuse every client/,
  ],
];

for (const [what, text, error] of refused)
  test(`loadConfig refuses ${what}`, async (t) => {
    const outcome = await load(t, { ...FILES, conf: text });
    assert.equal(outcome.errors.length, 1);
    assert.match(outcome.errors[0] ?? "", error);
  });
