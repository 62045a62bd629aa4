// Clients that see what fetch hides: the bytes of an answer, and how the connection ended.

import { readdirSync } from "node:fs";
import { connect } from "node:net";

export type RawAnswer = {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  /** Whether the answer is whole by its own framing (RFC 9112 8). */
  readonly isWhole: boolean;
};

/** Sends `request` as it is and reads until the server closes. */
export async function talk(port: number, request: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(request, "latin1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => {}); // A reset is an end too; what came before it counts.
  await new Promise((resolve) => socket.once("close", resolve));
  return Buffer.concat(chunks).toString("latin1");
}

/** One request on a connection of its own. */
export async function ask(
  port: number,
  path: string,
  headers: readonly string[] = [],
  method = "GET",
): Promise<RawAnswer> {
  const lines = [`${method} ${path} HTTP/1.1`, "Host: localhost", "Connection: close", ...headers];
  return readAnswer(await talk(port, `${lines.join("\r\n")}\r\n\r\n`), method === "HEAD");
}

function readAnswer(text: string, isBodiless: boolean): RawAnswer {
  const end = text.indexOf("\r\n\r\n");
  const head = text.slice(0, end);
  const coded = text.slice(end + 4);
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
  if (isBodiless) return { status, head, body: coded, isWhole: end !== -1 && coded === "" };
  const length = /^content-length: (\d+)$/im.exec(head)?.[1];
  if (length !== undefined)
    return { status, head, body: coded, isWhole: coded.length === Number(length) };
  if (!/^transfer-encoding: chunked$/im.test(head))
    return { status, head, body: coded, isWhole: end !== -1 && coded === "" };
  const chunks = [...dechunk(coded)];
  return { status, head, body: chunks.join(""), isWhole: coded.endsWith("0\r\n\r\n") };
}

function* dechunk(coded: string): Generator<string> {
  let at = 0;
  for (;;) {
    const end = coded.indexOf("\r\n", at);
    const size = end === -1 ? 0 : Number.parseInt(coded.slice(at, end), 16);
    if (size === 0) return;
    yield coded.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}

/** Descriptors open in this process, where the system tells. */
export function openDescriptors(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return undefined;
  }
}

/** How often until() looks again, and when it gives up. */
const POLL_MS = 10;
const PATIENCE_MS = 10_000;

/** Waits for what no event tells. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`Waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
