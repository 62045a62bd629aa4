// What a front answers from memory is what it answers otherwise, error pages included.

import assert from "node:assert/strict";
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { createLane } from "../../../worker/http/lane.ts";
import { createHttp1Front } from "../../../worker/http/node-http1.ts";
import { createHttp2Front } from "../../../worker/http2/front.ts";
import {
  askHttp1,
  askHttp2,
  type FrontAnswer,
  type FrontRequest,
} from "../../helpers/front-client.ts";
import { data, headers, openHttp2 } from "../../helpers/http2-wire.ts";
import {
  startSite,
  temporaryDirectory,
  type TestSite,
  type TestSiteOptions,
} from "../../helpers/site.ts";

const fronts = [
  { name: "Node's parser", create: createHttp1Front, ask: askHttp1 },
  { name: "the lane", create: createLane, ask: askHttp1 },
  { name: "HTTP/2", create: createHttp2Front, ask: askHttp2 },
];

const OLD = new Date("1994-11-06T08:49:37Z");

const requests: readonly (FrontRequest & { what: string; status: number })[] = [
  { what: "a file", target: "/a.txt", status: 200 },
  { what: "its head", target: "/a.txt", method: "HEAD", status: 200 },
  {
    what: "a part of it",
    target: "/a.txt",
    fields: [["Range", "bytes=1-2"]],
    status: 206,
  },
  {
    what: "a part of another version",
    target: "/a.txt",
    fields: [
      ["Range", "bytes=1-2"],
      ["If-Range", '"other"'],
    ],
    status: 200,
  },
  {
    what: "a file that was seen",
    target: "/a.txt",
    fields: [["If-Modified-Since", OLD.toUTCString()]],
    status: 304,
  },
  {
    what: "a file, encoded",
    target: "/long.txt",
    fields: [["Accept-Encoding", "gzip"]],
    status: 200,
  },
  { what: "a file that may not be encoded", target: "/long.txt", status: 200 },
  { what: "what is not there, with a page for that", target: "/page/nothing", status: 404 },
  { what: "what is not there, sent to a document", target: "/nothing", status: 302 },
  { what: "that document", target: "/missing.html", status: 404 },
  { what: "a hidden file", target: "/.secret", status: 302 },
  { what: "a directory without its slash", target: "/sub?a=b", status: 301 },
];

function start(
  t: TestContext,
  directory: string,
  options: Partial<TestSiteOptions>,
): Promise<TestSite> {
  const origin = `file://${directory}`;
  return startSite(t, {
    vhosts: [
      {
        name: "a.test",
        keys: { "error-document-404": "/missing.html", "error-pages": { "501": "/a.txt" } },
        mounts: [
          { mountpoint: "/", keys: { origin, compress: true } },
          { mountpoint: "/page", keys: { origin, "error-pages": { "404": "/a.txt" } } },
        ],
      },
    ],
    ...options,
  });
}

function fill(t: TestContext): string {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, "sub"));
  for (const [name, content] of [
    ["a.txt", "hello"],
    ["long.txt", "hello ".repeat(1_000)],
    ["missing.html", "<h1>Missing</h1>"],
    [".secret", "secret"],
  ] as const) {
    writeFileSync(join(directory, name), content);
    utimesSync(join(directory, name), OLD, OLD);
  }
  return directory;
}

suite("Every front answers the same from memory to", () => {
  for (const one of requests)
    test(one.what, async (t) => {
      const directory = fill(t);
      let expected: FrontAnswer | undefined;
      for (const { name, create, ask } of fronts) {
        const site = await start(t, directory, { createFront: create, fileCacheBytes: 1_000_000 });
        // The first may have to look first.
        for (let time = 0; time < 3; time += 1) {
          const answer = await ask(site.port, one);
          assert.equal(answer.status, one.status, `${name}, time ${time}`);
          expected ??= answer;
          assert.deepEqual(answer, expected, `${name}, time ${time}`);
        }
      }
    });
});

test("A WebSocket that is refused over HTTP/2 gets the configured page", async (t) => {
  const site = await start(t, fill(t), { createFront: createHttp2Front });
  const wire = await openHttp2(site.port);
  const connect: [string, string][] = [
    [":method", "CONNECT"],
    [":protocol", "websocket"],
    [":scheme", "https"],
    [":path", "/"],
    [":authority", "a.test"],
  ];
  wire.write(headers(1, connect, false));
  const page = await wire.find(({ type, stream }) => type === 0 && stream === 1);
  assert.equal(page?.payload.toString(), "hello");
  wire.write(data(1, "", true));
  wire.socket.destroy();
});
