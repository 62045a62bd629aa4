import assert from "node:assert/strict";
import { test } from "node:test";
import {
  evaluateConditions,
  rangeStillHolds,
  type Verdict,
} from "../../../worker/http/conditional.ts";
import { formatHttpDate, parseHttpDate } from "../../../worker/http/http-date.ts";

const MODIFIED = 1_700_000_000;
const CURRENT = { etag: '"E"', lastModified: MODIFIED };
const AT = formatHttpDate(MODIFIED);
const LATER = formatHttpDate(MODIFIED + 1);
const EARLIER = formatHttpDate(MODIFIED - 1);

const CASES: readonly (readonly [fields: Record<string, string>, verdict: Verdict])[] = [
  [{}, "send"],
  [{ "if-none-match": '"E"' }, "not-modified"],
  [{ "if-none-match": '"x"' }, "send"],
  [{ "if-none-match": '"x", "E" , "y"' }, "not-modified"],
  [{ "if-none-match": '"x",,\t"E"' }, "not-modified"],
  [{ "if-none-match": '"a,b", "E"' }, "not-modified"],
  [{ "if-none-match": "*" }, "not-modified"],
  [{ "if-none-match": " * " }, "not-modified"],
  [{ "if-none-match": 'W/"E"' }, "not-modified"],
  [{ "if-none-match": 'w/"E"' }, "send"],
  [{ "if-none-match": "E" }, "send"],
  [{ "if-none-match": 'E, "E"' }, "send"],
  [{ "if-none-match": '"x" "E"' }, "send"],
  [{ "if-none-match": '"E' }, "send"],
  [{ "if-none-match": "" }, "send"],
  [{ "if-match": '"E"' }, "send"],
  [{ "if-match": '"x"' }, "failed"],
  [{ "if-match": '"a",\t"E"' }, "send"],
  [{ "if-match": "*" }, "send"],
  [{ "if-match": 'W/"E"' }, "failed"],
  [{ "if-match": '"E"', "if-none-match": '"E"' }, "not-modified"],
  [{ "if-match": '"E"', "if-unmodified-since": EARLIER }, "send"],
  [{ "if-unmodified-since": EARLIER }, "failed"],
  [{ "if-unmodified-since": AT }, "send"],
  [{ "if-unmodified-since": "garbage" }, "send"],
  [{ "if-modified-since": AT }, "not-modified"],
  [{ "if-modified-since": LATER }, "not-modified"],
  [{ "if-modified-since": EARLIER }, "send"],
  [{ "if-modified-since": "garbage" }, "send"],
  [{ "if-modified-since": "2100" }, "send"],
  [{ "if-modified-since": LATER, "if-none-match": '"x"' }, "send"],
];

test("evaluateConditions follows RFC 9110 13.2.2", () => {
  for (const [fields, verdict] of CASES)
    assert.equal(
      evaluateConditions((name) => fields[name], CURRENT),
      verdict,
      JSON.stringify(fields),
    );
});

test("evaluateConditions reads a long list in one pass", () => {
  const list = `${'"x", '.repeat(20_000)}"E"`;
  const header = (name: string): string | undefined =>
    name === "if-none-match" ? list : undefined;
  assert.equal(evaluateConditions(header, CURRENT), "not-modified");
});

test("rangeStillHolds for an equal strong tag, or an equal date whose second is over", () => {
  const now = (MODIFIED + 10) * 1000;
  const cases = [
    [undefined, true],
    ['"E"', true],
    ['W/"E"', false],
    ['"x"', false],
    ["*", false],
    [AT, true],
    [EARLIER, false],
    [LATER, false],
    ["garbage", false],
  ] as const;
  for (const [field, holds] of cases)
    assert.equal(rangeStillHolds(field, CURRENT, now), holds, String(field));
  assert.equal(rangeStillHolds(AT, CURRENT, MODIFIED * 1000 + 999), false);
  assert.equal(rangeStillHolds(AT, CURRENT, (MODIFIED + 1) * 1000), true);
});

test("parseHttpDate reads the three forms of RFC 9110 5.6.7", () => {
  const at = Date.UTC(1994, 10, 6, 8, 49, 37) / 1000;
  const now = Date.UTC(2026, 0, 1);
  assert.equal(parseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT"), at);
  assert.equal(parseHttpDate("Sunday, 06-Nov-94 08:49:37 GMT", now), at);
  assert.equal(parseHttpDate("Sun Nov  6 08:49:37 1994"), at);
  assert.equal(
    parseHttpDate("Friday, 06-Nov-76 08:49:37 GMT", now),
    Date.UTC(2076, 10, 6, 8, 49, 37) / 1000,
  );
  assert.equal(
    parseHttpDate("Saturday, 06-Nov-77 08:49:37 GMT", now),
    Date.UTC(1977, 10, 6, 8, 49, 37) / 1000,
  );
});

test("parseHttpDate refuses what is not a date", () => {
  for (const text of [
    "",
    "1",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 06 Foo 1994 08:49:37 GMT",
    "Sun, 06 anF 1994 08:49:37 GMT",
    "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT ",
  ])
    assert.equal(parseHttpDate(text), undefined, text);
});
