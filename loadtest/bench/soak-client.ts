// The client of soak.ts: batches of pipelined requests of all kinds, answers read in order, a wrong status is an error.

import { once } from "node:events";
import net from "node:net";
import { createAnswerReader } from "./answer-reader.ts";

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
    const reader = createAnswerReader(socket);
    const batches = 1 + Math.floor(Math.random() * MAX_BATCHES);
    for (let batch = 0; batch < batches && !isOver(); batch += 1) {
      const asked = Array.from({ length: BATCH }, () => choose(kinds));
      socket.write(asked.map(({ request }) => request).join(""));
      for (const kind of asked) {
        const { status } = await reader.answer(kind.hasBody);
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
