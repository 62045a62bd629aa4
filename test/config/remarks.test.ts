// One directory for each rule that warns: what is said, and that the configuration is served all the same.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  inertGlobalKeys,
  inertMountKeys,
  inertVhostKeys,
  type InertKeys,
} from "../../config/inert-keys.ts";
import { load, vhostText, type Files } from "./fixture.ts";

const mountText = (mount: string) => vhostText(`"mounts": [{"mountpoint": "/", ${mount}}]`);
/** A TLS vhost; its certificate is the file "c". */
const tlsText = (vhost: string, global = '"uid": 0') =>
  `{"global": {"init-ssl": 1, ${global}}, "vhosts": [{"port": 0, "host-ssl-cert": "c", "host-ssl-key": "c",\n ${vhost}}]}`;
const AT_MOUNT = "vhosts[0].mounts[0]";

const cases: readonly [name: string, files: Files, remarks: string[]][] = [
  [
    "unknown keys on every level",
    {
      conf: '{"vhost": [], "global": {"init_ssl": "1", "=X": 1},\n "vhosts": [{"port": 0, "nmae": "a", "zzzzzz": 1,\n "mounts": [{"mountpoint": "/", "orign": "x", "origin": "callback://p"}]}]}',
    },
    [
      'warning conf:1 ‹"vhost"› vhost: Unknown key "vhost" in a configuration file; it has no effect; did you mean "vhosts"?',
      'warning conf:1 ‹"init_ssl"› global.init_ssl: Unknown key "init_ssl" in "global"; it has no effect; did you mean "init-ssl"?',
      'warning conf:1 ‹"=X"› global.=X: Unknown key; a definition such as "=X" stands at the top level of a file',
      'warning conf:2 ‹"nmae"› vhosts[0].nmae: Unknown key "nmae" in a vhost; it has no effect; did you mean "name"?',
      'warning conf:2 ‹"zzzzzz"› vhosts[0].zzzzzz: Unknown key "zzzzzz" in a vhost; it has no effect',
      `warning conf:3 ‹"orign"› ${AT_MOUNT}.orign: Unknown key "orign" in a mount; it has no effect; did you mean "origin"?`,
    ],
  ],
  [
    "a global that two files disagree about",
    {
      conf: '{"global": {"uid": "48", "gid": "48"}, "vhosts": [{"port": 0}]}',
      "conf.d/a": '{"global": {"uid": "49", "gid": "48"}}',
    },
    ['notice conf.d/a:1 ‹"49"› global.uid: "49" holds, as the last one read; conf:1:20 says "48"'],
  ],
  [
    "a definition that a later file changes",
    { conf: '{"=A": "x", "vhosts": [{"port": 0, "name": "${A}"}]}', "conf.d/a": '{"=A": "y"}' },
    ['notice conf.d/a:1 ‹"=A"› =A: Defined as "x" at conf:1:2; from here on it is "y"'],
  ],
  [
    "a file of comments",
    { conf: vhostText('"name": "a"'), "conf.d/a": "# off\n" },
    ["notice conf.d/a:1 ‹#›: Holds nothing but comments"],
  ],
  [
    "mounts that can never match",
    {
      conf: '{"vhosts": [{"port": 0, "mounts": [{"mountpoint": "/a/", "origin": "callback://p"},\n {"mountpoint": "/a", "origin": "callback://p"},\n {"mountpoint": "/a", "origin": "callback://p", "exact-match": "1"},\n {"mountpoint": "/b//c", "origin": "callback://p"},\n {"mountpoint": "/my%20files", "origin": "callback://p"}]}]}',
    },
    [
      'warning conf:2 ‹"/a"› vhosts[0].mounts[1].mountpoint: This mount can never match: "/a" belongs to the mount at conf:1:51',
      'warning conf:4 ‹"/b//c"› vhosts[0].mounts[3].mountpoint: This mount can never match: request paths have no "//", "." or ".." segments',
      'warning conf:5 ‹"/my%20files"› vhosts[0].mounts[4].mountpoint: Written decoded: this one matches a request only where it sends the percent sign as %25',
    ],
  ],
  [
    "keys that the kind of mount has no use for",
    {
      conf: mountText(
        '"origin": "callback://p", "default": "/", "cgi-timeout": 3, "cache-reuse": "1", "append-path": 1',
      ),
    },
    [
      `notice conf:1 ‹"/"› ${AT_MOUNT}.default: Has no effect on a callback mount`,
      `notice conf:1 ‹3› ${AT_MOUNT}.cgi-timeout: Has no effect on a callback mount`,
      `notice conf:1 ‹"1"› ${AT_MOUNT}.cache-reuse: Has no effect on a callback mount`,
      `notice conf:1 ‹1› ${AT_MOUNT}.append-path: Has no effect on a callback mount`,
    ],
  ],
  [
    "two default protocols, and a default that is off",
    { conf: vhostText('"ws-protocols": {"p": {"default": "0"}, "q": {"default": "1"}}') },
    [
      'notice conf:1 ‹"0"› vhosts[0].ws-protocols.p.default: Counts by being there, as in lwsws: even "0" makes this protocol the default',
      'warning conf:1 ‹"q"› vhosts[0].ws-protocols.q: Only one protocol can be the default; "p" is it already',
    ],
  ],
  [
    "keys of sockets that do not apply",
    {
      conf: '{"vhosts": [{"port": 0, "unix-socket-perms": "a:b"},\n {"port": 80, "name": "b", "unix-socket": "1", "interface": "@portico-test"},\n {"name": "c", "unix-socket": "1", "interface": "@portico-test", "unix-socket-perms": "a:b"}]}',
    },
    [
      'notice conf:1 ‹"a:b"› vhosts[0].unix-socket-perms: Has no effect: unix-socket is off',
      "notice conf:2 ‹80› vhosts[1].port: Has no effect: this vhost listens on a Unix socket",
      'warning conf:3 ‹"a:b"› vhosts[2].unix-socket-perms: Has no effect: the vhost at conf:2:2 decides about @portico-test',
    ],
  ],
  [
    "a Unix socket that looks like a device, and families that it has not",
    {
      conf: '{"vhosts": [{"unix-socket": "1", "interface": "eth0",\n "noipv6": "1", "ipv6only": "0"}]}',
    },
    [
      'notice conf:1 ‹"eth0"› vhosts[0].interface: Taken for a socket beside this file; "./eth0" says so',
      'notice conf:2 ‹"1"› vhosts[0].noipv6: Has no effect: this vhost listens on a Unix socket',
      'notice conf:2 ‹"0"› vhosts[0].ipv6only: Has no effect: this vhost listens on a Unix socket',
    ],
  ],
  [
    "TLS keys on a vhost without TLS",
    {
      conf: vhostText('"sts": "on", "ciphers": "HIGH",\n "alpn": "http/1.1", "ssl-option-set": 4'),
    },
    [
      'notice conf:1 ‹"on"› vhosts[0].sts: Browsers heed Strict-Transport-Security over TLS only, and this vhost has no certificate',
      'notice conf:1 ‹"HIGH"› vhosts[0].ciphers: Has no effect: this vhost has no certificate',
      'notice conf:2 ‹"http/1.1"› vhosts[0].alpn: Has no effect: this vhost has no certificate',
      "notice conf:2 ‹4› vhosts[0].ssl-option-set: Has no effect: this vhost has no certificate",
    ],
  ],
  [
    "authorities that ask no client for a certificate",
    { conf: tlsText('"host-ssl-ca": "c"'), c: "" },
    [
      'notice conf:2 ‹"c"› vhosts[0].host-ssl-ca: Completes the chain of the certificate; clients are asked for none without "client-cert-required"',
    ],
  ],
  [
    "protocols for ALPN that are not served",
    {
      conf: tlsText('"alpn": "h2,h3"', '"default-alpn": "h3,htp/1.1"'),
      c: "",
    },
    [
      'notice conf:1 ‹"h3,htp/1.1"› global.default-alpn: "h3" is not offered: Node has no QUIC, which HTTP/3 runs on',
      'warning conf:1 ‹"h3,htp/1.1"› global.default-alpn: Unknown protocol "htp/1.1"; did you mean "http/1.1"?',
      'warning conf:1 ‹"h3,htp/1.1"› global.default-alpn: Names nothing that is served here; h2,http/1.1 is offered',
      'notice conf:2 ‹"h2,h3"› vhosts[0].alpn: "h3" is not offered: Node has no QUIC, which HTTP/3 runs on',
    ],
  ],
  [
    "ciphers that this OpenSSL lacks, and flags that nobody set",
    {
      conf: tlsText(
        '"ciphers": "ECDHE+AESGCM:ECDHE-RSA-AES128-GCM-SHA255:!RC4:@STRENGTH",\n "ssl-option-set": "4", "ssl-option-clear": "67108868"',
      ),
      c: "",
    },
    [
      'warning conf:2 ‹"ECDHE+AESGCM:ECDHE-RSA-AES128-GCM-SHA255:!RC4:@STRENGTH"› vhosts[0].ciphers: OpenSSL has no cipher "ECDHE-RSA-AES128-GCM-SHA255"; did you mean "ECDHE-RSA-AES128-GCM-SHA256"?',
      'notice conf:3 ‹"67108868"› vhosts[0].ssl-option-clear: Only flags of "ssl-option-set" can be cleared, and TLS 1.2 and 1.3 are the only versions; 67108864 has no effect',
    ],
  ],
  [
    "an address as name that TLS clients cannot ask for",
    {
      conf: '{"global": {"init-ssl": 1}, "vhosts": [{"port": 443, "name": "a", "host-ssl-cert": "c", "host-ssl-key": "c"},\n {"port": 443, "name": "192.0.2.1", "host-ssl-cert": "d", "host-ssl-key": "c"}]}',
      c: "",
      d: "",
    },
    [
      'notice conf:2 ‹"192.0.2.1"› vhosts[1].name: Clients send no address in TLS (RFC 6066 3), so they are shown the certificate of the vhost at conf:1:40',
    ],
  ],
];

