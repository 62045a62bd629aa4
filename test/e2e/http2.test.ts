// HTTP/2 through the whole server: ALPN, WebSockets on streams, a reload under way.

import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { test, type TestContext } from "node:test";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico, type Portico } from "../helpers/server.ts";
import { frame } from "../plugins/clients.ts";

const LARGE = Buffer.alloc(3_000_000, "large ");

async function start(t: TestContext, workers: number): Promise<Portico | undefined> {
  const make = certificateMaker(t);
  if (!make) return undefined;
  const { cert, key } = make({ names: ["localhost"] });
  return startPortico(t, {
    conf: {
      global: { "init-ssl": "1" },
      vhosts: [
        {
          name: "localhost",
          port: 0,
          interface: "127.0.0.1",
          "host-ssl-cert": "tls/crt",
          "host-ssl-key": "tls/key",
          "access-log": "access.log",
          "ws-protocols": [{ "lws-mirror-protocol": {} }],
          mounts: [
            { mountpoint: "/", origin: "file://./site" },
            { mountpoint: "/count", origin: "cgi://./count.cgi" },
          ],
        },
      ],
    },
    files: {
      "tls/crt": cert,
      "tls/key": key,
      "site/large.bin": LARGE,
      "site/index.html": "index",
      "count.cgi":
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nprintf '%s %s ' \"$SERVER_PROTOCOL\" \"$HTTP_HOST\"\nwc -c\n",
    },
    workers,
  });
}

async function connect(t: TestContext, portico: Portico): Promise<http2.ClientHttp2Session> {
  const session = http2.connect(`https://localhost:${portico.port()}`, {
    rejectUnauthorized: false,
    lookup: (_host, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
  });
  t.after(() => session.destroy());
  session.on("error", () => {});
  await once(session, "remoteSettings");
  return session;
}

async function textOf(stream: http2.ClientHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Opens a WebSocket on a stream; the result yields what comes. */
async function openSocket(
  session: http2.ClientHttp2Session,
  protocol: string,
): Promise<http2.ClientHttp2Stream> {
  const stream = session.request({
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":path": "/",
    "sec-websocket-version": "13",
    "sec-websocket-protocol": protocol,
  });
  stream.on("error", () => {});
  return stream;
}

test("HTTP/2 is what ALPN settles on, and serves files, CGI and uploads on one connection", async (t) => {
  const portico = await start(t, 1);
  if (!portico) return;
  const session = await connect(t, portico);
  const upload = session.request({ ":method": "POST", ":path": "/count" }, { endStream: false });
  upload.end(LARGE);
  const [index, large, count] = await Promise.all([
    textOf(session.request({ ":path": "/" })),
    textOf(session.request({ ":path": "/large.bin" })),
    textOf(upload),
  ]);
  assert.equal(String(index), "index");
  assert.ok(large.equals(LARGE));
  assert.equal(String(count), `HTTP/2.0 localhost:${portico.port()} ${LARGE.length}\n`);
});

test("WebSockets run on streams of HTTP/2, both ways and to their end", async (t) => {
  const portico = await start(t, 1);
  if (!portico) return;
  const session = await connect(t, portico);
  assert.equal(session.remoteSettings.enableConnectProtocol, true);
  const refused = await openSocket(session, "unknown");
  const [head] = (await once(refused, "response")) as [http2.IncomingHttpHeaders];
  assert.equal(head[":status"], 400);
  refused.resume();

  const [one, other] = [
    await openSocket(session, "lws-mirror-protocol"),
    await openSocket(session, "lws-mirror-protocol"),
  ];
  for (const stream of [one, other]) {
    const [answer] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    assert.equal(answer[":status"], 200);
    assert.equal(answer["sec-websocket-protocol"], "lws-mirror-protocol");
    assert.equal(answer["sec-websocket-accept"], undefined);
  }
  const chunks: Buffer[] = [];
  other.on("data", (chunk: Buffer) => chunks.push(chunk));
  one.write(frame("c #000000 1 2 3 4;"));
  while (!Buffer.concat(chunks).includes("c #000000 1 2 3 4;")) await once(other, "data");
  // Samples come once a second.
  while ((await portico.status()).totals.upgrades < 2);
  // Close, code 1000; the server answers with the same and ends its side.
  other.write(frame(Buffer.of(0x03, 0xe8), { opcode: 8 }));
  await once(other, "end");
  assert.ok(Buffer.concat(chunks).includes(Buffer.of(0x88, 2, 0x03, 0xe8)));
  other.end();
  one.resume();
  portico.signal("SIGTERM");
  await once(session, "close");
});

test("a reload lets HTTP/2 connections finish what they asked, and costs no request", async (t) => {
  const portico = await start(t, 2);
  if (!portico) return;
  const session = await connect(t, portico);
  const upload = session.request({ ":method": "POST", ":path": "/count" }, { endStream: false });
  upload.write("abc");
  const goaway = once(session, "goaway") as Promise<[code: number, lastStream: number]>;
  portico.signal("SIGHUP");
  const [code, lastStream] = await goaway;
  assert.deepEqual([code, lastStream], [0, 0x7fff_ffff]);
  upload.end("def");
  assert.match(String(await textOf(upload)), / 6\n$/);
  await once(session, "close");
  const next = await connect(t, portico);
  assert.equal(String(await textOf(next.request({ ":path": "/" }))), "index");
});
