// A body that does not come to its end: whoever reads it is told, whatever the client is answered.

import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { createHttp2Front } from "../../../worker/http2/front.ts";
import { data, headers, openHttp2, POST_FIELDS } from "../../helpers/http2-wire.ts";
import { startSite, type TestSite, type TestSiteOptions } from "../../helpers/site.ts";
import { connect } from "../../helpers/wire.ts";

const POST = "POST / HTTP/1.1\r\nHost: h\r\n";

type Reading = {
  readonly site: TestSite;
  readonly begun: Promise<void>;
  readonly ended: Promise<string>;
};

/** A site that takes ten bytes at most, and how reading the body of the first request ended. */
async function start(t: TestContext, options: Partial<TestSiteOptions> = {}): Promise<Reading> {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { promise: ended, resolve } = Promise.withResolvers<string>();
  const site = await startSite(t, {
    ...options,
    vhosts: [
      {
        name: "h",
        keys: { "max-body-bytes": "10" },
        mounts: [
          {
            mountpoint: "/",
            async handle(exchange) {
              try {
                for await (const chunk of exchange.body) if (chunk) begin();
                resolve("whole");
              } catch (error) {
                resolve(String(error));
                throw error;
              }
              exchange.send(200, []);
            },
          },
        ],
      },
    ],
  });
  return { site, begun, ended };
}

suite("A body is told to have broken off", () => {
  test("when the client closes its side in the middle", async (t) => {
    const { site, ended } = await start(t);
    const client = await connect(site.port);
    client.socket.end(`${POST}Content-Length: 10\r\n\r\nhalf`);
    assert.match(await ended, /malformed/);
    assert.equal((await client.replies(1))[0]?.status, 400);
  });

  test("when it turns out to be too long", async (t) => {
    const { site, ended } = await start(t);
    const client = await connect(site.port);
    client.write(`${POST}Transfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n6\r\nhello!\r\n`);
    assert.match(await ended, /longest request body/);
    assert.equal((await client.replies(1))[0]?.status, 413);
    client.socket.destroy();
  });

  test("when it is not well-formed", async (t) => {
    const { site, ended } = await start(t);
    const client = await connect(site.port);
    client.write(`${POST}Transfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\nx\r\n`);
    assert.match(await ended, /malformed/);
    assert.equal((await client.replies(1))[0]?.status, 400);
    client.socket.destroy();
  });

  test("when it does not arrive in time", async (t) => {
    const { site, ended } = await start(t, { clocks: { progressMs: 50, sweepMs: 10 } });
    const client = await connect(site.port);
    client.write(`${POST}Content-Length: 10\r\n\r\nhalf`);
    assert.match(await ended, /does not arrive/);
    assert.equal((await client.replies(1))[0]?.status, 408);
    client.socket.destroy();
  });

  test("when the connection is cut", async (t) => {
    const { site, begun, ended } = await start(t);
    const client = await connect(site.port);
    client.write(`${POST}Content-Length: 10\r\n\r\nhalf`);
    await begun;
    client.socket.resetAndDestroy();
    assert.notEqual(await ended, "whole");
  });

  test("when it turns out to be too long, over HTTP/2", async (t) => {
    const { site, ended } = await start(t, { createFront: createHttp2Front });
    const wire = await openHttp2(site.port);
    wire.write(headers(1, POST_FIELDS, false), data(1, "hello!"), data(1, "hello!"));
    assert.match(await ended, /longest request body/);
    wire.socket.destroy();
  });
});
