// What is a request and what is not: bytes in, status out. Every refusal ends the connection, and nothing behind it is answered.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createLane } from "../../../worker/http/lane.ts";
import { createHttp1Front } from "../../../worker/http/node-http1.ts";
import { startSite, type TestSite, type TestSiteOptions } from "../../helpers/site.ts";
import {
  connect,
  countStatusLines,
  exchangeBytes,
  parseReplies,
  statusOf,
} from "../../helpers/wire.ts";
import { next, open, refused, taken } from "./grammar-cases.ts";

/** Answers with what it was asked, after the whole body. */
async function startEcho(
  t: TestContext,
  createFront?: TestSiteOptions["createFront"],
): Promise<TestSite> {
  return startSite(t, {
    ...(createFront && { createFront }),
    vhosts: [
      {
        name: "h",
        mounts: [
          {
            mountpoint: "/",
            async handle(exchange) {
              let body = "";
              for await (const chunk of exchange.body) body += String(chunk);
              exchange.send(200, [], `${exchange.path} ${exchange.host} ${body}`);
            },
          },
        ],
      },
    ],
  });
}

for (const [name, bytes, status] of refused)
  test(`createHttp1Front refuses: ${name}`, async (t) => {
    const site = await startEcho(t);
    const received = await exchangeBytes(site.port, bytes + next);
    const expected = typeof status === "number" ? [status] : status;
    assert.ok(expected.includes(statusOf(received)), received.slice(0, 500));
    assert.equal(countStatusLines(received), 1, received);
    const { replies, rest } = parseReplies(received);
    assert.equal(replies.length, 1);
    assert.equal(rest, "");
    assert.equal(replies[0]?.headers.get("connection"), "close");
    assert.equal(site.front.active, 0);
    assert.equal(site.logged.length, 1);
    const counters = site.counters.vhost("h:80");
    assert.deepEqual([counters.requests, counters.rejected], [1, 1]);
  });

for (const [name, bytes] of taken)
  test(`createHttp1Front takes: ${name}`, async (t) => {
    const received = await ask(await startEcho(t), bytes);
    assert.equal(statusOf(received), 200, received);
    assert.equal(countStatusLines(received), 1, received);
  });

test("createHttp1Front waits for the rest of a request, wherever it is cut", async (t) => {
  const site = await startEcho(t);
  const bytes = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
  await Promise.all(
    Array.from({ length: bytes.length - 1 }, async (_, index) => {
      const wire = await connect(site.port);
      wire.write(bytes.slice(0, index + 1));
      await new Promise((resolve) => setImmediate(resolve));
      wire.write(bytes.slice(index + 1));
      const { replies } = parseReplies(await wire.rest());
      assert.deepEqual(
        [replies[0]?.status, replies[0]?.body],
        [200, "/a h hi"],
        `cut at ${index + 1}`,
      );
    }),
  );
});

/** One request and the end of the client. */
async function ask(site: TestSite, bytes: string): Promise<string> {
  const wire = await connect(site.port);
  wire.write(bytes);
  wire.socket.end();
  return wire.rest();
}

/** As conformance suites for HTTP/1.1 count: preferred, allowed, wrong. */
async function score(
  createFront: Exclude<TestSiteOptions["createFront"], undefined>,
  t: TestContext,
) {
  const site = await startEcho(t, createFront);
  const wrong: string[] = [];
  let preferred = 0;
  let allowed = 0;
  for (const [name, bytes, statuses] of refused) {
    const [first, ...others] = [statuses].flat();
    const received = await exchangeBytes(site.port, bytes + next);
    const status = statusOf(received);
    if (countStatusLines(received) !== 1)
      wrong.push(`${name}: ${countStatusLines(received)} answers`);
    else if (status === first) preferred += 1;
    else if (others.includes(status)) allowed += 1;
    else wrong.push(`${name}: ${status}`);
  }
  for (const [name, bytes, wanted, other] of open) {
    const status = statusOf(await ask(site, bytes));
    if (status === wanted) preferred += 1;
    else if (status === other) allowed += 1;
    else wrong.push(`${name}: ${status}`);
  }
  for (const [name, bytes] of taken) {
    const received = await ask(site, bytes);
    if (statusOf(received) === 200 && countStatusLines(received) === 1) preferred += 1;
    else wrong.push(`${name}: ${statusOf(received)}`);
  }
  return { preferred, allowed, wrong };
}

for (const [front, createFront] of Object.entries({ createLane, createHttp1Front }))
  test(`${front}: of 161 cases or more at least 150 as preferred, none wrong`, async (t) => {
    const { preferred, allowed, wrong } = await score(createFront, t);
    t.diagnostic(`${preferred} preferred, ${allowed} allowed, ${wrong.length} wrong`);
    assert.deepEqual(wrong, []);
    assert.ok(preferred + allowed >= 161);
    assert.ok(preferred >= 150);
  });
