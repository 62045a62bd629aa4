// The client of soak.ts: batches of pipelined requests of all kinds, answers read in order, a wrong status is an error.

import { once } from "node:events";
import net from "node:net";

/** How often a kind comes, of 1,000. */
type Kind = {
  readonly name: string;
  readonly weight: number;
  readonly request: string;
  readonly status: number;
  readonly hasBody: boolean;
};

const BATCH = 16;
/** A connection lives for so many batches; some are cut in the middle of an answer instead. */
const MAX_BATCHES = 40;
const CUT_PART = 0.1;
const HEAD_END = Buffer.from("\r\n\r\n");

export type SoakClient = {
  /** Sends until it is over, on one connection after the other. */
  run(isOver: () => boolean): Promise<void>;
  answers(): number;
  /** How many of each. */
  kinds(): Record<string, number>;
};

export function createSoakClient(port: number, lastModified: string): SoakClient {
  const kinds = kindsOf(lastModified);
  const counts = new Map(kinds.map(({ name }) => [name, 0]));
  let answers = 0;

  async function runConnection(isOver: () => boolean): Promise<void> {
    const socket = net.connect(port, "127.0.0.1");
    // A cut is noticed by what does not come.
    socket.on("error", () => {});
    await once(socket, "connect");
    const reader = createReader(socket);
    const batches = 1 + Math.floor(Math.random() * MAX_BATCHES);
    for (let batch = 0; batch < batches && !isOver(); batch += 1) {
      const asked = Array.from({ length: BATCH }, () => choose(kinds));
      socket.write(asked.map(({ request }) => request).join(""));
      for (const kind of asked) {
        const status = await reader.answer(kind.hasBody);
        if (status !== kind.status)
          throw new Error(`${kind.name} is answered with ${status}, wanted ${kind.status}`);
        answers += 1;
        counts.set(kind.name, (counts.get(kind.name) ?? 0) + 1);
      }
    }
    const end = Math.random();
    if (end < CUT_PART) socket.write("GET /10m.html HTTP/1.1\r\nHost: localhost\r\n\r\n");
    else if (end < 2 * CUT_PART) socket.write("GET / HT");
    socket.destroy();
  }

  return {
    async run(isOver) {
      while (!isOver()) await runConnection(isOver);
    },
    answers: () => answers,
    kinds: () => Object.fromEntries(counts),
  };
}

function kindsOf(lastModified: string): Kind[] {
  const get = (path: string, fields = "", method = "GET"): string =>
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`;
  const form = "text=hello&send=Send";
  const type = "Content-Type: application/x-www-form-urlencoded\r\n";
  const hasBody = true;
  return [
    { name: "file", weight: 440, request: get("/1k.html"), status: 200, hasBody },
    {
      name: "304",
      weight: 150,
      request: get("/1k.html", `If-Modified-Since: ${lastModified}\r\n`),
      status: 304,
      hasBody: false,
    },
    {
      name: "HEAD",
      weight: 100,
      request: get("/1k.html", "", "HEAD"),
      status: 200,
      hasBody: false,
    },
    { name: "redirect", weight: 60, request: get("/directory"), status: 301, hasBody },
    { name: "404", weight: 120, request: get("/nothing"), status: 404, hasBody },
    {
      name: "range",
      weight: 60,
      request: get("/1k.html", "Range: bytes=5-9\r\n"),
      status: 206,
      hasBody,
    },
    { name: "100 KB", weight: 28, request: get("/100k.html"), status: 200, hasBody },
    { name: "10 MB", weight: 1, request: get("/10m.html"), status: 200, hasBody },
    {
      name: "POST",
      weight: 40,
      request: `${get("/post", `${type}Content-Length: ${form.length}\r\n`, "POST")}${form}`,
      status: 200,
      hasBody,
    },
    { name: "CGI", weight: 1, request: get("/cgi"), status: 200, hasBody },
  ];
}

function choose(kinds: readonly Kind[]): Kind {
  let left = Math.random() * kinds.reduce((sum, { weight }) => sum + weight, 0);
  for (const kind of kinds) {
    left -= kind.weight;
    if (left < 0) return kind;
  }
  throw new Error("No kind is left");
}

type Reader = {
  /** Waits for the next answer, throws its body away and returns its status. */
  answer(hasBody: boolean): Promise<number>;
};

function createReader(socket: net.Socket): Reader {
  const chunks = socket.iterator();
  let held: Buffer = Buffer.alloc(0);

  async function more(): Promise<void> {
    const next = await chunks.next();
    if (next.done) throw new Error("The server has closed in the middle of an answer");
    const chunk = next.value as Buffer;
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
  }

  async function skip(bytes: number): Promise<void> {
    for (let left = bytes; left > 0;) {
      if (held.length === 0) await more();
      const taken = Math.min(left, held.length);
      held = held.subarray(taken);
      left -= taken;
    }
  }

  async function line(): Promise<string> {
    let end = held.indexOf("\r\n");
    for (; end === -1; end = held.indexOf("\r\n")) await more();
    const text = held.toString("latin1", 0, end);
    held = held.subarray(end + 2);
    return text;
  }

  async function skipChunks(): Promise<void> {
    for (;;) {
      const size = Number.parseInt(await line(), 16);
      if (!(size >= 0)) throw new Error("A chunk without a size");
      await skip(size + 2);
      if (size === 0) return;
    }
  }

  return {
    async answer(hasBody) {
      let end = held.indexOf(HEAD_END);
      for (; end === -1; end = held.indexOf(HEAD_END)) await more();
      const head = held.toString("latin1", 0, end + 2);
      held = held.subarray(end + HEAD_END.length);
      const status = Number(head.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length));
      if (!hasBody) return status;
      const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1];
      if (length !== undefined) await skip(Number(length));
      else if (/\r\ntransfer-encoding: chunked\r\n/i.test(head)) await skipChunks();
      else throw new Error(`An answer without a length:\n${head}`);
      return status;
    },
  };
}
