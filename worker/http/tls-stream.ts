// A socket of Node over a TLS connection that began without one, for whoever needs a stream: Node's parser, HTTP/2, WebSockets.

// oxlint-disable no-underscore-dangle -- that is how Node names what streams override

import net from "node:net";
import { EBUSY, EINTR, type TlsLine } from "../../posix/openssl.ts";
import {
  BROKEN,
  EAGAIN,
  READABLE,
  WRITABLE,
  type Polled,
  type Poller,
} from "../../posix/poller.ts";
import { joinSmall } from "./join-small.ts";

/** Records read in one turn; whoever sends many that are small must not keep the others waiting. */
const READS_AT_ONCE = 32;

type Written = (error?: Error | null) => void;

export class TlsStream extends net.Socket implements Polled {
  readonly #poller: Poller;
  readonly #fd: number;
  readonly #line: TlsLine;
  /** What ALPN has settled on. */
  readonly alpnProtocol: string | undefined;
  /** Undocumented: what moves on a socket restarts its time-out by this. */
  declare _unrefTimer: () => void;
  readonly callsPlugins = true;
  override bytesRead = 0;
  override bytesWritten = 0;
  /** Bytes that the kernel has taken. */
  takenBytes = 0;
  #events = READABLE;
  #pending: { buffers: readonly Buffer[]; readonly done: Written } | undefined;
  #wantsBytes = false;
  #hasEnd = false;
  #readsAfterWriting = false;
  #isReadDue = false;
  /** For the goodbye, while the kernel does not take it. */
  #onEnded: Written | undefined;
  #isCut = false;

  /** From now on connection and descriptor are its own. */
  constructor(poller: Poller, fd: number, line: TlsLine) {
    super({ allowHalfOpen: true });
    this.#poller = poller;
    this.#fd = fd;
    this.#line = line;
    this.alpnProtocol = line.protocol;
    poller.watch(fd, READABLE, this);
  }

  onEvents(events: number): void {
    if ((events & WRITABLE) !== 0) this.#flush();
    if ((events & (READABLE | BROKEN)) === 0 && !this.#readsAfterWriting) return;
    if (this.destroyed) return;
    if (this.#wantsBytes && !this.#hasEnd) this.#readAll();
    // A reset shows although nobody asked.
    else if ((events & BROKEN) !== 0) this.#fail();
    else this.#ask(this.#events & ~READABLE);
  }

  override _read(): void {
    if (this.#wantsBytes) return;
    this.#wantsBytes = true;
    if (this.#hasEnd) return;
    this.#ask(this.#events | READABLE);
    if (this.#line.hasPending) this.#readSoon();
  }

  /** Nothing will tell of what is here already. The stream is asked for it later, as by the poller. */
  #readSoon(): void {
    if (this.#isReadDue) return;
    this.#isReadDue = true;
    setImmediate(() => {
      this.#isReadDue = false;
      if (this.#wantsBytes && !this.#hasEnd && !this.destroyed) this.#readAll();
    });
  }

  /** As much as fits into the poller's bytes; what is left the stream asks for. */
  #readAll(): void {
    const { bytes } = this.#poller;
    let filled = 0;
    let count = 0;
    this.#readsAfterWriting = false;
    for (let reads = 0; reads < READS_AT_ONCE && filled < bytes.length; reads += 1) {
      count = this.#line.read(filled === 0 ? bytes : bytes.subarray(filled));
      if (count > 0) filled += count;
      else if (count !== -EINTR) break;
      if (filled > 0 && !this.#line.hasPending) break;
    }
    if (filled > 0) {
      this.bytesRead += filled;
      this._unrefTimer();
      // It asks again, at once or when it has room.
      this.#wantsBytes = false;
      this.push(Buffer.from(bytes.subarray(0, filled)));
      if (this.destroyed) return;
    }
    if (count === 0) this.#takeEnd();
    else if (count === -EBUSY) {
      this.#readsAfterWriting = true;
      this.#ask((this.#events & ~READABLE) | WRITABLE);
    } else if (count === -EINTR) this.#readSoon();
    else if (count < 0 && count !== -EAGAIN) this.#fail();
  }

  #takeEnd(): void {
    this.#hasEnd = true;
    this.#ask(this.#events & ~READABLE);
    this.push(null);
    // Node's own socket does so too: what never flows would never tell its end.
    this.read(0);
  }

  #fail(): void {
    this.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: Written): void {
    this.#put([toBytes(chunk, encoding)], done);
  }

  override _writev(chunks: readonly Chunk[], done: Written): void {
    this.#put(joinSmall(chunks.map(({ chunk, encoding }) => toBytes(chunk, encoding))), done);
  }

  #put(buffers: readonly Buffer[], done: Written): void {
    for (const { length } of buffers) this.bytesWritten += length;
    this.#pending = { buffers, done };
    this.#flush();
  }

  #flush(): void {
    const pending = this.#pending;
    if (!pending) {
      this.#endWriting();
      if (this.#onEnded) this._final(this.#onEnded);
      return;
    }
    while (pending.buffers.length > 0) {
      const [first, ...others] = pending.buffers;
      if (!first) break;
      const taken = this.#line.write(first);
      this.takenBytes += taken;
      if (taken > 0) this._unrefTimer();
      if (taken < first.length) {
        pending.buffers = [first.subarray(taken), ...others];
        // Of this the kernel knows nothing: it would call for ever.
        if (this.#line.isBroken) return this.#fail();
        return this.#ask(this.#events | WRITABLE);
      }
      pending.buffers = others;
    }
    this.#pending = undefined;
    this.#endWriting();
    pending.done();
  }

  #endWriting(): void {
    const isReading = this.#readsAfterWriting && !this.#hasEnd;
    this.#ask((this.#events & ~WRITABLE) | (isReading ? READABLE : 0));
  }

  override _final(done: Written): void {
    this.#onEnded = this.#line.end() ? undefined : done;
    if (this.#onEnded) return this.#ask(this.#events | WRITABLE);
    this.#poller.shutdown(this.#fd);
    done();
  }

  /** Destroys it in the middle of what the client is waiting for. */
  cut(): void {
    this.#isCut = true;
    this.destroy();
  }

  override _destroy(error: Error | null, done: Written): void {
    // A goodbye would say that the client has everything.
    if (!error && !this.#pending && !this.#isCut) this.#line.end();
    this.#line.free();
    this.#poller.close(this.#fd);
    this.#pending = undefined;
    super._destroy(error, done);
  }

  #ask(events: number): void {
    // The number may be another's by now.
    if (events === this.#events || this.destroyed) return;
    this.#events = events;
    this.#poller.rewatch(this.#fd, events);
  }
}

type Chunk = { readonly chunk: Buffer | string; readonly encoding: BufferEncoding };

function toBytes(chunk: Buffer | string, encoding: BufferEncoding): Buffer {
  return typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;
}
