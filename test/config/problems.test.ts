import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ConfigError,
  formatProblem,
  formatProblemWithSource,
  limitProblems,
  sortProblems,
  type Problem,
} from "../../config/problems.ts";
import { printableJson } from "../../config/printable.ts";
import { load, vhostText } from "./fixture.ts";

const problem: Problem = {
  severity: "error",
  file: "conf.d/shop",
  line: 14,
  column: 12,
  path: "vhosts[0].mounts[1].origin",
  message: 'Unknown scheme "fil://"',
  source: '\t"origin": "fil://x",',
};

function at(file: string, line: number, column: number): Problem {
  return { ...problem, file, line, column };
}

test("formatProblem gives place, path and message on one line", () => {
  assert.equal(
    formatProblem(problem),
    'conf.d/shop:14:12 vhosts[0].mounts[1].origin: Unknown scheme "fil://"',
  );
  assert.equal(
    formatProblem({ severity: "error", file: "conf", path: "", message: "No" }),
    "conf: No",
  );
  assert.equal(formatProblem({ severity: "error", file: "", path: "", message: "No" }), "No");
});

test("formatProblem lets no control character through", () => {
  const hostile = { ...problem, file: "conf.d/\u001b[2Jx\ny", message: "a\u009bb\u2028c" };
  assert.equal(
    formatProblem(hostile),
    String.raw`conf.d/\u001b[2Jx\u000ay:14:12 vhosts[0].mounts[1].origin: a\u009bb\u2028c`,
  );
});

test("formatProblemWithSource puts a caret under the place, tabs kept", () => {
  assert.equal(
    formatProblemWithSource(problem),
    [formatProblem(problem), '  14 | \t"origin": "fil://x",', "     | \t          ^"].join("\n"),
  );
  const { source, ...bare } = problem;
  assert.ok(source);
  assert.equal(formatProblemWithSource(bare), formatProblem(bare));
});

test("formatProblemWithSource puts the caret under its character behind wide, combining and emoji ones", () => {
  const source = '{"日本語": "e\u0301", "👩‍👩‍👧": 7}';
  const column = source.indexOf("7") + 1;
  const [, shownSource = "", caret] = formatProblemWithSource({ ...problem, source, column }).split(
    "\n",
  );
  assert.equal(shownSource, '  14 | {"日本語": "e\u0301", "👩?👩?👧": 7}');
  // 14 characters in columns of one, three ideographs and three emoji in two, the two "?" between them.
  assert.equal(caret, `     | ${" ".repeat(14 + 3 * 2 + 3 * 2 + 2)}^`);
});

test("formatProblemWithSource shows no password of a URL in the line", () => {
  const source =
    '"nats": ["nats://t0ken@host", "http://ann:s3/cret@host", "http://host/x"], "c": 7';
  const column = source.indexOf("7") + 1;
  const [, shownSource, caret] = formatProblemWithSource({ ...problem, source, column }).split(
    "\n",
  );
  const masked = source.replace("t0ken", "*****").replace("ann:s3/cret", "***********");
  assert.equal(shownSource, `  14 | ${masked}`);
  assert.equal(caret, `     | ${" ".repeat(column - 1)}^`);
});

test("formatProblem cuts what a key of megabytes would make of a message", () => {
  const long = "x".repeat(5_000_000);
  assert.ok(formatProblem({ ...problem, path: long, message: long }).length < 2_000);
});

test("printableJson means the same and steers no terminal", () => {
  const hostile = { "a\u009b2J": ["\u001b[31m", "\u202eabc", "\ud800", "é\n"] };
  const text = printableJson(hostile);
  assert.deepEqual(JSON.parse(text), hostile);
  assert.match(text, /^[\n -~é]*$/);
});

test("sortProblems orders by file and position and gives each finding once", () => {
  const mixed = [
    at("conf.d/b", 1, 1),
    at("conf", 10, 1),
    at("conf", 2, 9),
    at("conf", 2, 9),
    at("conf", 2, 1),
  ];
  assert.deepEqual(
    sortProblems(mixed).map(({ file, line, column }) => `${file}:${line}:${column}`),
    ["conf:2:1", "conf:2:9", "conf:10:1", "conf.d/b:1:1"],
  );
});

