// The request body on its way to a program. Of a known length it streams; otherwise it is taken whole first,
// because a program reads CONTENT_LENGTH bytes and not to the end (RFC 3875 4.2).

import { randomUUID } from "node:crypto";
import { open, unlink, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { MAX_GIVEN_BYTES } from "../../../posix/child.ts";
import { HttpError, type Exchange } from "../../http/exchange.ts";
import type { CgiLimits } from "./limits.ts";

/** What a program reads. */
export interface Input extends AsyncDisposable {
  /** Undefined where nobody knows before it has ended. */
  readonly bytes: number | undefined;
  /** All of it, if it is here already and small enough to be given at once: instead of `open`. */
  takeWhole(): Buffer | undefined;
  /** Starts a stream of exactly so many bytes; once, and only if there may be any. A client that waits for 100-continue gets it now. */
  open(): Readable;
}

/** Pieces that are held apart. A client may send one byte per chunk, and each piece costs some 200 bytes beside its own. */
const MAX_PIECES = 256;
/** Written to a file at once: a write costs the same for one byte. */
const WRITE_BYTES = 64 * 1024;

type Limits = Pick<CgiLimits, "spoolMemoryBytes" | "spoolBytes" | "spoolTotalBytes">;

/** Takes request bodies for one mount; `streams` passes those of unknown length on as they come. */
export function createInputTaker(
  limits: Limits,
  streams = false,
): (exchange: Exchange) => Promise<Input> {
  const disk = { bytes: 0 };
  return async (exchange) => {
    const { bodyBytes } = exchange;
    if (bodyBytes === undefined && !streams)
      return await new Spool(limits, disk).take(exchange.body);
    return {
      bytes: bodyBytes,
      takeWhole() {
        if (bodyBytes === undefined || bodyBytes > MAX_GIVEN_BYTES) return undefined;
        const { body } = exchange;
        return body.readableLength === bodyBytes ? readWhole(body) : undefined;
      },
      open: () => exchange.body,
      async [Symbol.asyncDispose]() {}, // The exchange owns its body.
    };
  };
}

/** A body of unknown length: in memory first, then in a file that has no name. */
class Spool {
  readonly #limits: Limits;
  readonly #disk: { bytes: number };
  #pieces: Buffer[] = [];
  #heldBytes = 0;
  #bytes = 0;
  #fileBytes = 0;
  #file: FileHandle | undefined;
  /** Settles when what was last full is in the file. */
  #spilled: Promise<void> | undefined;
  #stream: Readable | undefined;

  constructor(limits: Limits, disk: { bytes: number }) {
    this.#limits = limits;
    this.#disk = disk;
  }

  async take(body: Readable): Promise<Input> {
    try {
      await this.#collect(body);
      if (this.#file) await this.#write(this.#file);
    } catch (error) {
      await this.#close();
      throw body.destroyed && !body.readableEnded
        ? new HttpError(400, "The request body broke off", { cause: error })
        : error;
    }
    return {
      bytes: this.#bytes,
      takeWhole: () =>
        this.#bytes > MAX_GIVEN_BYTES || this.#file ? undefined : Buffer.concat(this.#pieces),
      open: () => (this.#stream = this.#open()),
      [Symbol.asyncDispose]: async () => {
        this.#stream?.destroy();
        await this.#close();
      },
    };
  }

  /** Listens and does not iterate: the turn of an iteration is a price that the client sets, by the size of its chunks. */
  async #collect(body: Readable): Promise<void> {
    const { promise: failure, reject } = Promise.withResolvers<never>();
    const take = (chunk: Buffer): void => {
      this.#hold(chunk);
      if (!this.#isFull()) return;
      body.pause();
      this.#spilled = this.#spill();
      this.#spilled.then(() => body.resume(), reject);
    };
    body.on("data", take);
    try {
      await Promise.race([finished(body, { writable: false }), failure]);
      // A body that was there as a whole has ended whatever became of its last piece.
      await this.#spilled;
    } finally {
      // Not destroyed: that would take the connection with it, and a refusal could not be sent.
      body.off("data", take).pause();
    }
  }

  #hold(chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#heldBytes += chunk.length;
    this.#pieces.push(chunk);
    if (this.#pieces.length === MAX_PIECES) this.#pieces = [Buffer.concat(this.#pieces)];
  }

  #isFull(): boolean {
    if (this.#bytes > this.#limits.spoolBytes) return true;
    return this.#file
      ? this.#heldBytes >= WRITE_BYTES
      : this.#bytes > this.#limits.spoolMemoryBytes;
  }

  async #spill(): Promise<void> {
    if (this.#bytes > this.#limits.spoolBytes)
      throw new HttpError(413, `Body of unknown length over ${this.#limits.spoolBytes} bytes`);
    await this.#write((this.#file ??= await openNameless()));
  }

  async #write(file: FileHandle): Promise<void> {
    const bytes = Buffer.concat(this.#pieces);
    if (this.#disk.bytes + bytes.length > this.#limits.spoolTotalBytes)
      throw new HttpError(503, "No room for another body of unknown length");
    this.#pieces = [];
    this.#heldBytes = 0;
    this.#disk.bytes += bytes.length;
    this.#fileBytes += bytes.length;
    await file.writeFile(bytes);
  }

  #open(): Readable {
    return this.#file
      ? this.#file.createReadStream({ start: 0, autoClose: false })
      : Readable.from(this.#pieces, { objectMode: false });
  }

  async #close(): Promise<void> {
    // A file that is about to be opened must be there to be closed.
    await this.#spilled?.catch(() => {});
    this.#disk.bytes -= this.#fileBytes;
    this.#fileBytes = 0;
    await this.#file?.close();
  }
}

function readWhole(body: Readable): Buffer | undefined {
  const bytes: Buffer | null = body.read();
  body.resume(); // To its end, which the connection waits for.
  return bytes ?? undefined;
}

/** A private file that is gone from its directory at once, and from the disk with its descriptor. */
async function openNameless(): Promise<FileHandle> {
  const path = join(tmpdir(), `portico-body-${randomUUID()}`);
  const file = await open(path, "wx+", 0o600);
  await unlink(path);
  return file;
}
