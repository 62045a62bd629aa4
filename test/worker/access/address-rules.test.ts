import assert from "node:assert/strict";
import test from "node:test";
import { createAddressRule, type AddressRules } from "../../../worker/access/address-rules.ts";

type Case = {
  readonly what: string;
  readonly rules: AddressRules;
  readonly in: readonly string[];
  readonly out: readonly string[];
};

const cases: readonly Case[] = [
  {
    what: "only whom allow names",
    rules: { allow: ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"] },
    in: ["192.0.2.0", "192.0.2.255", "2001:db8:ffff::1", "198.51.100.7"],
    out: ["192.0.3.0", "192.0.1.255", "2001:db9::1", "198.51.100.8", "unix:", "::1"],
  },
  {
    what: "all but whom deny names",
    rules: { deny: ["192.0.2.0/24", "2001:db8::1"] },
    in: ["192.0.3.1", "2001:db8::2", "unix:"],
    out: ["192.0.2.1", "2001:db8::1"],
  },
  {
    what: "the more specific network decides, whichever list it is in",
    rules: { allow: ["10.0.0.0/8", "10.1.2.3"], deny: ["10.1.0.0/16"] },
    in: ["10.2.0.1", "10.1.2.3"],
    out: ["10.1.2.4", "11.0.0.1"],
  },
  {
    what: "deny wins where both name the same network",
    rules: { allow: ["10.0.0.0/8", "10.9.9.9/32"], deny: ["10.0.0.0/8", "10.9.9.9"] },
    in: [],
    out: ["10.0.0.1", "10.9.9.9"],
  },
  {
    what: "deny all but whom allow names",
    rules: { allow: ["10.0.0.0/8", "unix:"], deny: ["all"] },
    in: ["10.0.0.1", "unix:"],
    out: ["192.0.2.1", "::1"],
  },
  {
    what: "allow all but whom deny names",
    rules: { allow: ["all"], deny: ["10.0.0.0/8", "unix:"] },
    in: ["192.0.2.1", "::1"],
    out: ["10.0.0.1", "unix:"],
  },
  { what: "nobody by an empty list", rules: { allow: [] }, in: [], out: ["127.0.0.1", "unix:"] },
  { what: "everybody by an empty deny", rules: { deny: [] }, in: ["127.0.0.1", "unix:"], out: [] },
  {
    what: "a whole family",
    rules: { allow: ["0.0.0.0/0"], deny: ["10.0.0.0/8"] },
    in: ["192.0.2.1"],
    out: ["10.0.0.1", "::1", "unix:"],
  },
  {
    what: "addresses behind their prefix",
    rules: { allow: ["192.0.2.77/24"] },
    in: ["192.0.2.1"],
    out: ["192.0.3.77"],
  },
];

for (const { what, rules, in: admitted, out } of cases)
  test(`createAddressRule: ${what}`, () => {
    const rule = createAddressRule(rules);
    assert.ok(rule);
    const ask = (remoteAddress: string): number =>
      rule({ remoteAddress, header: () => undefined })?.status ?? 200;
    // Twice, because the answer is remembered.
    for (const address of [...admitted, ...admitted]) assert.equal(ask(address), 200, address);
    for (const address of [...out, ...out]) assert.equal(ask(address), 403, address);
  });

test("createAddressRule makes nothing of no rules", () => {
  assert.equal(createAddressRule({}), undefined);
});

test("createAddressRule answers right for more clients than it remembers", () => {
  const rule = createAddressRule({ deny: ["10.0.0.0/16"] });
  for (let round = 0; round < 2; round += 1)
    for (let index = 0; index < 3_000; index += 1) {
      const remoteAddress = `10.${index % 2}.${index >> 8}.${index & 255}`;
      const refusal = rule?.({ remoteAddress, header: () => undefined });
      assert.equal(refusal?.status, index % 2 === 0 ? 403 : undefined, remoteAddress);
    }
});
