// A typed conversation over one duplex stream: names and bodies are checked against the message tables.
// The first frame that does not decode ends the channel. Statistics never delay control messages: see `congested`.

import type { Duplex } from "node:stream";
import type { Infer, Shape } from "../config/shape.ts";
import { createFrameReader, encodeFrame, FrameError } from "./frame.ts";

export type MessageTable = Readonly<Record<string, Shape>>;
export type Bodies<Table extends MessageTable> = { [Name in keyof Table]: Infer<Table[Name]> };
/** One handler per message of a table: a missing one does not compile. */
export type Handlers<Table extends MessageTable> = {
  [Name in keyof Table]: (body: Infer<Table[Name]>) => void;
};

/** Bytes waiting to be written above which optional messages (samples, boards) are left out. */
const CONGESTED_BYTES = 64 * 1024;
/** Bytes waiting to be written above which messages that may be lost (the bus) are dropped. */
const BACKLOG_BYTES = 16 * 1024 * 1024;
/** Bytes waiting to be written above which the peer counts as dead: it has read nothing for long. */
const MAX_QUEUED_BYTES = 256 * 1024 * 1024;
/** How long a peer may take to read what is written last. */
const PARTING_MS = 5_000;

export type ChannelOptions<Out extends MessageTable, In extends MessageTable> = {
  readonly stream: Duplex;
  readonly sends: Out;
  readonly receives: In;
  /** Largest frame accepted from and sent to the peer, bytes. */
  readonly maxReceiveBytes: number;
  readonly maxSendBytes: number;
  /** Called once when the channel has ended; `error` says why unless the peer just closed. */
  readonly onEnd: (error: Error | undefined) => void;
};

export type Channel<Out extends MessageTable, In extends MessageTable> = {
  /** Sends one message; false when the channel has ended. */
  send<Name extends keyof Out & string>(name: Name, body: Bodies<Out>[Name]): boolean;
  /** Starts reading. Call once. */
  serve(handlers: Handlers<In>): void;
  /** The peer reads slower than we write: leave out what can wait. */
  readonly congested: boolean;
  /** So much is queued that what may be lost must be dropped. */
  readonly backlogged: boolean;
  /** Writes what is queued and waits until the peer has read it and closed; `done` is called either way. */
  end(done: () => void): void;
  close(): void;
};

/** Wraps `stream`, which the channel owns from then on. */
export function createChannel<Out extends MessageTable, In extends MessageTable>(
  options: ChannelOptions<Out, In>,
): Channel<Out, In> {
  const { stream } = options;
  let state: "open" | "ending" | "ended" = "open";
  const onParted: (() => void)[] = [];

  function finish(error: Error | undefined): void {
    if (state === "ended") return;
    const wasOpen = state === "open";
    state = "ended";
    // Told first: the peer may be ended for what it sent, and is not to find out before.
    if (wasOpen) options.onEnd(error);
    stream.destroy();
    for (const done of onParted) done();
  }

  stream.on("error", (error) => finish(error));
  stream.on("close", () => finish(undefined));
  stream.on("end", () => finish(undefined));

  return {
    get congested() {
      return stream.writableLength > CONGESTED_BYTES;
    },
    get backlogged() {
      return stream.writableLength > BACKLOG_BYTES;
    },
    send(name, body) {
      if (state !== "open" || stream.writableEnded) return false;
      if (stream.writableLength > MAX_QUEUED_BYTES) {
        finish(new FrameError(`Peer has not read ${stream.writableLength} bytes`));
        return false;
      }
      stream.write(encodeFrame([name, body], options.maxSendBytes));
      return true;
    },
    serve(handlers) {
      const reader = createFrameReader(options.maxReceiveBytes, (value) => {
        if (state !== "open") return;
        const [name, body] = decodeMessage(options.receives, value);
        handlers[name](body as never);
      });
      stream.on("data", (chunk: Buffer) => {
        try {
          reader.push(chunk);
        } catch (error) {
          if (!(error instanceof FrameError)) throw error;
          finish(error);
        }
      });
    },
    end(done) {
      if (state === "ended") return done();
      onParted.push(done);
      if (state === "ending") return;
      state = "ending";
      const timer = setTimeout(() => finish(undefined), PARTING_MS);
      onParted.unshift(() => clearTimeout(timer));
      // By halves: a peer that writes to somebody who is gone gets an error, and with it loses what it has not read yet.
      stream.end();
    },
    close: () => finish(undefined),
  };
}

/** Checks a decoded frame against the table. Throws FrameError. */
function decodeMessage<In extends MessageTable>(
  table: In,
  value: unknown,
): [name: keyof In & string, body: unknown] {
  if (!Array.isArray(value) || value.length !== 2 || typeof value[0] !== "string")
    throw new FrameError("Frame is not a [name, body] pair");
  const [name, body] = value as [string, unknown];
  const shape = Object.hasOwn(table, name) ? table[name] : undefined;
  if (!shape) throw new FrameError(`Unknown message ${JSON.stringify(name.slice(0, 40))}`);
  const decoded = shape.safeParse(body);
  if (!decoded.success)
    throw new FrameError(`Message "${name}" does not decode: ${decoded.error.issues[0]?.message}`);
  return [name, decoded.data];
}
