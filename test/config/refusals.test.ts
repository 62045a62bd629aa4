// One directory for each rule that refuses: every error it comes to, each with its place.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load, vhostText, type Files } from "./fixture.ts";

const GOOD = vhostText('"name": "good"');

const cases: readonly [name: string, files: Files, errors: string[]][] = [
  ["no configuration at all", {}, ['conf: Cannot read "ROOT/conf": there is no such file']],
  ["a conf that is a directory", { "conf/": "" }, ["conf: Is not a file"]],
  [
    "no vhost",
    { conf: '{"global": {}}' },
    ["conf:1 ‹{›: No vhost anywhere; a server needs at least one"],
  ],
  ["an array as the whole", { conf: "[]" }, ['conf:1 ‹[›: Expected an object, {"vhosts": […]}']],
  [
    "wrong types, all of them at once",
    {
      conf: '{"global": {"uid": "nobody", "init-ssl": "maybe", "timeout-secs": -1,\n "drain-secs": 99999999},\n "vhosts": [{"port": "seven", "name": {}, "mounts": {}},\n 5]}',
    },
    [
      'conf:1 ‹"nobody"› global.uid: Expected a whole number from 0 to 4294967294, got "nobody"',
      'conf:1 ‹"maybe"› global.init-ssl: Expected a flag such as "1" or "0", got "maybe"',
      "conf:1 ‹-1› global.timeout-secs: Expected a whole number from 0 to 2147483, got -1",
      "conf:2 ‹99999999› global.drain-secs: Expected a whole number from 0 to 2147483, got 99999999",
      'conf:3 ‹"seven"› vhosts[0].port: Expected a whole number from -2 to 65535, got "seven"',
      "conf:3 ‹{› vhosts[0].name: Expected a string, got an object",
      "conf:3 ‹{› vhosts[0].mounts: Expected an array of mounts, got an object",
      "conf:4 ‹5› vhosts[1]: Expected an object, got 5",
    ],
  ],
  [
    "a bus to nowhere, whose password is not quoted",
    {
      conf: '{"global": {"bus": {"nats": ["nats://host", "http://ann:secret@host",\n "nats://ann:secret@host/path"], "redis": 1}}, "vhosts": [{"port": 0}]}',
    },
    [
      'conf:1 ‹{› global.bus: Unrecognized key: "redis"',
      'conf:1 ‹"http://ann:secret@host"› global.bus.nats[1]: Expected a URL such as "nats://host:4222" or "tls://user:password@host"',
    ],
  ],
  [
    "authorities of a bus that are not there",
    {
      conf: '{"global": {"bus": {"nats": "tls://host"}, "nats-ca": "none.pem"}, "vhosts": [{"port": 0}]}',
    },
    [
      'conf:1 ‹"none.pem"› global.nats-ca: The file of NATS authorities "ROOT/none.pem" does not exist',
    ],
  ],
  [
    "errors in several files, in order",
    { "conf.d/b": '{"vhosts": [{}]}', "conf.d/a": "{", conf: '{"vhosts": {}}' },
    [
      "conf:1 ‹{› vhosts: Expected an array of vhosts, got an object",
      'conf.d/a:1:2: The file ends too early: the outermost object opened at 1:1 is still open and "}" would close it',
    ],
  ],
  [
    "raw connections that nobody takes",
    {
      conf: '{"global": {"init-ssl": "1"}, "vhosts": [{"port": 0, "apply-listen-accept": "1"},\n {"port": 81, "listen-accept-protocol": "raw-prxy", "apply-listen-accept": "1", "ws-protocols": {"raw-proxy": {}}},\n {"port": 82, "listen-accept-role": "http"}]}',
    },
    [
      'conf:1 ‹"1"› vhosts[0].apply-listen-accept: Needs "listen-accept-protocol", the protocol that takes the connections',
      'conf:2 ‹"raw-prxy"› vhosts[1].listen-accept-protocol: The protocol "raw-prxy" is not among the ws-protocols of this vhost; did you mean "raw-proxy"?',
      'conf:3 ‹"http"› vhosts[2].listen-accept-role: Expected raw-skt or raw-proxy',
    ],
  ],
  [
    "a key given twice",
    { conf: '{"vhosts": [{"port": 0, "name": "a",\n "name": "b"}]}' },
    ['conf:2 ‹"name"› vhosts[0].name: Given twice in one object; first at conf:1:25'],
  ],
  [
    "a key given twice deep in the options of a protocol",
    { conf: vhostText('"ws-protocols": {"p": {"a": {"b": 1, "b": 2}}}') },
    ['conf:1 ‹"b"› vhosts[0].ws-protocols.p.a.b: Given twice in one object; first at conf:1:54'],
  ],
  [
    "both spellings of one key",
    { conf: vhostText('"keepalive_timeout": 5, "keepalive-timeout": 6') },
    [
      'conf:1 ‹"keepalive-timeout"› vhosts[0].keepalive-timeout: The same key as "keepalive_timeout" at conf:1:25',
    ],
  ],
  [
    "__proto__ as a key",
    { conf: vhostText('"ws-protocols": {"p": {"__proto__": {}}}') },
    ['conf:1 ‹"__proto__"› vhosts[0].ws-protocols.p.__proto__: "__proto__" cannot be a key'],
  ],
  [
    "a name that is not defined",
    { conf: vhostText('"name": "${HOST}"') },
    [
      'conf:1 ‹"${HOST}"› vhosts[0].name: No definition of "HOST"; expected "=HOST" at the top of this file or of one read before it',
    ],
  ],
  [
    "a name that is nearly defined",
    { conf: '{"=HOSTS": "a", "vhosts": [{"port": 0, "name": "${HOST}"}]}' },
    [
      'conf:1 ‹"${HOST}"› vhosts[0].name: No definition of "HOST"; expected "=HOST" at the top of this file or of one read before it; did you mean "HOSTS"?',
    ],
  ],
  [
    "a variable that is not set",
    { conf: vhostText('"name": "${env:HOST}"') },
    ['conf:1 ‹"${env:HOST}"› vhosts[0].name: The environment has no variable "HOST"'],
  ],
  [
    "a definition that is no text",
    { conf: '{"=A": {}, "=b c": 1, "vhosts": [{"port": 0}]}' },
    [
      'conf:1 ‹"=A"› =A: A definition has a string, a number or a flag as its value',
      'conf:1 ‹"=b c"› =b c: A definition is named by letters, digits and _ after the =',
    ],
  ],
  [
    "a vhost without port",
    { conf: '{"vhosts": [ {"name": "a"}]}' },
    ['conf:1 ‹{› vhosts[0]: Missing: a vhost needs "port", or "unix-socket" with "interface"'],
  ],
  [
    "a name with a space",
    { conf: vhostText('"name": "a b"') },
    ['conf:1 ‹"a b"› vhosts[0].name: Expected a host name, got "a b"'],
  ],
  [
    "a wildcard inside a name",
    { conf: vhostText('"name": "www.*.example"') },
    [
      'conf:1 ‹"www.*.example"› vhosts[0].name: A "*" stands for the whole first label only: "*.example.com"',
    ],
  ],
  [
    "header names and values that would split a response",
    {
      conf: vhostText(
        '"headers": [{"X A": "1"}, {"X-B": "a\\r\\nSet-Cookie: x"}, {"X-C": "\\u0000"}, {"X-D": null}]',
      ),
    },
    [
      'conf:1 ‹"1"› vhosts[0].headers[0].X A: "X A" is not a header name',
      'conf:1 ‹"a\\r\\nSet-Cookie: x"› vhosts[0].headers[1].X-B: A header value cannot hold the control character 0x0d',
      'conf:1 ‹"\\u0000"› vhosts[0].headers[2].X-C: A header value cannot hold the control character 0x00',
      "conf:1 ‹null› vhosts[0].headers[3].X-D: Expected a string, got null",
    ],
  ],
  [
    "headers that frame the message",
    { conf: vhostText('"headers": {"Content-Length": 5}') },
    [
      "conf:1 ‹5› vhosts[0].headers.Content-Length: Content-Length is set by the server for each answer and cannot be configured",
    ],
  ],
  [
    "protocols that are no objects",
    { conf: vhostText('"ws-protocols": [{"p": "1"}, 5]') },
    [
      'conf:1 ‹"1"› vhosts[0].ws-protocols[0].p: Expected an object of options, {} for none',
      'conf:1 ‹5› vhosts[0].ws-protocols[1]: Expected an object such as {"lws-status": {}}',
    ],
  ],
  [
    "a protocol enabled twice",
    { conf: vhostText('"ws-protocols": [{"p": {}}, {"p": {}}]') },
    ['conf:1 ‹"p"› vhosts[0].ws-protocols[1].p: The protocol "p" is enabled twice on this vhost'],
  ],
  [
    "a protocol whose password file is a directory",
    { conf: vhostText('"ws-protocols": {"p": {"basic-auth": "passwords"}}'), "passwords/": "" },
    [
      'conf:1 ‹"passwords"› vhosts[0].ws-protocols.p.basic-auth: The password file "ROOT/passwords" is not a file',
    ],
  ],
  [
    "client certificates in clear",
    { conf: vhostText('"client-cert-required": "1"') },
    [
      'conf:1 ‹"1"› vhosts[0].client-cert-required: Client certificates are checked over TLS only, which needs "host-ssl-cert"',
    ],
  ],
  [
    "client certificates of any authority, and in clear beside",
    {
      conf: '{"global": {"init-ssl": "1"}, "vhosts": [{"port": 0, "host-ssl-cert": "c", "host-ssl-key": "c",\n "client-cert-required": "1",\n "allow-http-on-https": "1"}]}',
      c: "",
    },
    [
      'conf:2 ‹"1"› vhosts[0].client-cert-required: Needs "host-ssl-ca", the authorities whose certificates clients may have',
      'conf:3 ‹"1"› vhosts[0].allow-http-on-https: Contradicts "client-cert-required": in clear no client can prove who it is',
    ],
  ],
  [
    "policies of Strict-Transport-Security that are none",
    {
      conf: '{"vhosts": [{"port": 1, "sts": "often"}, {"port": 2, "sts":\n {"preload": 1}}, {"port": 3, "sts":\n {"max-age":\n "1e9", "preload":\n "x", "for":\n 1}}]}',
    },
    [
      'conf:1 ‹"often"› vhosts[0].sts: Expected a flag such as "1", or an object with "max-age", got "often"',
      "conf:2 ‹{› vhosts[1].sts: Expected a whole number of seconds, got nothing",
      'conf:4 ‹"1e9"› vhosts[2].sts.max-age: Expected a whole number of seconds, got "1e9"',
      'conf:5 ‹"x"› vhosts[2].sts.preload: Expected a flag such as "1" or "0"',
      'conf:6 ‹1› vhosts[2].sts.for: Unknown key "for", expected "max-age", "includeSubDomains", "preload"',
    ],
  ],
  [
    "a certificate without its key",
    { conf: '{"global": {"init-ssl": "1"}, "vhosts": [{"port": 0, "host-ssl-cert": "c"}]}', c: "" },
    ['conf:1 ‹"c"› vhosts[0].host-ssl-cert: A certificate needs its private key, "host-ssl-key"'],
  ],
  [
    "a key without its certificate",
    { conf: '{"global": {"init-ssl": "1"}, "vhosts": [{"port": 0, "host-ssl-key": "k"}]}', k: "" },
    ['conf:1 ‹"k"› vhosts[0].host-ssl-key: A private key needs its certificate, "host-ssl-cert"'],
  ],
  [
    "authorities without a certificate",
    { conf: vhostText('"host-ssl-ca": "ca"'), ca: "" },
    [
      'conf:1 ‹"ca"› vhosts[0].host-ssl-ca: Client certificates are checked over TLS only, which needs "host-ssl-cert"',
    ],
  ],
  [
    "TLS keys while init-ssl is off",
    { conf: vhostText('"host-ssl-cert": "c", "host-ssl-key": "k"'), c: "", k: "" },
    [
      'conf:1 ‹"c"› vhosts[0].host-ssl-cert: TLS is off: without "init-ssl": "1" in "global" this vhost would be served in clear',
    ],
  ],
  [
    "ciphers, suites and groups that OpenSSL does not know",
    {
      conf: `{"global": {"init-ssl": "1"}, "vhosts": [
 {"port": 1, "host-ssl-cert": "c", "host-ssl-key": "c", "ciphers": "NONSENSE",
 "tls13-ciphers": "TLS_AES_128_GCM_SHA256:TLS_AES_512_GCM_SHA384:HIGH", "ecdh-curve": "X25591:P-256"},
 {"port": 2, "host-ssl-cert": "c", "host-ssl-key": "c", "ciphers": "HIGH:TLS_AES_128_GCM_SHA256"},
 {"port": 3, "tls13-ciphers": ":", "ecdh-curve": "::/", "ciphers": "", "alpn": ","}]}`,
      c: "",
    },
    [
      'conf:2 ‹"NONSENSE"› vhosts[0].ciphers: No cipher that OpenSSL knows is left by "NONSENSE"',
      'conf:3 ‹"TLS_AES_128_GCM_SHA256:TLS_AES_512_GCM_SHA384:HIGH"› vhosts[0].tls13-ciphers: Unknown suite "TLS_AES_512_GCM_SHA384"; did you mean "TLS_AES_256_GCM_SHA384"?',
      'conf:3 ‹"TLS_AES_128_GCM_SHA256:TLS_AES_512_GCM_SHA384:HIGH"› vhosts[0].tls13-ciphers: "HIGH" is no suite of TLS 1.3; write it in "ciphers"',
      'conf:3 ‹"X25591:P-256"› vhosts[0].ecdh-curve: Unknown group "X25591"; did you mean "X25519"?',
      'conf:4 ‹"HIGH:TLS_AES_128_GCM_SHA256"› vhosts[1].ciphers: "TLS_AES_128_GCM_SHA256" is a suite of TLS 1.3; write it in "tls13-ciphers"',
      'conf:5 ‹":"› vhosts[2].tls13-ciphers: Names nothing',
      'conf:5 ‹"::/"› vhosts[2].ecdh-curve: Names nothing',
      'conf:5 ‹""› vhosts[2].ciphers: Names nothing',
      'conf:5 ‹","› vhosts[2].alpn: Names nothing',
    ],
  ],
  [
    "option flags that are no numbers, and such that leave nothing",
    {
      conf: '{"global": {"init-ssl": "1"}, "vhosts": [{"port": 1, "host-ssl-cert": "c", "host-ssl-key": "c", "ssl-option-set": "134217728",\n "ssl-option-set": 536870912},\n {"port": 2, "ssl-option-set": "4",\n "ssl-option-set": "0x4"}]}',
      c: "",
    },
    [
      'conf:1 ‹"134217728"› vhosts[0].ssl-option-set: SSL_OP_NO_TLSv1_2 and SSL_OP_NO_TLSv1_3 leave no TLS version',
      'conf:4 ‹"0x4"› vhosts[1].ssl-option-set: Expected a whole number of at least 0, got "0x4"',
    ],
  ],
  [
    "certificates that are not there",
    {
      conf: '{"global": {"init-ssl": "1"}, "vhosts": [{"port": 0,\n "host-ssl-cert": "c", "host-ssl-key": "k", "host-ssl-ca": "a"}]}',
      k: "",
      "a/": "",
    },
    [
      'conf:2 ‹"c"› vhosts[0].host-ssl-cert: The certificate "ROOT/c" does not exist',
      'conf:2 ‹"a"› vhosts[0].host-ssl-ca: The file of authorities "ROOT/a" is not a file',
    ],
  ],
  [
    "plugin directories that are not there, in two files",
    {
      conf: '{"global": {"plugin-dir": "a"},\n "vhosts": [{"port": 0}]}',
      "conf.d/x": '{"global": {"plugin-dir": "b"}}',
    },
    [
      'conf:1 ‹"a"› global.plugin-dir: The plugin directory "ROOT/a" does not exist',
      'conf.d/x:1 ‹"b"› global.plugin-dir: The plugin directory "ROOT/conf.d/b" does not exist',
    ],
  ],
  [
    "files whose directory is not there",
    {
      conf: '{"global": {"control-socket": "r/p"}, "vhosts": [{"port": 0,\n "access-log": "l/a"}]}',
    },
    [
      'conf:1 ‹"r/p"› global.control-socket: The control socket "ROOT/r/p" cannot be made: its directory does not exist',
      'conf:2 ‹"l/a"› vhosts[0].access-log: The access log "ROOT/l/a" cannot be made: its directory does not exist',
    ],
  ],
  [
    "a unix-socket vhost without a path",
    { conf: '{"vhosts": [{"unix-socket": "1"}]}' },
    [
      'conf:1 ‹"1"› vhosts[0].unix-socket: A unix-socket vhost needs "interface", the path of its socket or @name',
    ],
  ],
  [
    "the path of a socket while unix-socket is off",
    { conf: vhostText('"interface": "@x"') },
    [
      'conf:1 ‹"@x"› vhosts[0].interface: "@x" is the name of a Unix socket, and unix-socket is off',
    ],
  ],
  [
    "an address while unix-socket is on",
    { conf: '{"vhosts": [{"unix-socket": "1", "interface": "127.0.0.1"}]}' },
    ['conf:1 ‹"127.0.0.1"› vhosts[0].interface: "127.0.0.1" is an address, and unix-socket is on'],
  ],
  [
    "the path of a socket that is too long",
    { conf: `{"vhosts": [{"unix-socket": "1", "interface": "@${"x".repeat(107)}"}]}` },
    [
      `conf:1 ‹"@${"x".repeat(107)}"› vhosts[0].interface: The path of a Unix socket can have 107 bytes; "@${"x".repeat(78)}… is longer`,
    ],
  ],
  [
    "an owner of a socket without its group",
    { conf: '{"vhosts": [{"unix-socket": "1", "interface": "@x", "unix-socket-perms": "www"}]}' },
    ['conf:1 ‹"www"› vhosts[0].unix-socket-perms: Expected "user:group"'],
  ],
  [
    "families that exclude each other",
    {
      conf: '{"vhosts": [{"port": 0, "noipv6": "1", "ipv6only": "1"},\n {"port": 0, "noipv6": "1", "interface": "::1"}]}',
    },
    [
      'conf:1 ‹"1"› vhosts[0].noipv6: noipv6 and ipv6only leave no address to listen on',
      'conf:2 ‹"1"› vhosts[1].noipv6: noipv6 and interface "::1" leave no address to listen on',
    ],
  ],
  [
    "two vhosts with one name on one port, in two files",
    {
      conf: '{"vhosts": [{"port": 80, "name": "a.example"}]}',
      "conf.d/x": '{"vhosts": [{"port": "80", "name": "A.example"}]}',
    },
    [
      'conf.d/x:1 ‹"A.example"› vhosts[0].name: Another vhost is called "A.example" on *:80, at conf:1:34',
    ],
  ],
  [
    "two vhosts on one Unix socket with one name",
    {
      conf: '{"vhosts": [{"unix-socket": 1, "interface": "@s"},\n {"unix-socket": 1, "interface": "@s"}]}',
    },
    ['conf:2 ‹{› vhosts[1].name: Another vhost is called "default" on @s, at conf:1:13'],
  ],
  [
    "TLS and plain HTTP on one address",
    {
      conf: '{"global": {"init-ssl": 1}, "vhosts": [{"port": 443, "name": "a", "host-ssl-cert": "c", "host-ssl-key": "c"},\n {"port": 443, "name": "b"}]}',
      c: "",
    },
    [
      "conf:2 ‹{› vhosts[1].host-ssl-cert: Wants plain HTTP on *:443, where the vhost at conf:1:40 has TLS; one address cannot do both",
    ],
  ],
  [
    "bytes that are not UTF-8",
    { conf: Buffer.concat([Buffer.from('{\n "a": "é'), Buffer.from([0xe9, 0x22, 0x7d])]) },
    ["conf:2:9: Not UTF-8: byte 0xe9; save the file as UTF-8"],
  ],
  [
    "text in UTF-16",
    { conf: Buffer.from("\uFEFF{}", "utf16le") },
    ["conf:1:1: This is UTF-16; save it as UTF-8"],
  ],
  [
    "a drop-in that is a device",
    { conf: GOOD, "conf.d/x": "-> /dev/zero" },
    ["conf.d/x: Is not a file"],
  ],
  [
    "a drop-in that leads nowhere",
    { conf: GOOD, "conf.d/x": "-> /nowhere/at/all" },
    ['conf.d/x: Cannot read "ROOT/conf.d/x": it is a symlink to nothing'],
  ],
];

for (const [name, files, errors] of cases)
  test(`loadConfig refuses ${name}`, async (t) => {
    const outcome = await load(t, files);
    assert.deepEqual(outcome.errors, errors);
    assert.equal(outcome.loaded, undefined);
  });
