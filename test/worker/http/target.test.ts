import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodePath, encodePath, parseTarget } from "../../../worker/http/target.ts";

/** [target, path, query] */
const TAKEN: readonly (readonly [string, string, string?])[] = [
  ["/", "/"],
  ["/a", "/a"],
  ["/a/", "/a/"],
  ["/a?", "/a", ""],
  ["/a?b?c=%00", "/a", "b?c=%00"],
  ["/a%20b", "/a b"],
  ["/a+b", "/a+b"],
  ["/%41%4a%4A", "/AJJ"],
  ["/a%2fb", "/a/b"],
  ["/a%3Fb", "/a?b"],
  ["/a%23b", "/a#b"],
  ["//a//b", "/a/b"],
  ["/%2f%2fa", "/a"],
  ["//", "/"],
  ["/.", "/"],
  ["/./", "/"],
  ["/a/.", "/a/"],
  ["/a/..", "/"],
  ["/a/../", "/"],
  ["/a/b/..", "/a/"],
  ["/a/./b/../c", "/a/c"],
  ["/nothing/%2e%2e/006/006.css", "/006/006.css"],
  ["/a/.%2E/b", "/b"],
  ["/...", "/..."],
  ["/....//x", "/..../x"],
  ["/..;/x", "/..;/x"],
  ["/.git/config", "/.git/config"],
  ["/a\\b", "/a\\b"],
  ["/..\\x", "/..\\x"],
  ["/%5c..%5cx", "/\\..\\x"],
  ["/%252e%252e/x", "/%2e%2e/x"],
  ["/..%252fx", "/..%2fx"],
  ["/%c0%ae%c0%ae/", "/\xc0\xae\xc0\xae/"],
  ["/%ff", "/\xff"],
  ["/\xff", "/\xff"],
  ["/%01%7f", "/\x01\x7f"],
  ["http://other/", "/"],
  ["HTTP://other/a?b", "/a", "b"],
  ["https://other", "/"],
  ["http://other?b", "/", "b"],
  ["http://other//a", "/a"],
];

const REFUSED: readonly string[] = [
  "",
  "*",
  "a",
  "?x",
  "../x",
  "index.html",
  "file:///etc/passwd",
  "ftp://h/",
  "http://",
  "http:///a",
  "http:/a",
  "/#",
  "/a#frag",
  "/a?b#c",
  "/%",
  "/%1",
  "/%zz",
  "/a%",
  "/%u002e",
  "/%+1",
  "/% 1",
  "/%00",
  "/index.html%00.png",
  "/sub%0d%0aX-Inj:y",
  "/%0a",
  "/a b",
  "/a\tb",
  "/\x00",
  "/\x7f",
  "/..",
  "/../x",
  "/a/../../x",
  "/%2e%2e/x",
  "/.%2e/x",
  "/%2e./x",
  "/..%2fx",
  "/a%2f..%2f..%2fx",
  "//../x",
  "/cgi-bin/.%2e/%2e%2e/%2e%2e/etc/passwd",
  "/cgi-bin/.%%32%65/.%%32%65/etc/passwd",
];

test("parseTarget decodes once and resolves", () => {
  for (const [text, path, query] of TAKEN) {
    const parsed = parseTarget(text);
    assert.deepEqual([parsed?.path, parsed?.query], [path, query], text);
  }
});

test("parseTarget refuses", () => {
  for (const text of REFUSED) assert.equal(parseTarget(text), undefined, text);
});

test("parseTarget turns the absolute form into the origin form", () => {
  assert.deepEqual(parseTarget("http://u@h:1/a%20b?c"), {
    target: "/a%20b?c",
    path: "/a b",
    query: "c",
    authority: "u@h:1",
  });
  assert.equal(parseTarget("http://h?x")?.target, "/?x");
});

test("decodePath never leaves the root, whatever the bytes", () => {
  const piece = fc.constantFrom("/", ".", "..", "%2e", "%2F", "//", "%25", "a", "\\", "%5c", ";");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const path = decodePath(`/${pieces.join("")}`);
      if (path === undefined) return;
      assert.match(path, /^\//);
      const segments = path.slice(1).split("/");
      assert.ok(!segments.includes("..") && !segments.includes("."), path);
      assert.ok(!segments.slice(0, -1).includes(""), path);
    }),
  );
});

test("encodePath is undone by decodePath", () => {
  const byte = fc.integer({ min: 1, max: 255 }).filter((code) => code !== 10 && code !== 13);
  const segment = fc
    .array(byte, { minLength: 1, maxLength: 20 })
    .map((codes) => String.fromCharCode(...codes).replace(/[./]/g, "x"));
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (segments) => {
      const path = `/${segments.join("/")}`;
      const encoded = encodePath(path);
      assert.match(encoded, /^[!-~]+$/);
      assert.ok(!encoded.includes("\\"));
      assert.equal(decodePath(encoded), path);
    }),
  );
});
