import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { request, type ClientRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { test } from "node:test";
import { connect, exchangeBytes, statusOf } from "../../../helpers/wire.ts";
import { serveCgi } from "./cgi-server.ts";
import { until } from "./clients.ts";

const ECHO = "printf 'Content-Type: application/octet-stream\\n\\n'; exec cat";
/** Says how much of a body came, and its announced length. */
const COUNT = `printf 'Content-Type: text/plain\\n\\n%s ' "$CONTENT_LENGTH"; wc -c`;
const MB = 1024 * 1024;
/** What is the same at so many looks in a row has stopped. */
const STILL_LOOKS = 20;

const DESCRIPTORS = "/proc/self/fd";
const SYSTEM_CALLS = "/proc/self/io";

const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** How often this process has written, to files and sockets alike. */
function writeCalls(): number {
  return Number(/^syscw: (\d+)$/m.exec(readFileSync(SYSTEM_CALLS, "latin1"))?.[1]);
}

function post(url: string, headers: Record<string, string | number>): ClientRequest {
  return request(url, { method: "POST", headers, agent: false });
}

async function answerOf(client: ClientRequest): Promise<{ status: number; body: Buffer }> {
  const [answer] = (await once(client, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return { status: answer.statusCode ?? 0, body: Buffer.concat(chunks) };
}

/** `bytes` in pieces of a network's size. */
function pieces(bytes: Buffer, pieceBytes = 64 * 1024): Readable {
  return Readable.from(
    (function* cut() {
      for (let at = 0; at < bytes.length; at += pieceBytes)
        yield bytes.subarray(at, at + pieceBytes);
    })(),
    { objectMode: false },
  );
}

test("5 MB go through a program both ways at once", async (t) => {
  const server = await serveCgi(t, ECHO);
  const sent = randomBytes(5 * MB);
  const client = post(server.url, { "Content-Length": sent.length });
  const [{ body }] = await Promise.all([answerOf(client), pipeline(pieces(sent), client)]);
  assert.equal(digest(body), digest(sent));
});

for (const [what, head, body] of [
  ["of a known length", "Content-Length: 5\r\n", "12345"],
  ["in chunks", "Transfer-Encoding: chunked\r\n", "2\r\n12\r\n3\r\n345\r\n0\r\n\r\n"],
  ["of 4 KB", "Content-Length: 4096\r\n", "x".repeat(4096)],
] as const)
  test(`a small body ${what} is given at once where it came with its head, and the answer too`, async (t) => {
    // What has begun is cut when its program dies: a refusal shows that nothing had begun.
    const script = `${COUNT}; [ "$PATH_INFO" = /dies ] && kill -SEGV $$; exit 0`;
    const server = await serveCgi(t, script, { limits: { briefMs: 60_000 } });
    const wire = await connect(server.port);
    const requestTo = (path: string): string =>
      `POST /run${path} HTTP/1.1\r\nHost: localhost\r\n${head}\r\n${body}`;
    wire.write(requestTo("") + requestTo("/dies"));
    const replies = await wire.replies(2);
    assert.deepEqual(
      replies.map(({ status }) => status),
      [200, 502],
    );
    const bytes = body.length === 4096 ? 4096 : 5;
    assert.deepEqual(replies[0]?.body.trim().split(/ +/).map(Number), [bytes, bytes]);
    wire.socket.destroy();
  });

test("a program that reads nothing of a small body is answered as any other", async (t) => {
  const server = await serveCgi(t, "printf 'Content-Type: text/plain\\n\\nfine'");
  for (let count = 0; count < 5; count += 1) {
    const client = post(server.url, { "Content-Length": 4 });
    client.end("1234");
    assert.equal((await answerOf(client)).body.toString(), "fine");
  }
  assert.deepEqual(server.log, []);
});

test("a program that never reads does not hold up its own output", async (t) => {
  const server = await serveCgi(
    t,
    "printf 'Content-Type: text/plain\\n\\n'; head -c 5000000 /dev/zero",
  );
  const client = post(server.url, { "Content-Length": 100 * MB });
  client.on("error", () => {}); // The server need not take what nobody reads.
  const sending = pipeline(pieces(Buffer.alloc(100 * MB)), client).catch(() => {});
  const { status, body } = await answerOf(client);
  assert.equal(status, 200);
  assert.equal(body.length, 5_000_000);
  client.destroy();
  await sending;
  await until("the program ends", () => server.counters.cgiAlive === 0);
  assert.equal(server.counters.cgiFailed, 0);
});

test("a client that does not read holds up the program, not the server's memory", async (t) => {
  const server = await serveCgi(
    t,
    `printf 'Content-Type: text/plain\\n\\n'
     for i in 1 2 3 4 5 6 7 8 9 10; do head -c 10000000 /dev/zero; echo "$i" > progress; done`,
  );
  const progress = (): string => {
    const path = join(server.directory, "progress");
    return existsSync(path) ? readFileSync(path, "latin1") : "";
  };
  const client = request(server.url, { agent: false });
  client.end();
  const [answer] = (await once(client, "response")) as [IncomingMessage];
  let last = "";
  let same = 0;
  await until("nothing moves any more", () => {
    same = last === (last = progress()) ? same + 1 : 0;
    return same === STILL_LOOKS;
  });
  assert.ok(Number(last) < 5, `${last}0 MB were taken from the program and not sent`);
  let bytes = 0;
  for await (const chunk of answer) bytes += chunk.length;
  assert.equal(bytes, 100_000_000);
});

test("stdin ends exactly where the body does, also when the next request is already there", async (t) => {
  const server = await serveCgi(t, COUNT);
  const wire = await connect(server.port);
  wire.write(
    [
      "POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12345",
      "POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n123",
      "GET /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1",
      "GET /run HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ].join(""),
  );
  const bodies = (await wire.replies(4)).map(({ body }) => body.trim().split(/ +/));
  assert.deepEqual(bodies, [["5", "5"], ["3", "3"], ["1", "1"], ["0"]]);
});

test("a client that waits for 100-continue gets it once the program runs, and not for a refusal", async (t) => {
  const server = await serveCgi(t, COUNT);
  const head =
    "POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
  const wire = await connect(server.port);
  wire.write(head);
  assert.equal((await wire.replies(1))[0]?.status, 100);
  wire.write("12345");
  assert.match((await wire.replies(2))[1]?.body ?? "", /^5 +5\n$/);
  wire.socket.destroy();
  rmSync(server.program);
  assert.equal(statusOf(await exchangeBytes(server.port, head)), 404);
});

for (const [what, bytes] of [
  ["in memory", 100_000],
  ["in a file", 3_000_000],
] as const)
  test(`a chunked body is taken whole ${what}, so that CONTENT_LENGTH is right`, async (t) => {
    const server = await serveCgi(
      t,
      `printf "Content-Type: text/plain\\nX-Length: $CONTENT_LENGTH\\nX-Coding: $HTTP_TRANSFER_ENCODING\\n\\n"; exec cat`,
    );
    const sent = randomBytes(bytes);
    const client = post(server.url, { "Transfer-Encoding": "chunked" });
    const response = once(client, "response") as Promise<[IncomingMessage]>;
    await pipeline(pieces(sent, 10_000), client);
    const [answer] = await response;
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk);
    assert.equal(answer.headers["x-length"], String(bytes));
    assert.equal(answer.headers["x-coding"], "");
    assert.equal(digest(Buffer.concat(chunks)), digest(sent));
    await until("the run is over", () => heldBodies() === 0);
  });

test(
  "a chunked body in single bytes does not cost a write for each",
  { skip: !existsSync(SYSTEM_CALLS) && `no ${SYSTEM_CALLS}` },
  async (t) => {
    const server = await serveCgi(t, COUNT, { limits: { spoolMemoryBytes: 1000 } });
    const before = writeCalls();
    const bytes = 20_000;
    const wire = await connect(server.port);
    wire.write(
      "POST /run HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" +
        `${"1\r\nx\r\n".repeat(bytes)}0\r\n\r\n`,
    );
    assert.match((await wire.replies(1))[0]?.body ?? "", /^20000 +20000\n$/);
    wire.socket.destroy();
    assert.ok(writeCalls() - before < bytes / 10);
  },
);

test("a chunked body without a byte is no body", async (t) => {
  const server = await serveCgi(t, COUNT);
  const client = post(server.url, { "Transfer-Encoding": "chunked" });
  client.end();
  const { body } = await answerOf(client);
  assert.match(body.toString(), /^ +0\n$/);
});

test("a chunked body over the limit is 413, and no program is started for it", async (t) => {
  const limits = { spoolMemoryBytes: 1_000, spoolBytes: 10_000 };
  const server = await serveCgi(t, COUNT, { limits });
  for (const [bytes, status] of [
    [10_000, 200],
    [10_001, 413],
    [10_000, 200],
  ] as const) {
    const client = post(server.url, { "Transfer-Encoding": "chunked" });
    client.end(Buffer.alloc(bytes));
    assert.equal((await answerOf(client)).status, status);
  }
  assert.equal(server.counters.cgiStarted, 2);
});

const sharing = "chunked bodies share the disk: over their total is 503 until there is room again";
test(sharing, { skip: !existsSync(DESCRIPTORS) && `no ${DESCRIPTORS}` }, async (t) => {
  const limits = { spoolMemoryBytes: 1_000, spoolBytes: 10_000, spoolTotalBytes: 10_000 };
  const server = await serveCgi(t, COUNT, { limits });
  const first = post(server.url, { "Transfer-Encoding": "chunked" });
  first.write(Buffer.alloc(8_000));
  await until("the first body is on disk", () => heldBodies() !== 0);
  const second = post(server.url, { "Transfer-Encoding": "chunked" });
  second.end(Buffer.alloc(5_000));
  assert.equal((await answerOf(second)).status, 503);
  first.end();
  assert.match((await answerOf(first)).body.toString(), /^8000 +8000\n$/);
  await until("the first run is over", () => heldBodies() === 0);
  const third = post(server.url, { "Transfer-Encoding": "chunked" });
  third.end(Buffer.alloc(9_000));
  assert.equal((await answerOf(third)).status, 200);
});

/** Nameless files of request bodies that are open now; 0 where the system does not tell. */
function heldBodies(): number {
  if (!existsSync(DESCRIPTORS)) return 0;
  const targets = readdirSync(DESCRIPTORS).map((name) => {
    try {
      return readlinkSync(join(DESCRIPTORS, name));
    } catch {
      return ""; // Closed meanwhile.
    }
  });
  return targets.filter((target) => target.includes("portico-body-")).length;
}