for (const [name, files, remarks] of cases)
  test(`loadConfig remarks on ${name}`, async (t) => {
    const outcome = await load(t, files);
    assert.deepEqual(outcome.errors, []);
    assert.deepEqual(outcome.remarks, remarks);
  });

const tables: readonly [name: string, keys: InertKeys, conf: (member: string) => string][] = [
  ["global", inertGlobalKeys, (member) => `{"global": {${member}}, "vhosts": [{"port": 0}]}`],
  ["vhost", inertVhostKeys, vhostText],
  ["mount", inertMountKeys, (member) => mountText(`"origin": "callback://p", ${member}`)],
];

for (const [name, keys, conf] of tables)
  test(`loadConfig says of every ${name} key without effect what it is`, async (t) => {
    for (const [key, { isFlag, isGuard }] of Object.entries(keys)) {
      const { errors, remarks } = await load(t, { conf: conf(`"${key}": "1"`) });
      const said = isGuard ? errors : remarks;
      assert.equal(errors.length + remarks.length, 1);
      assert.match(said[0] ?? "", new RegExp(`${key}: "${key}" \\S[^\n]+[^.]$`));
      const off = await load(t, { conf: conf(`"${key}": "0"`) });
      assert.equal(off.errors.length + off.remarks.length, isFlag ? 0 : 1, key);
    }
  });
