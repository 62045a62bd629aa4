// The same requests through every front: answers, lines of the access log and counters must not tell them apart.

import assert from "node:assert/strict";
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import type { VhostCounters } from "../../../ipc/stats.ts";
import { HttpError } from "../../../worker/http/exchange.ts";
import type { Front as HttpFront, FrontOptions } from "../../../worker/http/front.ts";
import { createHttp1Front } from "../../../worker/http/node-http1.ts";
import { createLane } from "../../../worker/http/lane.ts";
import { PreparedReply } from "../../../worker/http/prepared.ts";
import { createHttp2Front } from "../../../worker/http2/front.ts";
import {
  askHttp1,
  askHttp2,
  type FrontAnswer,
  type FrontClient,
  type FrontRequest,
} from "../../helpers/front-client.ts";
import {
  startSite,
  temporaryDirectory,
  type TestSite,
  type TestVhost,
} from "../../helpers/site.ts";

type Front = {
  readonly name: string;
  readonly create: (options: FrontOptions) => HttpFront;
  readonly ask: FrontClient;
  readonly usesStreams?: true;
};

/** The first is what the others are compared with. */
const fronts: readonly Front[] = [
  { name: "HTTP/1.1 on Node's parser", create: createHttp1Front, ask: askHttp1 },
  { name: "HTTP/1.1 in the lane", create: createLane, ask: askHttp1 },
  {
    name: "HTTP/1.1 in the lane, over streams",
    create: createLane,
    ask: askHttp1,
    usesStreams: true,
  },
  { name: "HTTP/2", create: createHttp2Front, ask: askHttp2 },
];

type Case = FrontRequest & {
  readonly what: string;
  readonly status: number;
  readonly interim?: readonly number[];
  /** HTTP/1.1 finds it before there is a request line to log, or in another field: only the status is the same. */
  readonly isFormal?: true;
};

const READY = new PreparedReply(200, [["Content-Type", "text/plain"]], Buffer.alloc(40_000, "x"));
const MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT";
const LARGE = "x".repeat(200_000);

