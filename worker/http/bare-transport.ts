// A connection over a bare descriptor, in clear or through TLS: read and written when the poller says so. It costs a fraction of
// a socket of Node, in time and in memory, and becomes one as soon as somebody needs more than this.

import net from "node:net";
import { EBUSY, EINTR, type TlsLine } from "../../posix/openssl.ts";
import {
  BROKEN,
  EAGAIN,
  READABLE,
  WRITABLE,
  type Follower,
  type Polled,
  type Poller,
} from "../../posix/poller.ts";
import { joinSmall } from "./join-small.ts";
import { SILENT_MS } from "./linger.ts";
import { TlsStream } from "./tls-stream.ts";
import type { Departure, Transport, TransportUser } from "./transport.ts";

/** Records read in one turn; whoever sends without end must not keep the others waiting. */
const READS_AT_ONCE = 8;

/** open: reads and writes. ending: writes what is left, then closes our side. left: a socket of Node has it. */
type State = "open" | "ending" | "ended" | "closed" | "left";

export class BareTransport implements Transport, Polled, Follower {
  readonly #poller: Poller;
  readonly #fd: number;
  readonly #onClosed: () => void;
  #tls: TlsLine | undefined;
  /** Nothing can be read before something that OpenSSL has to say has left. */
  #readsAfterWriting = false;
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
    if (this.#tls) {
      this.#poller.retarget(this.#fd, this);
      this.#ask(READABLE);
    } else this.#poller.watch(this.#fd, READABLE, this);
  }

  /** Has somebody told of the first bytes instead, who is to begin TLS or to let others have the connection. */
  greet(host: Polled): void {
    this.#poller.watch(this.#fd, READABLE, host);
  }

  /** What `host` waits for from now on. */
  await(events: number): void {
    this.#ask(events);
  }

  /** What has come so far, which stays to be read. A negative errno where nothing has, or nothing will. */
  peek(): Buffer | number {
    const count = this.#poller.peek(this.#fd);
    return count > 0 ? this.#poller.first(count) : count;
  }

  /** Cuts it, but not what was said before: closing with bytes unread would, see linger.ts. */
  leaveUnread(): void {
    if (this.#isOver) return;
    this.#poller.read(this.#fd);
    this.destroy();
  }

  /** From now on all goes through TLS. To be told before begin(). */
  beginTls(open: (fd: number) => TlsLine): TlsLine {
    return (this.#tls = open(this.#fd));
  }

  /** As `onClosed`, for others. */
  onceClosed(listener: () => void): void {
    (this.#closeListeners ??= []).push(listener);
  }

  /** What ALPN has settled on. */
  get protocol(): string | undefined {
    return this.#tls?.protocol;
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
    if ((events & (READABLE | BROKEN)) === 0 && !this.#readsAfterWriting) return;
    if (this.#isOver) return;
    if (this.#isPaused || this.#hasEnd) {
      // A reset shows although nobody asked.
      if ((events & BROKEN) !== 0) this.destroy();
      else this.#ask(this.#events & ~READABLE);
    } else this.#read();
  }

  /** As onEvents has it. What comes through TLS is read by others. */
  get readsAtOnce(): boolean {
    return !this.#tls && !this.#isPaused && !this.#hasEnd && !this.#isOver;
  }

  get callsPlugins(): boolean {
    return this.#user?.callsPlugins === true;
  }

  get #isOver(): boolean {
    return this.#state === "closed" || this.#state === "left";
  }

  #read(): void {
    const tls = this.#tls;
    if (!tls) return this.#take(this.#poller.read(this.#fd));
    this.#readsAfterWriting = false;
    for (let reads = 0; reads < READS_AT_ONCE; reads += 1) {
      const count = tls.read(this.#poller.bytes);
      if (count === -EBUSY) return this.#readAfterWriting();
      if (count === -EINTR) continue;
      this.#take(count);
      if (count <= 0 || this.#isPaused || this.#isOver || !tls.hasPending) return;
    }
    setImmediate(readOn, this);
  }

  /** What was read, or why not. */
  #take(count: number): void {
    if (count > 0) {
      this.bytesRead += count;
      if (this.#watch) this.#watch.movedAt = performance.now();
      if (!this.#discards) this.#user?.receive(this.#poller.first(count));
    } else if (count === 0) {
      this.#hasEnd = true;
      if (this.#discards || this.#state === "ended") this.destroy();
      else this.#user?.receiveEnd();
      // It would be told for ever.
      this.#ask(this.#events & ~READABLE);
    } else if (count !== -EAGAIN) this.destroy();
  }

  #readAfterWriting(): void {
    this.#readsAfterWriting = true;
    this.#ask((this.#events & ~READABLE) | WRITABLE);
  }

  /** Reads what is here already, which the kernel does not tell of. */
  readOn(): void {
    if (this.#tls?.hasPending && !this.#isPaused && !this.#hasEnd) this.#read();
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
    const joined = joinSmall(buffers);
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
    const taken = this.#tls
      ? this.#tls.write(buffer)
      : Math.max(0, this.#poller.write(this.#fd, buffer, hasMore));
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
        // Of this the kernel knows nothing: it would call for ever.
        if (this.#tls?.isBroken) this.destroy();
        return;
      }
      this.#pending = others.length > 0 ? others : undefined;
    }
    const wasReading = this.#readsAfterWriting && !this.#isPaused && !this.#hasEnd;
    this.#ask((this.#events & ~WRITABLE) | (wasReading ? READABLE : 0));
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

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#hasEnd) return;
    this.#ask(this.#events | READABLE);
    if (this.#tls) setImmediate(readOn, this);
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
    // The client is to know that it has everything.
    if (this.#tls?.end() === false) return this.#ask(this.#events | WRITABLE);
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
    this.#closeTls();
    this.#pending = undefined;
    this.#poller.close(this.#fd);
    // As with a socket of Node nobody is told while he is still at work with it.
    if (!this.#poller.follow(this)) process.nextTick(tellClosed, this);
  }

  onHandedOut(): void {
    this.tellClosed();
  }

  /** A goodbye would say that the client has everything. */
  #closeTls(): void {
    if (!this.#pending) this.#tls?.end();
    this.#tls?.free();
    this.#tls = undefined;
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
    const socket = this.#tls
      ? new TlsStream(this.#poller, this.#fd, this.#tls)
      : new net.Socket({ fd: this.#fd, allowHalfOpen: true });
    this.#tls = undefined;
    socket.once("close", this.#onClosed);
    for (const listener of this.#closeListeners ?? []) socket.once("close", listener);
    if (rest.length > 0) socket.unshift(rest);
    return { socket, readBefore: this.bytesRead };
  }
}

function tellClosed(transport: BareTransport): void {
  transport.tellClosed();
}

function readOn(transport: BareTransport): void {
  transport.readOn();
}
