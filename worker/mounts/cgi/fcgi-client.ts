// One request to a FastCGI server (FastCGI 1.0, role Responder) on a connection of its own, seen as a running program: its
// input, its output, its stderr and how it ended. Nothing is kept between requests: a kept connection would hold one of the
// few workers of php-fpm while nobody asks for anything.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Readable, Writable } from "node:stream";
import type { Child, Environment, Exit } from "../../../posix/child.ts";

/** Where a server listens. */
export type FcgiAddress =
  | { readonly path: string }
  | { readonly host: string; readonly port: number };

const VERSION = 1;
const BEGIN_REQUEST = 1;
const ABORT_REQUEST = 2;
const END_REQUEST = 3;
const PARAMS = 4;
const STDIN = 5;
const STDOUT = 6;
const STDERR = 7;
const REQUEST_ID = 1;
const RESPONDER = 1;
const HEADER_BYTES = 8;
const MAX_CONTENT_BYTES = 0xffff;
const REQUEST_COMPLETE = 0;

/** Connects and begins a request. Rejects with the errno of the connection as `code`. */
export async function startFcgi(
  address: FcgiAddress,
  environment: Environment,
  stdin: "pipe" | "none",
  connectMs: number,
): Promise<Child> {
  const socket = connect({ ...address, noDelay: true, allowHalfOpen: true });
  const timer = setTimeout(
    () => socket.destroy(Object.assign(new Error("connect timed out"), { code: "ETIMEDOUT" })),
    connectMs,
  );
  try {
    await once(socket, "connect");
  } finally {
    clearTimeout(timer);
  }
  socket.write(
    Buffer.concat([
      record(BEGIN_REQUEST, Buffer.from([0, RESPONDER, 0, 0, 0, 0, 0, 0])),
      ...records(PARAMS, encodeVariables(environment)),
      record(PARAMS, Buffer.alloc(0)),
    ]),
  );
  if (stdin === "none") socket.write(record(STDIN, Buffer.alloc(0)));
  return converse(socket, stdin);
}

function converse(socket: Socket, stdin: "pipe" | "none"): Child {
  const { promise: exited, resolve } = Promise.withResolvers<Exit>();
  const resume = (): void => {
    if (!stdout.readableFlowing || stdout.readableLength < stdout.readableHighWaterMark)
      socket.resume();
  };
  const stdout = new Readable({ read: resume });
  const stderr = new Readable({ read() {} });
  const input = stdin === "pipe" ? createInput(socket) : undefined;
  let state: "running" | "ended" = "running";

  function end(exit: Omit<Exit, "usage">): void {
    if (state === "ended") return;
    state = "ended";
    stdout.push(null);
    stderr.push(null);
    resolve({ ...exit, usage: undefined });
    input?.destroy();
    socket.destroy();
  }

  const reader = createRecordReader((type, content) => {
    if (state === "ended") return true;
    if (type === STDOUT && content.length > 0) return stdout.push(content);
    if (type === STDERR && content.length > 0) stderr.push(content);
    if (type === END_REQUEST) {
      const isComplete = content.length >= 5 && content[4] === REQUEST_COMPLETE;
      const code = content.length >= 4 ? content.readUInt32BE(0) : 0;
      end(isComplete ? { code, signal: null } : { code: null, signal: "a server that refused" });
    }
    return true;
  });
  socket.on("data", (chunk: Buffer) => {
    const verdict = reader(chunk);
    if (verdict === "malformed") end({ code: null, signal: "a malformed record" });
    else if (verdict === "full") socket.pause();
  });
  socket.on("error", () => {}); // The close behind it tells.
  socket.on("end", () => end({ code: null, signal: "the end of its connection" }));
  socket.on("close", () => end({ code: null, signal: "the loss of its connection" }));

  return {
    pid: 0,
    stdin: input,
    stdout,
    stderr,
    exited,
    kill(signal) {
      if (state === "ended") return false;
      if (signal === 0) return true;
      if (signal === "SIGTERM" && socket.writable)
        socket.write(record(ABORT_REQUEST, Buffer.alloc(0)));
      // A server learns of a request that nobody waits for when its connection goes (php-fpm ignores the record).
      end({ code: null, signal });
      return true;
    },
  };
}

/** A stream whose bytes go into STDIN records, at the pace of the connection. */
function createInput(socket: Socket): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      const isLast = (at: number): boolean => at + MAX_CONTENT_BYTES >= chunk.length;
      for (let at = 0; at < chunk.length; at += MAX_CONTENT_BYTES) {
        const piece = record(STDIN, chunk.subarray(at, at + MAX_CONTENT_BYTES));
        if (isLast(at)) socket.write(piece, (error) => done(error));
        else socket.write(piece);
      }
    },
    final(done) {
      socket.write(record(STDIN, Buffer.alloc(0)), (error) => done(error));
    },
  });
}

function record(type: number, content: Buffer): Buffer {
  const header = Buffer.from([VERSION, type, 0, REQUEST_ID, 0, 0, 0, 0]);
  header.writeUInt16BE(content.length, 4);
  return Buffer.concat([header, content]);
}

function records(type: number, content: Buffer): Buffer[] {
  const count = Math.ceil(content.length / MAX_CONTENT_BYTES);
  return Array.from({ length: count }, (_, index) =>
    record(type, content.subarray(index * MAX_CONTENT_BYTES, (index + 1) * MAX_CONTENT_BYTES)),
  );
}

/** Names and values, each with its length before it: one byte, or four from 128 on. */
function encodeVariables(environment: Environment): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of environment)
    parts.push(lengthOf(name), lengthOf(value), Buffer.from(name + value, "latin1"));
  return Buffer.concat(parts);
}

function lengthOf({ length }: string): Buffer {
  if (length < 128) return Buffer.from([length]);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((length | 0x80000000) >>> 0);
  return bytes;
}

/** Cuts a stream into records. What it holds is less than one record: 64 KiB, its padding and its header. */
function createRecordReader(
  take: (type: number, content: Buffer) => boolean,
): (chunk: Buffer) => "fine" | "full" | "malformed" {
  let held: Buffer = Buffer.alloc(0);
  return (chunk) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    let hasRoom = true;
    while (held.length >= HEADER_BYTES) {
      if (held[0] !== VERSION) return "malformed";
      const contentBytes = held.readUInt16BE(4);
      const end = HEADER_BYTES + contentBytes + (held[6] ?? 0);
      if (held.length < end) break;
      if (held.readUInt16BE(2) === REQUEST_ID)
        hasRoom =
          take(held[1] ?? 0, held.subarray(HEADER_BYTES, HEADER_BYTES + contentBytes)) && hasRoom;
      held = held.subarray(end);
    }
    return hasRoom ? "fine" : "full";
  };
}
