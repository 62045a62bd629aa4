import assert from "node:assert/strict";
import { test } from "node:test";
import { vhostKey, wantedListeners, type WantedListener } from "../../config/listeners.ts";
import { load } from "./fixture.ts";

type Vhost = Record<string, unknown>;

const tls = { "host-ssl-cert": "c", "host-ssl-key": "c" };
const plain = { kind: "tcp", port: 80, families: [4, 6], secure: false } as const;

const cases: readonly [name: string, vhosts: Vhost[], listeners: WantedListener[]][] = [
  [
    "one entry for vhosts on one port, in file order",
    [
      { name: "a", port: 80 },
      { name: "b", port: 81 },
      { name: "c", port: 80 },
    ],
    [
      { ...plain, vhosts: [0, 2] },
      { ...plain, port: 81, vhosts: [1] },
    ],
  ],
  [
    "interfaces apart",
    [
      { name: "a", port: 80, interface: "lo" },
      { name: "b", port: 80 },
    ],
    [
      { ...plain, interface: "lo", vhosts: [0] },
      { ...plain, vhosts: [1] },
    ],
  ],
  [
    "the family of a numeric address",
    [
      { name: "a", port: 80, interface: "127.0.0.1" },
      { name: "b", port: 80, interface: "::1" },
    ],
    [
      { ...plain, interface: "127.0.0.1", families: [4], vhosts: [0] },
      { ...plain, interface: "::1", families: [6], vhosts: [1] },
    ],
  ],
  [
    "the families that noipv6 and ipv6only leave",
    [
      { name: "a", port: 80, noipv6: 1 },
      { name: "b", port: 81, ipv6only: 1 },
      { name: "c", port: 82, ipv6only: 0 },
    ],
    [
      { ...plain, families: [4], vhosts: [0] },
      { ...plain, port: 81, families: [6], vhosts: [1] },
      { ...plain, port: 82, vhosts: [2] },
    ],
  ],
  [
    "one socket for each family that vhosts share, never two",
    [
      { name: "a", port: 80, noipv6: 1 },
      { name: "b", port: 80 },
    ],
    [
      { ...plain, families: [4], vhosts: [0, 1] },
      { ...plain, families: [6], vhosts: [1] },
    ],
  ],
  [
    "TLS and plain vhosts on any port apart",
    [
      { name: "a", port: 0, ...tls },
      { name: "b", port: 0 },
      { name: "c", port: 0, ...tls },
    ],
    [
      { ...plain, port: 0, secure: true, vhosts: [0, 2] },
      { ...plain, port: 0, vhosts: [1] },
    ],
  ],
  [
    "nothing for negative ports",
    [
      { name: "a", port: -1 },
      { name: "b", port: "-2" },
    ],
    [],
  ],
  [
    "Unix sockets, with their owner",
    [
      { name: "a", "unix-socket": 1, interface: "@s", "unix-socket-perms": "www:www" },
      { name: "b", "unix-socket": 1, interface: "@s", "unix-socket-perms": "www:www" },
      { name: "c", "unix-socket": 1, interface: "@t" },
    ],
    [
      { kind: "unix", path: "@s", perms: "www:www", secure: false, vhosts: [0, 1] },
      { kind: "unix", path: "@t", secure: false, vhosts: [2] },
    ],
  ],
];

for (const [name, vhosts, listeners] of cases)
  test(`wantedListeners gives ${name}`, async (t) => {
    const conf = JSON.stringify({ global: { "init-ssl": 1 }, vhosts });
    const { loaded, errors } = await load(t, { conf, c: "" });
    assert.deepEqual(errors, []);
    assert.ok(loaded);
    assert.deepEqual(wantedListeners(loaded.config), listeners);
  });

test("vhostKey names a vhost by port or by socket", () => {
  assert.equal(vhostKey({ name: "a", port: 80, "unix-socket": false }), "a:80");
  assert.equal(vhostKey({ name: "a", port: 80, interface: "lo", "unix-socket": false }), "a:80");
  assert.equal(vhostKey({ name: "a", interface: "/run/s", "unix-socket": true }), "a:/run/s");
});
