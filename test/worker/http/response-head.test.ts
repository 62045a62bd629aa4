import assert from "node:assert/strict";
import { test } from "node:test";
import {
  composeFields,
  configureFields,
  type ReplyHead,
} from "../../../worker/http/response-head.ts";

const BARE: ReplyHead = {
  status: 200,
  headers: [],
  configured: configureFields(),
  serverString: undefined,
  version: "1.1",
  length: 3,
  closes: false,
  keepAliveSecs: 5,
};

function fieldsOf(reply: Partial<ReplyHead>): Record<string, string[]> {
  const flat = composeFields({ ...BARE, ...reply });
  const found: Record<string, string[]> = {};
  for (let at = 0; at < flat.length; at += 2)
    (found[flat[at] ?? ""] ??= []).push(flat[at + 1] ?? "");
  return found;
}

test("composeFields frames by length, by chunks, by the end of the connection, or not at all", () => {
  const keep = { Connection: ["keep-alive"], "Keep-Alive": ["timeout=5"] };
  assert.deepEqual(fieldsOf({}), { "Content-Length": ["3"], ...keep });
  assert.deepEqual(fieldsOf({ length: undefined }), { "Transfer-Encoding": ["chunked"], ...keep });
  assert.deepEqual(fieldsOf({ length: undefined, version: "1.0", closes: true }), {
    Connection: ["close"],
  });
  assert.deepEqual(fieldsOf({ status: 204 }), keep);
  assert.deepEqual(fieldsOf({ status: 304 }), keep);
});

test("composeFields does not let a mount frame its answer", () => {
  const headers = [
    ["content-length", "99"],
    ["Transfer-Encoding", "gzip"],
    ["Connection", "close"],
    ["Keep-Alive", "timeout=99"],
    ["X-A", "1"],
  ] as const;
  assert.deepEqual(fieldsOf({ headers, status: 204 }), {
    "X-A": ["1"],
    Connection: ["keep-alive"],
    "Keep-Alive": ["timeout=5"],
  });
});

test("composeFields lets configured fields replace those of the mount, but for cookies", () => {
  const configured = configureFields(
    [
      ["X-A", "vhost"],
      ["X-B", "vhost"],
    ],
    [
      ["x-a", "mount"],
      ["Set-Cookie", "c=1"],
    ],
  );
  const headers = [
    ["X-B", "own"],
    ["X-C", "own"],
    ["set-cookie", "d=1"],
  ] as const;
  assert.deepEqual(fieldsOf({ configured, headers, status: 204, closes: true }), {
    "X-C": ["own"],
    "set-cookie": ["d=1"],
    "X-B": ["vhost"],
    "x-a": ["mount"],
    "Set-Cookie": ["c=1"],
    Connection: ["close"],
  });
});

test("composeFields keeps what is configured about content off error pages", () => {
  const configured = configureFields([
    ["Cache-Control", "max-age=60"],
    ["Content-Type", "text/plain"],
    ["X-Frame-Options", "DENY"],
  ]);
  const headers = [["Content-Type", "text/html"]] as const;
  const found = fieldsOf({ configured, headers, status: 404, closes: true });
  assert.deepEqual(found, {
    "Content-Type": ["text/html"],
    "X-Frame-Options": ["DENY"],
    "Content-Length": ["3"],
    Connection: ["close"],
  });
});

test("composeFields names the server once", () => {
  const serverString = "portico";
  assert.deepEqual(fieldsOf({ serverString })["Server"], ["portico"]);
  const own = fieldsOf({ serverString, headers: [["server", "cgit"]] });
  assert.deepEqual([own["server"], own["Server"]], [["cgit"], undefined]);
  const configured = configureFields([["Server", "mine"]]);
  assert.deepEqual(fieldsOf({ serverString, configured })["Server"], ["mine"]);
});
