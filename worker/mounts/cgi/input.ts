// The request body on its way to a program. Of a known length it streams; otherwise it is taken whole first,
// because a program reads CONTENT_LENGTH bytes and not to the end (RFC 3875 4.2).

import { randomUUID } from "node:crypto";
import { open, unlink, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { HttpError, type Exchange } from "../../http/exchange.ts";
import type { CgiLimits } from "./limits.ts";

/** What a program reads. */
export interface Input extends AsyncDisposable {
  readonly bytes: number;
  /** Starts a stream of exactly so many bytes; once, and only if there are any. A client that waits for 100-continue gets it now. */
  open(): Readable;
}

type Limits = Pick<CgiLimits, "spoolMemoryBytes" | "spoolBytes" | "spoolTotalBytes">;

/** Takes request bodies for one mount. */
export function createInputTaker(limits: Limits): (exchange: Exchange) => Promise<Input> {
  const disk = { bytes: 0 };
  return async (exchange) => {
    const { bodyBytes } = exchange;
    if (bodyBytes === undefined) return await new Spool(limits, disk).take(exchange.body);
    return {
      bytes: bodyBytes,
      open: () => exchange.body,
      async [Symbol.asyncDispose]() {}, // The exchange owns its body.
    };
  };
}

/** A body of unknown length: in memory first, then in a file that has no name. */
class Spool {
  readonly #limits: Limits;
  readonly #disk: { bytes: number };
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #fileBytes = 0;
  #file: FileHandle | undefined;
  #stream: Readable | undefined;

  constructor(limits: Limits, disk: { bytes: number }) {
    this.#limits = limits;
    this.#disk = disk;
  }

  async take(body: Readable): Promise<Input> {
    try {
      // A body destroyed by the loop would take the connection with it, and the refusal could not be sent.
      for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)
        await this.#add(chunk);
    } catch (error) {
      await this.#close();
      throw body.destroyed
        ? new HttpError(400, "The request body broke off", { cause: error })
        : error;
    }
    return {
      bytes: this.#bytes,
      open: () => (this.#stream = this.#open()),
      [Symbol.asyncDispose]: async () => {
        this.#stream?.destroy();
        await this.#close();
      },
    };
  }

  async #add(chunk: Buffer): Promise<void> {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limits.spoolBytes)
      throw new HttpError(413, `Body of unknown length over ${this.#limits.spoolBytes} bytes`);
    this.#chunks.push(chunk);
    if (this.#file === undefined && this.#bytes <= this.#limits.spoolMemoryBytes) return;
    this.#file ??= await openNameless();
    for (const piece of this.#chunks.splice(0)) await this.#write(this.#file, piece);
  }

  async #write(file: FileHandle, piece: Buffer): Promise<void> {
    if (this.#disk.bytes + piece.length > this.#limits.spoolTotalBytes)
      throw new HttpError(503, "No room for another body of unknown length");
    this.#disk.bytes += piece.length;
    this.#fileBytes += piece.length;
    await file.writeFile(piece);
  }

  #open(): Readable {
    return this.#file
      ? this.#file.createReadStream({ start: 0, autoClose: false })
      : Readable.from(this.#chunks, { objectMode: false });
  }

  async #close(): Promise<void> {
    this.#disk.bytes -= this.#fileBytes;
    this.#fileBytes = 0;
    await this.#file?.close();
  }
}

/** A private file that is gone from its directory at once, and from the disk with its descriptor. */
async function openNameless(): Promise<FileHandle> {
  const path = join(tmpdir(), `portico-body-${randomUUID()}`);
  const file = await open(path, "wx+", 0o600);
  await unlink(path);
  return file;
}