const cases: readonly Case[] = [
  { what: "a file", target: "/files/a.txt", status: 200 },
  { what: "a file's head", method: "HEAD", target: "/files/a.txt", status: 200 },
  { what: "an empty file", target: "/files/empty.txt", status: 200 },
  { what: "a large file", target: "/files/large.bin", status: 200 },
  { what: "a large file's head", method: "HEAD", target: "/files/large.bin", status: 200 },
  { what: "an index", target: "/files/", status: 200 },
  { what: "a directory without its slash", target: "/files/sub?a=b", status: 301 },
  { what: "a file that is not there", target: "/files/nothing", status: 404 },
  { what: "a hidden file", target: "/files/.secret", status: 404 },
  { what: "another method of a file", method: "DELETE", target: "/files/a.txt", status: 405 },
  { what: "OPTIONS of a file", method: "OPTIONS", target: "/files/a.txt", status: 204 },
  { what: "escapes in a path", target: "/files/%61.txt", status: 200 },
  { what: "dots in a path", target: "/files/sub/../a.txt", status: 200 },
  { what: "dots above the root", target: "/files/../../a.txt", status: 400 },
  { what: "a bad escape", target: "/files/%zz", status: 400 },
  { what: "NUL in a path", target: "/files/%00", status: 400 },
  { what: "a fragment", target: "/files/a.txt#x", status: 400 },
  { what: "a target that is too long", target: `/${"x".repeat(9_000)}`, status: 414 },
  {
    what: "a copy that will do, by date",
    target: "/files/a.txt",
    fields: [["If-Modified-Since", MODIFIED]],
    status: 304,
  },
  {
    what: "any copy will do",
    target: "/files/a.txt",
    fields: [["If-None-Match", "*"]],
    status: 304,
  },
  {
    what: "a precondition that fails",
    target: "/files/a.txt",
    fields: [["If-Match", '"other"']],
    status: 412,
  },
  { what: "a range", target: "/files/a.txt", fields: [["Range", "bytes=1-2"]], status: 206 },
  {
    what: "a range that is not there",
    target: "/files/a.txt",
    fields: [["Range", "bytes=900-"]],
    status: 416,
  },
  {
    what: "two cookies",
    target: "/echo?cookie",
    fields: [
      ["Cookie", "a=b"],
      ["Cookie", "c=d"],
    ],
    status: 200,
  },
  {
    what: "repeated fields",
    target: "/echo?x-list",
    fields: [
      ["X-List", "a"],
      ["X-List", "b"],
    ],
    status: 200,
  },
  { what: "the host as a field", target: "/echo?host", host: "a.test:8080", status: 200 },
  {
    what: "bytes above ASCII",
    target: "/echo?x-bytes",
    fields: [["X-Bytes", "b\u00fccher"]],
    status: 200,
  },
  { what: "a body with a length", method: "POST", target: "/echo", body: "hello", status: 200 },
  { what: "an empty body", method: "POST", target: "/echo", body: "", status: 200 },
  {
    what: "a body without a length",
    method: "POST",
    target: "/echo",
    pieces: ["a", "bc", "d".repeat(70_000)],
    status: 200,
  },
  { what: "a large body", method: "PUT", target: "/echo", body: LARGE, status: 200 },
  {
    what: "a body that is waited for",
    method: "POST",
    target: "/echo",
    fields: [["Expect", "100-continue"]],
    body: "hello",
    status: 200,
    interim: [100],
  },
  {
    what: "another expectation",
    method: "POST",
    target: "/echo",
    fields: [["Expect", "more"]],
    body: "hello",
    status: 417,
  },
  {
    what: "a body that nobody reads",
    method: "POST",
    target: "/early",
    body: "x".repeat(60_000),
    status: 200,
  },
  {
    what: "a body that is announced too long",
    method: "POST",
    target: "/small",
    body: LARGE,
    status: 413,
  },
  {
    what: "a body that turns out too long",
    method: "POST",
    target: "/small",
    pieces: [LARGE],
    status: 413,
  },
  { what: "a streamed answer", target: "/stream", status: 200 },
  { what: "a streamed answer's head", method: "HEAD", target: "/stream", status: 200 },
  { what: "a streamed answer with its length", target: "/stream?length", status: 200 },
  { what: "no content", target: "/status?204", status: 204 },
  { what: "a status that has no name", target: "/status?299", status: 299 },
  { what: "configured fields", target: "/fields", status: 200 },
  { what: "fields that frame", target: "/framing", status: 200 },
  { what: "a refusal", target: "/refuse", status: 403 },
  { what: "a mistake of the mount", target: "/throw", status: 500 },
  { what: "a mistake behind a promise", target: "/reject", status: 500 },
  { what: "what is ready in memory", target: "/ready", status: 200 },
  { what: "its head", method: "HEAD", target: "/ready", status: 200 },
  { what: "a redirect", target: "/away/x?y", status: 301 },
  { what: "no mount", target: "/nowhere", host: "b.test", status: 404 },
  { what: "another vhost", target: "/", host: "B.test.:1", status: 200 },
  { what: "an unknown vhost", target: "/echo?host", host: "c.test", status: 200 },
  { what: "a host that is none", target: "/echo", host: "a/b", status: 400, isFormal: true },
  { what: "TRACE", method: "TRACE", target: "/echo", status: 405 },
  { what: "OPTIONS of the server", method: "OPTIONS", target: "*", status: 200 },
  { what: "an unknown method", method: "BREW", target: "/echo", status: 501, isFormal: true },
  {
    what: "a user agent with quotes",
    target: "/echo",
    fields: [
      ["User-Agent", 'a "b" \\'],
      ["Referer", "http://x/"],
    ],
    status: 200,
  },
  {
    what: "too many fields",
    target: "/echo",
    fields: Array.from({ length: 201 }, (_, index) => [`X-${index}`, ""] as const),
    status: 431,
    isFormal: true,
  },
];

