import assert from "node:assert/strict";
import { test } from "node:test";
import { normalizeName, parseAuthority } from "../../../worker/http/host.ts";

const TAKEN: readonly (readonly [text: string, host: string])[] = [
  ["h", "h"],
  ["L.Example", "l.example"],
  ["h.", "h"],
  ["h:", "h"],
  ["h:80", "h"],
  ["h.:65535", "h"],
  ["a_b-c~.example", "a_b-c~.example"],
  ["127.0.0.1:8080", "127.0.0.1"],
  ["[::1]", "[::1]"],
  ["[::1]:80", "[::1]"],
  ["[0:0:0:0:0:0:0:1]", "[::1]"],
  ["[2001:DB8::A]:", "[2001:db8::a]"],
];

const REFUSED: readonly string[] = [
  "",
  " ",
  "a, b",
  "a,b",
  "u@h",
  "u:p@h",
  "h/p",
  "h?q",
  "h#f",
  "h\\p",
  "h:99999",
  "h:65536",
  "h:000080",
  "h:80:80",
  "h:8o",
  "h:-1",
  "h: 80",
  "[::1",
  "::1",
  "[::1]x",
  "[::1%25eth0]",
  "[fe80::1%eth0]",
  "[1.2.3.4]",
  "[v1.x]",
  "[../../",
  "..h",
  "h..",
  ".",
  ".h",
  "a..b",
  "h\x02",
  "h\xa0",
  "h\x00",
  "h%2e",
  "*.h",
  "<h>",
  "h\t",
  "a".repeat(256),
];

test("parseAuthority takes names, addresses and ports", () => {
  for (const [text, host] of TAKEN) assert.deepEqual(parseAuthority(text), { text, host });
});

test("parseAuthority refuses", () => {
  for (const text of REFUSED) assert.equal(parseAuthority(text), undefined, JSON.stringify(text));
});

test("normalizeName makes names of vhosts comparable with hosts", () => {
  assert.equal(normalizeName("Example.ORG."), "example.org");
  assert.equal(normalizeName("b\u00fccher.example"), "xn--bcher-kva.example");
  assert.equal(normalizeName("::0:1"), "[::1]");
  assert.equal(normalizeName("[::0:1]"), "[::1]");
  assert.equal(normalizeName("my_host"), "my_host");
});
