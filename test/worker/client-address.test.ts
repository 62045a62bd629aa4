import assert from "node:assert/strict";
import { test } from "node:test";
import { createIdentify } from "../../worker/client-address.ts";
import type { Connection } from "../../worker/http/connection.ts";
import { createNetworks, plainAddress } from "../../worker/networks.ts";

const FROM: Connection = {
  listener: "test",
  remoteAddress: "10.0.0.1",
  remotePort: 4711,
  localAddress: "192.0.2.1",
  localPort: 80,
  secure: false,
};

function identify(
  fields: readonly (readonly [string, string])[],
  connection = FROM,
  trusted = ["10.0.0.0/8", "2001:db8::/32", "unix:"],
): Connection {
  const raw = fields.flat();
  return createIdentify({ trusted, givesIds: false })?.(connection, raw) ?? connection;
}

const CHAINS: readonly (readonly [chain: string, client: string])[] = [
  ["198.51.100.7", "198.51.100.7"],
  [" 198.51.100.7 ", "198.51.100.7"],
  ["198.51.100.7, 10.2.3.4", "198.51.100.7"],
  ["127.0.0.1, 198.51.100.7, 10.2.3.4,10.0.0.9", "198.51.100.7"],
  ["10.9.9.9, 10.2.3.4", "10.9.9.9"],
  ["198.51.100.7:51234", "198.51.100.7"],
  ["2a00::7", "2a00::7"],
  ["[2a00::7]", "2a00::7"],
  ["[2a00::7]:443, [2001:db8::1]", "2a00::7"],
  ["::ffff:198.51.100.7", "198.51.100.7"],
  ["evil, unknown, 10.2.3.4", "10.2.3.4"],
  ["198.51.100.7, ", "10.0.0.1"],
  ["", "10.0.0.1"],
  [",", "10.0.0.1"],
  ["unknown", "10.0.0.1"],
  ["198.51.100.7.1", "10.0.0.1"],
  ["198.51.100.256", "10.0.0.1"],
  ["198.51.100.7:http", "10.0.0.1"],
  ["[198.51.100.7]", "10.0.0.1"],
  ["fe80::1%eth0", "10.0.0.1"],
  ['"198.51.100.7"', "10.0.0.1"],
  ["1.1.1.1\t2.2.2.2", "10.0.0.1"],
];

for (const [chain, client] of CHAINS)
  test(`createIdentify reads X-Forwarded-For ${JSON.stringify(chain)}`, () => {
    assert.equal(identify([["X-Forwarded-For", chain]]).remoteAddress, client);
  });

test("createIdentify joins several fields in order, whatever the case of their names", () => {
  const fields = [
    ["x-forwarded-for", "1.1.1.1"],
    ["A", "b"],
    ["X-FORWARDED-FOR", "198.51.100.7, 10.2.3.4"],
  ] as const;
  assert.equal(identify(fields).remoteAddress, "198.51.100.7");
});

test("createIdentify believes nobody who is no trusted proxy", () => {
  const fields = [
    ["X-Forwarded-For", "1.1.1.1"],
    ["X-Forwarded-Proto", "https"],
  ] as const;
  const stranger = { ...FROM, remoteAddress: "203.0.113.5" };
  assert.equal(identify(fields, stranger), stranger);
  assert.equal(identify(fields, { ...FROM, remoteAddress: "unix:" }, ["10.0.0.0/8"]).secure, false);
  assert.equal(createIdentify({ trusted: [], givesIds: false }), undefined);
});

test("createIdentify believes whoever comes over a Unix socket where that is configured", () => {
  const { remoteAddress, remotePort } = identify([["X-Forwarded-For", "1.1.1.1"]], {
    ...FROM,
    remoteAddress: "unix:",
  });
  assert.deepEqual([remoteAddress, remotePort], ["1.1.1.1", 0]);
});

test("createIdentify takes the scheme of the nearest proxy", () => {
  const schemeOf = (value: string): boolean => identify([["X-Forwarded-Proto", value]]).secure;
  assert.deepEqual(["https", "http, HTTPS", "wss", "https, http", "x", ""].map(schemeOf), [
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
  const secure = identify([], { ...FROM, secure: true });
  assert.equal(secure.secure, true);
});

test("createIdentify follows a bounded number of proxies", () => {
  const chain = `1.1.1.1, ${Array.from({ length: 5_000 }, () => "10.1.1.1").join(", ")}`;
  assert.equal(identify([["X-Forwarded-For", chain]]).remoteAddress, "10.1.1.1");
});

test("createIdentify names each request, and keeps a name from trusted proxies only", () => {
  const named = createIdentify({ trusted: ["10.0.0.0/8"], givesIds: true });
  assert.ok(named);
  const idOf = (fields: string[], connection = FROM): string => {
    const { requestId = "" } = named(connection, fields);
    const at = fields.indexOf("X-Request-Id");
    assert.equal(fields[at + 1], requestId);
    const names = fields.filter((_, index) => index % 2 === 0);
    assert.equal(names.filter((name) => name.toLowerCase() === "x-request-id").length, 1);
    return requestId;
  };
  assert.equal(idOf(["Host", "h", "x-request-id", "abc-1"]), "abc-1");
  const own = /^[\da-f]{32}$/;
  const first = idOf(["Host", "h"]);
  assert.match(first, own);
  assert.notEqual(idOf(["Host", "h"]), first);
  assert.match(idOf(["x-request-id", "abc"], { ...FROM, remoteAddress: "203.0.113.5" }), own);
  assert.match(idOf(["x-request-id", "a", "X-Request-ID", "b", "Host", "h"]), own);
  for (const bad of ["", 'a"b', "a b", "a\xe9", "x".repeat(129)])
    assert.match(idOf(["x-request-id", bad]), own);
});

test("createIdentify keeps what a connection tells only when it is asked", () => {
  class Asked {
    readonly listener = FROM.listener;
    readonly secure = true;
    get remoteAddress(): string {
      return FROM.remoteAddress;
    }
    get remotePort(): number {
      return FROM.remotePort;
    }
    get localAddress(): string {
      return FROM.localAddress;
    }
    get localPort(): number {
      return FROM.localPort;
    }
  }
  assert.deepEqual(identify([], new Asked()), { ...FROM, secure: true });
});

test("createNetworks finds addresses in networks", () => {
  const networks = createNetworks(["192.0.2.0/25", "198.51.100.7", "2001:db8::/48", "::1"]);
  const inside = ["192.0.2.127", "198.51.100.7", "2001:db8::ffff", "::1"];
  const outside = ["192.0.2.128", "198.51.100.8", "2001:db8:1::", "::2", "unix:", "", "x"];
  assert.deepEqual(
    inside.filter((one) => networks.has(one)),
    inside,
  );
  assert.deepEqual(
    outside.filter((one) => networks.has(one)),
    [],
  );
  assert.equal(createNetworks([]).has("127.0.0.1"), false);
  assert.equal(createNetworks(["0.0.0.0/0"]).has("203.0.113.5"), true);
});

test("plainAddress shows IPv4 clients of an IPv6 socket as such", () => {
  assert.deepEqual(["::ffff:192.0.2.1", "::1", undefined].map(plainAddress), [
    "192.0.2.1",
    "::1",
    "unix:",
  ]);
});