function vhosts(directory: string): TestVhost[] {
  const files = join(directory, "files");
  mkdirSync(join(files, "sub"), { recursive: true });
  for (const [name, content] of [
    ["a.txt", "hello"],
    ["empty.txt", ""],
    ["large.bin", LARGE],
    ["index.html", "<h1>Index</h1>"],
    [".secret", "secret"],
  ] as const) {
    writeFileSync(join(files, name), content);
    utimesSync(join(files, name), new Date(MODIFIED), new Date(MODIFIED));
  }
  return [
    {
      name: "a.test",
      keys: { headers: [{ "x-vhost": "a" }] },
      mounts: [
        { mountpoint: "/files", keys: { origin: `file://${files}`, "cache-max-age": "60" } },
        { mountpoint: "/away", keys: { origin: ">https://away.test/to" } },
        {
          mountpoint: "/echo",
          async handle(exchange) {
            const chunks: Buffer[] = [];
            for await (const chunk of exchange.body) chunks.push(chunk as Buffer);
            const body = Buffer.concat(chunks).toString("latin1");
            const about = [exchange.method, exchange.path, exchange.target, exchange.host];
            const field = exchange.header(exchange.query ?? "");
            const told = [...about, exchange.authority, exchange.bodyBytes, field, body.length];
            exchange.send(
              200,
              [["Content-Type", "text/plain"]],
              Buffer.from(told.join("\n"), "latin1"),
            );
          },
        },
        { mountpoint: "/early", handle: (exchange) => exchange.send(200, [], "early") },
        {
          mountpoint: "/small",
          keys: { "max-body-bytes": 1_000 },
          async handle(exchange) {
            for await (const chunk of exchange.body) void chunk;
            exchange.send(200, [], "whole");
          },
        },
        {
          mountpoint: "/stream",
          async handle(exchange) {
            const length = exchange.query === "length" ? [["Content-Length", "6"] as const] : [];
            const answer = exchange.stream(200, [["Content-Type", "text/plain"], ...length]);
            answer.write("abc");
            await new Promise((resolve) => setImmediate(resolve));
            answer.end("def");
          },
        },
        {
          mountpoint: "/status",
          handle: (exchange) => exchange.send(Number(exchange.query), [], "x"),
        },
        {
          mountpoint: "/ready",
          handle: (exchange) => exchange.send(200, READY.headers, READY.body),
          ready: () => READY,
        },
        {
          mountpoint: "/fields",
          keys: { headers: [{ "x-mount": "m" }, { "x-own": "configured" }] },
          handle: (exchange) =>
            exchange.send(
              200,
              [
                ["X-Own", "mine"],
                ["Set-Cookie", "a=1"],
                ["Set-Cookie", "b=2"],
              ],
              "x",
            ),
        },
        {
          mountpoint: "/framing",
          handle: (exchange) =>
            exchange.send(
              200,
              [
                ["Content-Length", "9"],
                ["Connection", "x"],
                ["Keep-Alive", "y"],
                ["TE", "z"],
              ],
              "x",
            ),
        },
        {
          mountpoint: "/refuse",
          handle() {
            throw new HttpError(403, "Not <you>");
          },
        },
        {
          mountpoint: "/throw",
          handle() {
            throw new Error("secret");
          },
        },
        { mountpoint: "/reject", handle: () => Promise.reject(new Error("secret")) },
      ],
    },
    {
      name: "b.test",
      mounts: [
        {
          mountpoint: "/",
          keys: { "exact-match": "1" },
          handle: (exchange) => exchange.send(200, [], "b"),
        },
      ],
    },
  ];
}

type Outcome = {
  readonly answer: FrontAnswer;
  readonly log: readonly string[];
  readonly counters: unknown;
};

async function run(
  t: TestContext,
  front: Front,
  directory: string,
  request: Case,
): Promise<Outcome> {
  const site = await startSite(t, {
    vhosts: vhosts(directory),
    createFront: front.create,
    ...(front.usesStreams && { usesStreams: true }),
    serverString: "test",
  });
  const answer = await front.ask(site.port, request);
  while (site.front.open > 0 || site.front.active > 0)
    await new Promise((resolve) => setImmediate(resolve));
  return {
    answer,
    log: site.logged.map((line) =>
      line.replace(/\[[^\]]*\]/, "[]").replace(/HTTP\/[12]\.[01]"/, 'HTTP"'),
    ),
    counters: ["a.test:80", "b.test:80"].map((key) => countersOf(site, key)),
  };
}

/** All but bytes on the wire and times, which differ as they should. */
function countersOf(site: TestSite, key: string): Partial<Record<keyof VhostCounters, unknown>> {
  const { rx, tx, latency, ...counters } = site.counters.vhost(key);
  assert.ok(counters.connections === 0 || (rx > 0 && tx > 0));
  return { ...counters, latency: latency.reduce((sum, count) => sum + count, 0) };
}

suite("Every front answers the same to", () => {
  for (const one of cases)
    test(one.what, async (t) => {
      const directory = temporaryDirectory(t);
      let expected: Outcome | undefined;
      for (const front of fronts) {
        const outcome = await run(t, front, directory, one);
        assert.equal(outcome.answer.status, one.status, front.name);
        assert.deepEqual(outcome.answer.interim, one.interim ?? [], front.name);
        assert.equal(outcome.log.length, 1, front.name);
        if (expected && !one.isFormal) assert.deepEqual(outcome, expected, front.name);
        expected ??= outcome;
      }
    });
});
