import assert from "node:assert/strict";
import type { NetworkInterfaceInfo } from "node:os";
import test from "node:test";
import type { WantedListener } from "../../config/listeners.ts";
import { resolveAddresses } from "../../supervisor/addresses.ts";

const base = { netmask: "", mac: "", internal: false, cidr: null };
const v4 = (address: string): NetworkInterfaceInfo => ({ ...base, address, family: "IPv4" });
const v6 = (address: string, scopeid: number): NetworkInterfaceInfo => ({
  ...base,
  address,
  family: "IPv6",
  scopeid,
});
const interfaces = {
  lo: [v4("127.0.0.1"), v6("::1", 0)],
  eth0: [v4("192.0.2.2"), v6("fe80::1", 2)],
};

function tcp(fields: Partial<Extract<WantedListener, { kind: "tcp" }>>): WantedListener {
  return { kind: "tcp", port: 80, families: [4, 6], secure: false, vhosts: [0], ...fields };
}

const cases: [what: string, wanted: WantedListener[], keys: string[]][] = [
  ["no interface is both wildcards", [tcp({})], ["0.0.0.0:80", "[::]:80"]],
  ["a device is all its addresses", [tcp({ interface: "lo" })], ["127.0.0.1:80", "[::1]:80"]],
  [
    "a link-local address keeps its device",
    [tcp({ interface: "eth0", families: [6] })],
    ["[fe80::1%eth0]:80"],
  ],
  ["an address is itself", [tcp({ interface: "192.0.2.2", families: [4] })], ["192.0.2.2:80"]],
  ["one family only", [tcp({ families: [4] })], ["0.0.0.0:80"]],
  [
    "a device and its address share a socket",
    [tcp({ interface: "lo", families: [4] }), tcp({ interface: "127.0.0.1", vhosts: [1] })],
    ["127.0.0.1:80"],
  ],
  ["unix sockets", [{ kind: "unix", path: "@a", secure: false, vhosts: [0] }], ["unix:@a"]],
];
for (const [what, wanted, keys] of cases) {
  test(`resolveAddresses: ${what}`, () => {
    assert.deepEqual(
      resolveAddresses(wanted, interfaces).plans.map((plan) => plan.key),
      keys,
    );
  });
}

test("resolveAddresses folds an address into the wildcard on its port", () => {
  const { plans } = resolveAddresses(
    [tcp({ families: [4] }), tcp({ interface: "lo", families: [4], vhosts: [1] })],
    interfaces,
  );
  assert.equal(plans.length, 1);
  assert.deepEqual(plans[0]?.vhosts, [0]);
  assert.deepEqual(plans[0]?.overrides, [{ address: "127.0.0.1", vhosts: [1] }]);
});

test("resolveAddresses tells a missing interface and a host without IPv6", () => {
  assert.deepEqual(resolveAddresses([tcp({ interface: "wg0" })], interfaces).missing, ["wg0"]);
  const plain = resolveAddresses([tcp({})], { lo: [v4("127.0.0.1")] });
  assert.equal(plain.lacksIpv6, true);
  assert.deepEqual(
    plain.plans.map((plan) => plan.key),
    ["0.0.0.0:80"],
  );
});
