// A connection over a bare descriptor: read and written by system calls when the poller says so. It costs a fraction of a
// socket of Node, in time and in memory, and becomes one as soon as somebody needs more than this.

import net from "node:net";
import {
  BROKEN,
  EAGAIN,
  READABLE,
  WRITABLE,
  type Polled,
  type Poller,
} from "../../posix/poller.ts";
import { SILENT_MS } from "./linger.ts";
import type { Departure, Transport, TransportUser } from "./transport.ts";

/** Small buffers up to so many bytes together are copied for one call into the kernel. */
const JOINED_BYTES = 64 * 1024;

/** open: reads and writes. ending: writes what is left, then closes our side. left: a socket of Node has it. */
type State = "open" | "ending" | "ended" | "closed" | "left";

export class BareTransport implements Transport, Polled {
  readonly #poller: Poller;
  readonly #fd: number;
  readonly #onClosed: () => void;
  #user: TransportUser | undefined;
  #state: State = "open";
  #events = READABLE;
  bytesRead = 0;
  takenBytes = 0;
  /** What came is for nobody any more. */
  #discards = false;
  /** The client has closed its side. */
  #hasEnd = false;
  #isPaused = false;
  #givenBack: Buffer | undefined;
  #pending: Buffer[] | undefined;
  #watch: { readonly timer: NodeJS.Timeout; movedAt: number } | undefined;
  #closeListeners: (() => void)[] | undefined;

  /** `onClosed` is for whoever counts connections: it is called when this one has closed, be it as a socket of Node. */
  constructor(poller: Poller, fd: number, onClosed: () => void) {
    this.#poller = poller;
    this.#fd = fd;
    this.#onClosed = onClosed;
  }

  begin(user: TransportUser): void {
    this.#user = user;
    this.#poller.watch(this.#fd, READABLE, this);
  }