test("limitProblems ends a flood with the number of the rest", () => {
  const flood = Array.from({ length: 1_500 }, (_, line): Problem => ({
    ...problem,
    line: line + 1,
  }));
  const told = limitProblems(sortProblems(flood));
  assert.equal(told.length, 1_001);
  assert.equal(told.at(-1)?.message, "And 500 more like these");
  assert.equal(told[0]?.line, 1);
  assert.equal(limitProblems(flood.slice(0, 1_000)).length, 1_000);
});

test("loadConfig finds an error behind a flood of warnings", async (t) => {
  const unknown = Array.from({ length: 1_200 }, (_, index) => `"zz${index}": 1`).join(", ");
  const { errors, remarks } = await load(t, {
    conf: vhostText(`${unknown}, "port ": 1, "name": "a b"`),
  });
  assert.equal(errors.length, 1);
  assert.equal(remarks.length, 1_201);
});

test("ConfigError tells its errors and keeps the remarks apart", async (t) => {
  const { problems } = await load(t, { conf: vhostText('"nmae": "a", "name": "a b"') });
  const errors = problems.filter(({ severity }) => severity === "error");
  const remarks = problems.filter(({ severity }) => severity !== "error");
  assert.equal(errors.length, 1);
  assert.equal(remarks.length, 1);
  const error = new ConfigError(errors, remarks);
  assert.equal(error.code, "CONFIG");
  assert.equal(error.message, 'conf:1:46 vhosts[0].name: Expected a host name, got "a b"');
});

test("ConfigError quotes no line that would bury the message", async (t) => {
  const { problems } = await load(t, {
    conf: vhostText(`"name": "a b", "access-log": "${"x".repeat(400)}"`),
  });
  assert.deepEqual(
    [problems[0]?.line, problems[0]?.column, problems[0]?.source],
    [1, 33, undefined],
  );
});

test("LoadedConfig.place finds what a worker refuses, or the nearest thing around it", async (t) => {
  const { loaded } = await load(t, {
    conf: '{"global": {"stop-secs": 1,\n  "plugin-dir": "."},\n "vhosts": []}',
    "conf.d/a": `{"vhosts": [{"port": 0, "name": "first"},
 {"port": -1,
  "mounts": [{"mountpoint": "/", "origin": "callback://p"},
   {"mountpoint": "/b",
    "origin": "callback://q", "extra-mimetypes": {".z": "a/b"}}],
  "ws-protocols": [{"com.example.p": {"a": [{"b.c": 1}, 2]}}]}]}`,
    "conf.d/b": '{"global": {"stop-secs": 1}}',
  });
  assert.ok(loaded);
  const place = (vhost: number, path: string) => {
    const {
      file,
      line,
      column,
      path: full,
      severity,
      message,
    } = loaded.place({ vhost, path, message: "No" });
    assert.deepEqual([severity, message], ["error", "No"]);
    return `${file}:${line}:${column} ${full}`;
  };
  assert.equal(place(1, "mounts[1].origin"), "conf.d/a:5:15 vhosts[1].mounts[1].origin");
  assert.equal(place(1, "mounts[1].origin.x.y"), "conf.d/a:5:15 vhosts[1].mounts[1].origin.x.y");
  assert.equal(place(1, "mounts[1].cgi-env"), "conf.d/a:4:4 vhosts[1].mounts[1].cgi-env");
  assert.equal(place(1, "mounts[7].origin"), "conf.d/a:3:13 vhosts[1].mounts[7].origin");
  assert.equal(
    place(1, "ws-protocols[0].com.example.p.a[0].b.c"),
    "conf.d/a:6:53 vhosts[1].ws-protocols[0].com.example.p.a[0].b.c",
  );
  assert.equal(
    place(1, "ws-protocols[0].com.example.p.a.1"),
    "conf.d/a:6:57 vhosts[1].ws-protocols[0].com.example.p.a.1",
  );
  assert.equal(place(0, "port"), "conf.d/a:1:22 vhosts[0].port");
  assert.equal(place(0, ""), "conf.d/a:1:13 vhosts[0]");
  assert.equal(place(-1, "plugin-dir"), "conf:2:17 global.plugin-dir");
  assert.equal(place(-1, "stop-secs"), "conf.d/b:1:26 global.stop-secs");
  assert.equal(
    loaded.place({ vhost: 1, path: "mounts[1].mountpoint", message: "No" }).source,
    '   {"mountpoint": "/b",',
  );
});
