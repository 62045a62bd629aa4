import assert from "node:assert/strict";
import { test } from "node:test";
import { createLocator } from "../../config/document.ts";
import { parseText } from "../../config/text.ts";
import { plainValue } from "../../config/tree.ts";

function parse(text: string) {
  const position = createLocator(text);
  const { tree, faults } = parseText(text, position);
  return {
    value: tree && plainValue(tree),
    faults: faults.map(({ offset, message }) => {
      const { line, column } = position(offset);
      return `${line}:${column} ${message}`;
    }),
  };
}

const accepted: readonly [name: string, text: string, value: unknown][] = [
  ["comments of all kinds", '# a\n{ // b\n "x": /* c\n # d */ 1 # e "f": {\n}\n# g', { x: 1 }],
  [
    "comment marks in strings",
    '{"a": "#x", "b": "//y", "c": "/* z", "d": "\\"#"}',
    { a: "#x", b: "//y", c: "/* z", d: '"#' },
  ],
  ["a comment right behind a value", '{"a": true# yes\n, "b": 1#one\n}', { a: true, b: 1 }],
  ["an apostrophe and a quote in a comment", '{ # it\'s "odd\n "a": 1 }', { a: 1 }],
  ["trailing commas", '{"a": [1, 2,], "b": {"c": 3,},}', { a: [1, 2], b: { c: 3 } }],
  ["escapes", '{"a": "\\u00e9\\n\\\\"}', { a: "é\n\\" }],
  [
    "null, numbers and Windows line ends",
    '{\r\n "a": null,\r\n "b": -1.5e1\r\n}\r\n',
    { a: null, b: -15 },
  ],
  ["nothing but comments", "# nothing\n\n", undefined],
];

for (const [name, text, value] of accepted)
  test(`parseText takes ${name}`, () => {
    assert.deepEqual(parse(text), { value, faults: [] });
  });

const refused: readonly [name: string, text: string, faults: string[]][] = [
  [
    "a stray } behind the end",
    '{\n  "vhosts": []\n}\n}\n',
    ['4:1 Stray "}": nothing is open here, the outermost value was closed at 3:1'],
  ],
  [
    "a stray } inside an array",
    '{\n "vhosts": [\n  {"port": 1} }\n ]\n}',
    ['3:15 Found "}": the array "vhosts" opened at 2:12 is still open and "]" would close it'],
  ],
  [
    "a missing ]",
    '{\n "vhosts": [\n  {"port": 1}\n}\n',
    ['4:1 Found "}": the array "vhosts" opened at 2:12 is still open and "]" would close it'],
  ],
  [
    "a missing comma between members",
    '{\n "name": "a"\n "port": 1\n}',
    ['2:13 Missing ",": the outermost object opened at 1:1 is still open and "}" would close it'],
  ],
  [
    "a missing comma between elements",
    '{"vhosts": [\n {"port": 1}\n {"port": 2}\n]}',
    ['2:13 Missing ",": the array "vhosts" opened at 1:12 is still open and "]" would close it'],
  ],
  [
    "a file that is cut off",
    '{"vhosts": [\n {"name": "a",\n  "mounts": [',
    [
      '3:14 The file ends too early: the array "vhosts[0].mounts" opened at 3:13 is still open and "]" would close it',
    ],
  ],
  [
    "data after the end",
    '{"a": 1}\n{"b": 2}',
    ['2:1 Expected the end of the file, found "{"; the outermost value was closed at 1:8'],
  ],
  [
    "a missing colon",
    '{"a" 1}',
    [
      '1:5 Missing ":" after the key "a": the outermost object opened at 1:1 is still open and "}" would close it',
    ],
  ],
  [
    "a key without quotes and a value without quotes, on two lines",
    '{name: "a",\n"port": on}',
    [
      '1:2 Expected a key in double quotes, found "name": the outermost object opened at 1:1 is still open and "}" would close it',
      '2:9 Expected a value, found "on": the outermost object opened at 1:1 is still open and "}" would close it',
    ],
  ],
  [
    "a comma without a value",
    '{"a": [1,,2]}',
    [
      '1:10 Expected a value, found ",": the array "a" opened at 1:7 is still open and "]" would close it',
    ],
  ],
  ["a string over the end of its line", '{"a": "x\n}', ["1:7 String is not closed on its line"]],
  ["a bad escape", '{"a": "\\q"}', ["1:7 Unknown escape in a string; a backslash is written \\\\"]],
  ["a number out of range", '{"a": -1e999}', ['1:7 Number out of range: "-1e999"']],
  ["a comment that is not closed", '{"a": 1}\n/* x', ["2:1 Comment is not closed; expected */"]],
];

for (const [name, text, faults] of refused)
  test(`parseText refuses ${name}`, () => {
    assert.deepEqual(parse(text).faults, faults);
  });

test("parseText reports the mistakes of all lines, the first of each", () => {
  const { faults } = parse('{"a" 1 "b" 2,\n"c": x y z,\n"d": [1 2]}');
  assert.deepEqual(
    faults.map((fault) => fault.split(" ")[0]),
    ["1:5", "2:6", "3:8"],
  );
});

test("parseText refuses nesting beyond its limit without overflowing the stack", () => {
  for (const text of ["[".repeat(200_000), '{"a":'.repeat(200_000), "]".repeat(200_000)])
    assert.equal(parse(text).faults.length, 1);
  assert.match(parse("[".repeat(200)).faults[0] ?? "", /^1:101 Nested deeper than 100 levels/);
});

test("parseText reads a large file with one long string", () => {
  const long = '\\"#x'.repeat(1_000_000);
  assert.deepEqual(parse(`{"a": "${long}"}`).value, { a: '"#x'.repeat(1_000_000) });
});