  /** As `onClosed`, for others. */
  onceClosed(listener: () => void): void {
    (this.#closeListeners ??= []).push(listener);
  }

  /** Where the connection arrived. */
  localPlace(): ReturnType<Poller["localPlace"]> {
    return this.#state === "closed" || this.#state === "left"
      ? undefined
      : this.#poller.localPlace(this.#fd);
  }

  get isWritable(): boolean {
    return this.#state === "open";
  }

  onEvents(events: number): void {
    if ((events & WRITABLE) !== 0) this.#flush();
    if ((events & (READABLE | BROKEN)) === 0 || this.#isOver) return;
    if (this.#isPaused || this.#hasEnd) {
      // A reset shows although nobody asked.
      if ((events & BROKEN) !== 0) this.destroy();
      else this.#ask(this.#events & ~READABLE);
    } else this.#read();
  }

  get #isOver(): boolean {
    return this.#state === "closed" || this.#state === "left";
  }

  #read(): void {
    const { bytes } = this.#poller;
    const count = this.#poller.read(this.#fd);
    if (count > 0) {
      this.bytesRead += count;
      if (this.#watch) this.#watch.movedAt = performance.now();
      if (!this.#discards) this.#user?.receive(bytes.subarray(0, count));
    } else if (count === 0) {
      this.#hasEnd = true;
      // It would be told for ever.
      this.#ask(this.#events & ~READABLE);
      if (this.#discards || this.#state === "ended") this.destroy();
      else this.#user?.receiveEnd();
    } else if (count !== -EAGAIN) this.destroy();
  }

  #ask(events: number): void {
    // The number may be another's by now.
    if (events === this.#events || this.#isOver) return;
    this.#events = events;
    this.#poller.rewatch(this.#fd, events);
  }

  write(bytes: Buffer): boolean {
    if (this.#state !== "open") return false;
    if (this.#pending) this.#pending.push(bytes);
    else {
      const taken = this.#send(bytes, false);
      if (taken === bytes.length) return true;
      this.#keep([bytes.subarray(taken)]);
    }
    return false;
  }

  writeAll(buffers: readonly Buffer[]): boolean {
    if (this.#state !== "open") return false;
    if (this.#pending) {
      this.#pending.push(...buffers);
      return false;
    }
    const joined = join(buffers);
    for (const [at, bytes] of joined.entries()) {
      const taken = this.#send(bytes, at < joined.length - 1);
      if (taken === bytes.length) continue;
      this.#keep([bytes.subarray(taken), ...joined.slice(at + 1)]);
      return false;
    }
    return true;
  }

  #keep(buffers: Buffer[]): void {
    this.#pending = buffers;
    this.#ask(this.#events | WRITABLE);
  }

  /** How many bytes the kernel took. A connection that is broken tells by an event. */
  #send(buffer: Buffer, hasMore: boolean): number {
    const taken = Math.max(0, this.#poller.write(this.#fd, buffer, hasMore));
    this.takenBytes += taken;
    if (this.#watch && taken > 0) this.#watch.movedAt = performance.now();
    return taken;
  }

  #flush(): void {
    while (this.#pending) {
      const [first, ...others] = this.#pending;
      if (!first) break;
      const taken = this.#send(first, others.length > 0);
      if (taken < first.length) {
        this.#pending = [first.subarray(taken), ...others];
        return;
      }
      this.#pending = others.length > 0 ? others : undefined;
    }
    this.#ask(this.#events & ~WRITABLE);
    if (this.#state === "ending") this.#shutDown();
    this.#user?.onFlushed();
  }

  giveBack(bytes: Buffer): void {
    this.#isPaused = true;
    this.#givenBack = this.#givenBack ? Buffer.concat([bytes, this.#givenBack]) : bytes;
  }

  replay(): boolean {
    const bytes = this.#givenBack;
    if (!bytes) return false;
    this.#givenBack = undefined;
    this.#user?.receive(bytes);
    return true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (!this.#hasEnd) this.#ask(this.#events | READABLE);
  }

  watchStall(ms: number, onStall?: () => void): void {
    clearTimeout(this.#watch?.timer);
    this.#watch = undefined;
    if (!onStall || this.#isOver) return;
    const timer = setTimeout(() => {
      const leftMs = (this.#watch?.movedAt ?? 0) + ms - performance.now();
      if (leftMs <= 0) onStall();
      else timer.refresh();
    }, ms);
    this.#watch = { timer, movedAt: performance.now() };
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    if (!this.#pending) this.#shutDown();
  }

  #shutDown(): void {
    this.#state = "ended";
    if (this.#hasEnd) this.destroy();
    else this.#poller.shutdown(this.#fd);
  }

  discard(): void {
    this.#discards = true;
    this.#givenBack = undefined;
    this.end();
    this.resume();
    this.watchStall(SILENT_MS, () => this.destroy());
  }

  destroy(): void {
    if (this.#isOver) return;
    this.#state = "closed";
    this.watchStall(0);
    this.#pending = undefined;
    this.#poller.close(this.#fd);
    // As with a socket of Node nobody is told while he is still at work with it.
    process.nextTick(tellClosed, this);
  }

  tellClosed(): void {
    this.#user?.onClose();
    this.#user = undefined;
    this.#onClosed();
    for (const listener of this.#closeListeners ?? []) listener();
  }

  leave(rest: Buffer): Departure | undefined {
    if (this.#isOver) return undefined;
    this.#state = "left";
    this.watchStall(0);
    this.#user = undefined;
    this.#poller.unwatch(this.#fd);
    const socket = new net.Socket({ fd: this.#fd, allowHalfOpen: true });
    socket.once("close", this.#onClosed);
    for (const listener of this.#closeListeners ?? []) socket.once("close", listener);
    if (rest.length > 0) socket.unshift(rest);
    return { socket, readBefore: this.bytesRead };
  }
}

function tellClosed(transport: BareTransport): void {
  transport.tellClosed();
}

/** Fewer buffers with the same bytes: runs of small ones as one. */
function join(buffers: readonly Buffer[]): readonly Buffer[] {
  const joined: Buffer[] = [];
  let run: Buffer[] = [];
  let runBytes = 0;
  const endRun = (): void => {
    if (run.length > 0) joined.push(run.length === 1 && run[0] ? run[0] : Buffer.concat(run));
    run = [];
    runBytes = 0;
  };
  for (const buffer of buffers) {
    if (runBytes + buffer.length > JOINED_BYTES) endRun();
    run.push(buffer);
    runBytes += buffer.length;
  }
  endRun();
  return joined;
}
