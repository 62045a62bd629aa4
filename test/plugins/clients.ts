// Clients for tests of WebSockets: the platform's own, and one by hand that may send anything.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { TestContext } from "node:test";

/** A WebSocket client whose messages and end can be awaited in turn. */
export class Client {
  readonly socket: WebSocket;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #messages: string[] = [];
  #wake: (() => void) | undefined;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }));
    });
    socket.addEventListener("message", ({ data }) => {
      this.#messages.push(String(data));
      this.#wake?.();
    });
  }

  /** Connects and waits until the WebSocket is open. */
  static async open(t: TestContext, url: string, protocol?: string): Promise<Client> {
    const client = new Client(new WebSocket(url, protocol));
    t.after(() => client.socket.close());
    await new Promise<void>((resolve, reject) => {
      client.socket.addEventListener("open", () => resolve());
      client.socket.addEventListener("error", () => reject(new Error(`Cannot open ${url}`)));
    });
    return client;
  }

  /** The next message, in the order they came. */
  async next(): Promise<string> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Takes messages until one fits, and returns that. */
  async nextThat(fits: (message: string) => boolean): Promise<string> {
    for (;;) {
      const message = await this.next();
      if (fits(message)) return message;
    }
  }

  /** Messages that came and were not taken. */
  get waiting(): number {
    return this.#messages.length;
  }
}

export const HANDSHAKE_KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** The lines of an opening handshake; `changes` replaces a header, drops it (undefined) or adds one. */
export function handshake(
  port: number,
  changes: Readonly<Record<string, string | undefined>> = {},
  requestLine = "GET / HTTP/1.1",
): string {
  const headers = {
    Host: `127.0.0.1:${port}`,
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": HANDSHAKE_KEY,
    ...changes,
  };
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}\r\n`],
  );
  return `${requestLine}\r\n${lines.join("")}\r\n`;
}

export type FrameOptions = {
  readonly opcode?: number;
  readonly isFinal?: boolean;
  readonly isMasked?: boolean;
  readonly rsv?: number;
  /** Written instead of the payload's length, in 64 bits. */
  readonly claimedLength?: bigint;
};

/** One client frame, right or wrong as asked. */
export function frame(payload: string | Buffer, options: FrameOptions = {}): Buffer {
  const { opcode = 1, isFinal = true, isMasked = true, rsv = 0, claimedLength } = options;
  const body = typeof payload === "string" ? Buffer.from(payload) : payload;
  const maskBit = isMasked ? 0x80 : 0;
  const head = [(isFinal ? 0x80 : 0) | (rsv << 4) | opcode];
  if (claimedLength !== undefined || body.length > 0xffff) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(claimedLength ?? BigInt(body.length));
    head.push(maskBit | 127, ...length);
  } else if (body.length > 125) head.push(maskBit | 126, body.length >> 8, body.length & 0xff);
  else head.push(maskBit | body.length);
  if (isMasked) head.push(0, 0, 0, 0); // masking with zeros leaves the payload as it is
  return Buffer.concat([Buffer.from(head), body]);
}

/** A connection by hand: what came back can be awaited. */
export class RawClient {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  /** All that came, the head of the HTTP answer included. */
  bytesRead = 0;
  #received: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        resolve();
        this.#wake?.();
      });
    });
    socket.on("error", () => {}); // a reset is one of the ends a hostile client may see
    socket.on("data", (chunk: Buffer) => {
      this.bytesRead += chunk.length;
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
  }

  /** Connects and sends `first`. */
  static async open(t: TestContext, port: number, first: string | Buffer): Promise<RawClient> {
    const client = new RawClient(connect(port, "127.0.0.1"));
    t.after(() => client.socket.destroy());
    await once(client.socket, "connect");
    client.socket.write(first);
    return client;
  }

  /** Connects and completes the opening handshake. */
  static async upgrade(t: TestContext, port: number, protocol: string): Promise<RawClient> {
    const client = await RawClient.open(
      t,
      port,
      handshake(port, { "Sec-WebSocket-Protocol": protocol }),
    );
    await client.head();
    return client;
  }

  /** The head of the HTTP answer. */
  async head(): Promise<string> {
    for (;;) {
      const end = this.#received.indexOf("\r\n\r\n");
      if (end >= 0) {
        const head = this.#received.subarray(0, end).toString("latin1");
        this.#received = this.#received.subarray(end + 4);
        return head;
      }
      await this.#more();
    }
  }

  /** The next frame of the server; its payload must be shorter than 64 KiB. */
  async frame(): Promise<{ readonly opcode: number; readonly payload: Buffer }> {
    for (;;) {
      const short = (this.#received[1] ?? 0) & 0x7f;
      const start = short === 126 ? 4 : 2;
      if (this.#received.length >= start) {
        const length = short === 126 ? this.#received.readUInt16BE(2) : short;
        if (this.#received.length >= start + length) {
          const opcode = (this.#received[0] ?? 0) & 0x0f;
          const payload = this.#received.subarray(start, start + length);
          this.#received = this.#received.subarray(start + length);
          return { opcode, payload };
        }
      }
      await this.#more();
    }
  }

  /** The code of the close frame the server sends, after whatever it sends before. */
  async closeCode(): Promise<number> {
    for (;;) {
      const { opcode, payload } = await this.frame();
      if (opcode === 8) return payload.readUInt16BE(0);
    }
  }

  async #more(): Promise<void> {
    if (this.socket.destroyed) throw new Error("The connection is over");
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}
