// Reads answers of HTTP/1.1 from a socket, one after the other, and throws their bodies away.

import type net from "node:net";

const HEAD_END = Buffer.from("\r\n\r\n");

export type Answer = {
  readonly status: number;
  /** The connection ends with it. */
  readonly isLast: boolean;
};

export type AnswerReader = {
  /** Waits for the next answer. */
  answer(hasBody: boolean): Promise<Answer>;
  /** Whether anything of an answer has come that was not read to its end. */
  hasBegun(): boolean;
};

export function createAnswerReader(socket: net.Socket): AnswerReader {
  const chunks = socket.iterator();
  let held: Buffer = Buffer.alloc(0);
  let isInside = false;

  async function more(): Promise<void> {
    const next = await chunks.next();
    if (next.done)
      throw new Error(
        isInside || held.length > 0
          ? "The server has closed in the middle of an answer"
          : "The server has closed instead of an answer",
      );
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

  async function skipBody(head: string): Promise<void> {
    const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1];
    if (length !== undefined) await skip(Number(length));
    else if (/\r\ntransfer-encoding: chunked\r\n/i.test(head)) await skipChunks();
    else throw new Error(`An answer without a length:\n${head}`);
  }

  return {
    async answer(hasBody) {
      let end = held.indexOf(HEAD_END);
      for (; end === -1; end = held.indexOf(HEAD_END)) await more();
      const head = held.toString("latin1", 0, end + 2);
      held = held.subarray(end + HEAD_END.length);
      isInside = true;
      if (hasBody) await skipBody(head);
      isInside = false;
      return {
        status: Number(head.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length)),
        isLast: /\r\nconnection: close\r\n/i.test(head),
      };
    },
    hasBegun: () => isInside || held.length > 0,
  };
}
