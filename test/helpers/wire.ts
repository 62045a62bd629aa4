// Raw bytes to a port and back. One character stands for one byte in both directions.

import { once } from "node:events";
import net from "node:net";

export type Reply = {
  readonly status: number;
  /** Names in lower case; repeated fields joined by ", ". */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
};

export type Wire = {
  readonly socket: net.Socket;
  write(bytes: string): void;
  /** Waits until `count` answers are complete; `methods` tells which of them had no body because of HEAD. */
  replies(count: number, methods?: readonly string[]): Promise<Reply[]>;
  /** Everything up to the server's end. */
  rest(): Promise<string>;
};

/** Opens a connection. */
export async function connect(port: number, host = "127.0.0.1"): Promise<Wire> {
  const socket = net.connect({ port, host, allowHalfOpen: true, noDelay: true });
  await once(socket, "connect");
  let received = "";
  let failure: Error | undefined;
  const ended = new Promise<void>((resolve) => {
    socket.on("data", (chunk) => (received += chunk.toString("latin1")));
    socket.on("error", (error) => {
      failure = error;
      resolve();
    });
    socket.on("end", () => resolve());
    socket.on("close", () => resolve());
  });
  return {
    socket,
    write: (bytes) => void socket.write(bytes, "latin1"),
    async replies(count, methods = []) {
      for (;;) {
        const { replies } = parseReplies(received, methods);
        if (replies.length >= count) return replies;
        if (failure) throw failure;
        if (socket.readableEnded)
          throw new Error(`Only ${replies.length} replies in "${received}"`);
        await Promise.race([once(socket, "data"), ended]);
      }
    },
    async rest() {
      await ended;
      socket.destroy();
      return received;
    },
  };
}

/** Sends bytes on a connection of their own and waits for the server to end it. */
export async function exchangeBytes(port: number, bytes: string): Promise<string> {
  const wire = await connect(port);
  wire.write(bytes);
  return wire.rest();
}

/** Sends one request that asks for the end of the connection; returns its only reply. */
export async function request(
  port: number,
  line: string,
  fields: readonly string[] = [],
  body = "",
): Promise<Reply> {
  const head = [`${line} HTTP/1.1`, "Host: a.test", "Connection: close", ...fields].join("\r\n");
  const received = await exchangeBytes(port, `${head}\r\n\r\n${body}`);
  const { replies, rest } = parseReplies(received, [line.split(" ")[0] ?? ""]);
  const [reply] = replies;
  if (!reply || replies.length > 1 || rest !== "")
    throw new Error(`Not one complete reply: ${JSON.stringify(received.slice(0, 2_000))}`);
  return reply;
}

/** Status of the first line, 0 where there is none. */
export function statusOf(received: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(received)?.[1] ?? 0);
}

/** How many answers there are, complete or not. */
export function countStatusLines(received: string): number {
  return received.match(/HTTP\/1\.1 \d{3} /g)?.length ?? 0;
}

/** Takes complete answers off the front; interim ones (1xx) count too. */
export function parseReplies(
  received: string,
  methods: readonly string[] = [],
): { readonly replies: Reply[]; readonly rest: string } {
  const replies: Reply[] = [];
  let rest = received;
  for (;;) {
    const end = rest.indexOf("\r\n\r\n");
    if (end === -1) return { replies, rest };
    const [first = "", ...lines] = rest.slice(0, end).split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3}) .+$/.exec(first)?.[1]);
    if (Number.isNaN(status)) throw new Error(`Not a status line: ${first}`);
    const headers = parseFields(lines);
    const behind = rest.slice(end + 4);
    const isBare = status < 200 || status === 204 || status === 304;
    const framed =
      isBare || methods[replies.length] === "HEAD"
        ? { body: "", rest: behind }
        : takeBody(headers, behind);
    if (!framed) return { replies, rest };
    replies.push({ status, headers, body: framed.body });
    rest = framed.rest;
  }
}

function parseFields(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return headers;
}

function takeBody(
  headers: ReadonlyMap<string, string>,
  text: string,
): { body: string; rest: string } | undefined {
  if (headers.get("transfer-encoding") === "chunked") return takeChunks(text);
  const length = Number(headers.get("content-length") ?? text.length);
  return text.length < length
    ? undefined
    : { body: text.slice(0, length), rest: text.slice(length) };
}

function takeChunks(text: string): { body: string; rest: string } | undefined {
  let body = "";
  let rest = text;
  for (;;) {
    const line = /^([\da-f]+)\r\n/i.exec(rest);
    if (!line) return undefined;
    const size = Number.parseInt(line[1] ?? "0", 16);
    const from = line[0].length;
    if (rest.length < from + size + 2) return undefined;
    body += rest.slice(from, from + size);
    rest = rest.slice(from + size + 2);
    if (size === 0) return { body, rest };
  }
}
