// Names that connections ask for over and over.

import assert from "node:assert/strict";
import { test } from "node:test";
import { HostMemory } from "../../../worker/http/host-memory.ts";
import { parseAuthority } from "../../../worker/http/host.ts";

test("HostMemory gives what parseAuthority gives, each time the same, however many names come between", () => {
  const memory = new HostMemory();
  const first = memory.find("Example.com:80");
  assert.deepEqual(first, parseAuthority("Example.com:80"));
  assert.equal(memory.find("other"), memory.find("other"));
  assert.equal(memory.find("Example.com:80"), first);
  for (let name = 0; name < 1000; name += 1)
    assert.equal(memory.find(`h${name}`)?.host, `h${name}`);
  assert.deepEqual(memory.find("Example.com:80"), first);
});

test("HostMemory refuses what is no authority, whatever it knows", () => {
  const memory = new HostMemory();
  for (const text of ["", "a b", "a", "a:99999", "[::1", "a@b"])
    assert.deepEqual(memory.find(text), parseAuthority(text), text);
});
