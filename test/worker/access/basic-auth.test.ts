import assert from "node:assert/strict";
import test from "node:test";
import { createPasswordGate, parseCredentials } from "../../../worker/access/basic-auth.ts";
import type { Verdict } from "../../../worker/access/guard.ts";
import { HttpError } from "../../../worker/http/exchange.ts";

const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;

const taken: readonly [field: string, name: string, password: string][] = [
  [basic("ann:secret"), "ann", "secret"],
  [basic("ann:secret").replace("Basic", "bASIC"), "ann", "secret"],
  [basic("ann:secret").replace("Basic", "Basic  "), "ann", "secret"],
  [basic("ann:a:b:"), "ann", "a:b:"],
  [basic("ann:"), "ann", ""],
  [basic(":"), "", ""],
  [basic("\u00e5nn:p\u00e4ss\ufeff"), "\u00e5nn", "p\u00e4ss\ufeff"],
  [basic(`ann:${"p".repeat(255)}`), "ann", "p".repeat(255)],
  ["Basic YW5uOnNlY3JldA", "ann", "secret"],
];
for (const [field, name, password] of taken)
  test(`parseCredentials takes ${field.slice(0, 60)}`, () => {
    assert.deepEqual(parseCredentials(field), { name, password });
  });

const refused: readonly (string | undefined)[] = [
  undefined,
  "",
  "Basic",
  "Basic ",
  "Basic ====",
  "Basic a b",
  "Basic YW5uOnNlY3JldA==, Basic YW5uOnNlY3JldA==",
  "Bearer YW5uOnNlY3JldA==",
  "BasicYW5uOnNlY3JldA==",
  'Digest username="ann"',
  basic("ann"),
  basic("ann:se\u0000cret"),
  basic("an\nn:secret"),
  basic(`ann:${"p".repeat(256)}`),
  `Basic ${Buffer.from("ann:p\xe4ss", "latin1").toString("base64")}`,
];
for (const field of refused)
  test(`parseCredentials takes nothing from ${JSON.stringify(field)?.slice(0, 70)}`, () => {
    assert.equal(parseCredentials(field), undefined);
  });

function ask(field: string | undefined, outcome: Verdict | undefined, realm = "here"): Verdict {
  const gate = createPasswordGate({ check: () => outcome }, realm);
  const verdict = gate({ remoteAddress: "192.0.2.1", header: () => field });
  assert.ok(!(verdict instanceof Promise));
  return verdict;
}

test("createPasswordGate challenges who says nothing or the wrong thing", () => {
  for (const field of [undefined, "Bearer x", basic("ann:x")]) {
    const verdict = ask(field, undefined, 'a "b" \\ c');
    assert.ok(verdict instanceof HttpError);
    assert.equal(verdict.status, 401);
    assert.deepEqual(verdict.headers, [
      ["WWW-Authenticate", 'Basic realm="a \\"b\\" \\\\ c", charset="UTF-8"'],
    ]);
  }
});

test("createPasswordGate passes on what the file says", () => {
  assert.deepEqual(ask(basic("ann:x"), { user: "ann" }), { user: "ann" });
  const busy = new HttpError(503, "");
  assert.equal(ask(basic("ann:x"), busy), busy);
});
