// HTTP/2 by hand: frames as bytes to a port, and whatever comes back as frames. Fields are sent as plain literals.

import { once } from "node:events";
import net from "node:net";
import { PREFACE } from "../../worker/http2/frame.ts";
import { HpackDecoder } from "../../worker/http2/hpack-decoder.ts";

export type Frame = {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
};

export type FrameWire = {
  readonly socket: net.Socket;
  readonly frames: readonly Frame[];
  write(...bytes: readonly Uint8Array[]): void;
  /** The first frame that matches, also one that came before; undefined when the connection ended without one. */
  find(matches: (frame: Frame) => boolean): Promise<Frame | undefined>;
  /** Waits until the server has closed the connection. */
  ended(): Promise<void>;
  /** Decoded fields of a HEADERS frame; to be called for each, in order. */
  fields(frame: Frame): [name: string, value: string][];
};

/** Any frame; `payload` as bytes or numbers. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array | readonly number[] = [],
): Buffer {
  const body = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

export function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function settings(
  ...pairs: readonly (readonly [identifier: number, value: number])[]
): Buffer {
  const payload = pairs.map(([identifier, value]) =>
    Buffer.concat([Buffer.of(identifier >> 8, identifier & 0xff), number32(value)]),
  );
  return frame(0x4, 0, 0, Buffer.concat(payload));
}

/** Literals without indexing and without Huffman. */
export function block(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value, "latin1");
    const rest = bytes.length - 127;
    if (rest < 0) return Buffer.concat([Buffer.of(bytes.length), bytes]);
    const more: number[] = [];
    let left = rest;
    for (; left >= 128; left = Math.floor(left / 128)) more.push(0x80 | (left % 128));
    return Buffer.concat([Buffer.of(127, ...more, left), bytes]);
  };
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

export const GET_FIELDS: readonly (readonly [string, string])[] = [
  [":method", "GET"],
  [":scheme", "https"],
  [":path", "/"],
  [":authority", "a.test"],
];

export const POST_FIELDS: readonly (readonly [string, string])[] = [
  [":method", "POST"],
  ...GET_FIELDS.slice(1),
];

/** HEADERS with END_HEADERS; `ends` adds END_STREAM. */
export function headers(
  stream: number,
  fields: readonly (readonly [string, string])[] = GET_FIELDS,
  ends = true,
): Buffer {
  return frame(0x1, ends ? 0x5 : 0x4, stream, block(fields));
}

export function data(stream: number, body: Uint8Array | string, ends = false): Buffer {
  return frame(0x0, ends ? 0x1 : 0, stream, Buffer.from(body as string));
}

/** Connects without saying anything. */
export async function connectFrames(port: number): Promise<FrameWire> {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  await once(socket, "connect");
  const frames: Frame[] = [];
  const decoder = new HpackDecoder({ tableBytes: 4096, listBytes: 1024 * 1024 });
  let rest: Buffer = Buffer.alloc(0);
  const closed = new Promise<void>((resolve) => {
    socket.on("end", () => resolve());
    socket.on("error", () => resolve());
    socket.on("close", () => resolve());
  });
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      frames.push({
        type: rest[3] ?? 0,
        flags: rest[4] ?? 0,
        stream: rest.readUInt32BE(5) & 0x7fff_ffff,
        payload: Buffer.from(rest.subarray(9, end)),
      });
      rest = rest.subarray(end);
    }
  });
  let isClosed = false;
  void closed.then(() => (isClosed = true));
  return {
    socket,
    frames,
    write: (...bytes) => void socket.write(Buffer.concat(bytes)),
    async find(matches) {
      for (;;) {
        const found = frames.find(matches);
        if (found || isClosed) return found;
        await Promise.race([once(socket, "data").catch(() => {}), closed]);
      }
    },
    async ended() {
      await closed;
      socket.destroy();
    },
    fields: ({ payload }) =>
      decoder.decode(payload, 0, payload.length).fields.map(({ name, value }) => [name, value]),
  };
}

/** Connects, sends the preface and settings. */
export async function openHttp2(
  port: number,
  ...pairs: readonly (readonly [number, number])[]
): Promise<FrameWire> {
  const wire = await connectFrames(port);
  wire.write(PREFACE, settings(...pairs));
  return wire;
}

/** What the server made of what it was sent: "GOAWAY n", "RST n", or the status of the answer on `stream`; whichever comes first. */
export async function verdictOn(wire: FrameWire, stream = 1): Promise<string> {
  const found = await wire.find(
    ({ type, stream: of }) => type === 0x7 || (of === stream && (type === 0x3 || type === 0x1)),
  );
  if (!found) return "closed";
  if (found.type === 0x7) return `GOAWAY ${found.payload.readUInt32BE(4)}`;
  if (found.type === 0x3) return `RST ${found.payload.readUInt32BE(0)}`;
  return wire.fields(found).find(([name]) => name === ":status")?.[1] ?? "no status";
}
