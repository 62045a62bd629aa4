// Sockets by system calls, past libuv's streams: one epoll instance that libuv watches tells what can be accepted, read and
// written. A request costs two calls into libc then, which take a fraction of what a stream, its buffers and its callbacks do.

import { AsyncResource } from "node:async_hooks";
import { isMainThread } from "node:worker_threads";
import { createAlarm } from "./loop-alarm.ts";
import { openLibc } from "./native.mjs";
import { ReadBuffer } from "./read-buffer.ts";
import { createPlaceDecoder, LONGEST_SOCKADDR, type SocketPlace } from "./socket-place.ts";

/** Of a process that has no descriptor for it, and of a socket that takes or has nothing now. */
export const EMFILE = 24;
export const ENFILE = 23;
export const EAGAIN = 11;

/** What a socket is watched for, and what came of it: epoll_ctl(2). */
export const READABLE = 0x1;
export const WRITABLE = 0x4;
/** Told whether asked for or not. */
export const BROKEN = 0x8 | 0x10;

/** Failures of accept(2) that concern one client, who has gone or whose network has: the next one may do better. */
export const PASSING_ACCEPT_ERRORS: ReadonlySet<string> = new Set([
  "ECONNABORTED",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "EINTR",
  "ENETDOWN",
  "ENETUNREACH",
  "ENONET",
  "ENOPROTOOPT",
  "EOPNOTSUPP",
  "EPERM",
  "EPROTO",
]);

/** Read at once from one socket. */
const READ_BYTES = 64 * 1024;
/** Looked at in one turn of the event loop; what is left is told in the next. */
const EVENTS_AT_ONCE = 256;
/** Read before the first of them is handed out, and handed out before their followers are called: enough for the caches, and few enough that no answer waits for long. */
const EVENTS_IN_GROUP = 32;
/** Read ahead from each of them; who has sent more is told again. */
const AHEAD_BYTES = 8 * 1024;
/** No errno, and no number of bytes. */
const NOT_READ = -0x10000;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const SOCK_NONBLOCK_CLOEXEC = 0o2004000;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const SHUT_WR = 1;
const MSG_PEEK = 0x2;
const MSG_NOSIGNAL = 0x4000;
const MSG_MORE = 0x8000;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

/** struct epoll_event in words of 32 bits: what happened, and two of our own. It is packed on x86-64 only. */
const EVENT_WORDS = process.arch === "x64" ? 3 : 4;
const FD_AT = process.arch === "x64" ? 1 : 2;
const MARK_AT = FD_AT + 1;

/** What is watched. */
export interface Polled {
  /** Bits of what it was watched for, and BROKEN. */
  onEvents(events: number): void;
  /** Whether it calls `read` for its descriptor first of all, and once, when it is told that it is READABLE and nothing else. */
  readonly readsAtOnce?: boolean;
  /** Whether plugins are called from there: what one of them keeps in an AsyncLocalStorage is for no other event, as with callbacks of Node. */
  readonly callsPlugins?: boolean;
}

/** Who wants to be called when a group of events has been handed out. */
export interface Follower {
  onHandedOut(): void;
}

export interface Poller {
  /** What `read` and `peek` have read; the next call overwrites it. */
  readonly bytes: Buffer;
  /** Counts how often all that had something to tell has been told; with many that takes several turns of the event loop. */
  readonly round: number;
  /** The first so many of `bytes`. */
  first(count: number): Buffer;
  /** Starts to listen on a bound socket. 0, or a negative errno. */
  listen(fd: number, backlog: number): number;
  /** A descriptor of the next client, or a negative errno. It does not block, and inherits TCP_NODELAY. */
  accept(fd: number): number;
  /** Who came with the last `accept`. */
  peer(): SocketPlace;
  localPlace(fd: number): SocketPlace;
  /** Who is at the other end. */
  remotePlace(fd: number): SocketPlace;
  /** Bytes read, 0 at the end, or a negative errno. */
  read(fd: number): number;
  /** The same, and the next call reads them again. */
  peek(fd: number): number;
  /** Bytes taken, or a negative errno. With `hasMore` the kernel may wait for the next call before it sends. */
  write(fd: number, bytes: Uint8Array, hasMore: boolean): number;
  /** Ends our side. */
  shutdown(fd: number): void;
  /** Closes it, and watches it no more. One that other processes have open too must be unwatched before. */
  close(fd: number): void;

  watch(fd: number, events: number, target: Polled): void;
  /** Another one is told from now on. */
  retarget(fd: number, target: Polled): void;
  /** Changes what is asked for. */
  rewatch(fd: number, events: number): void;
  unwatch(fd: number): void;
  /**
   * Has somebody called once the events in hand have been handed out; false where none are being handed out. Answers that are
   * written one behind the other cost less than each behind its request: what the kernel does for a write stays in the caches.
   */
  follow(follower: Follower): boolean;
  /** Watches nothing any more. Sockets stay open. */
  stop(): void;
}

/** Opens one, undefined where it cannot be had: it needs Linux, koffi and libuv's own functions in the main thread. */
export async function openPoller(): Promise<Poller | undefined> {
  if (process.platform !== "linux" || !isMainThread) return undefined;
  const native = await openLibc();
  if (!native) return undefined;
  try {
    return createPoller(native.koffi, native.libc);
  } catch {
    // A Node without libuv's symbols.
    return undefined;
  }
}

type Native = NonNullable<Awaited<ReturnType<typeof openLibc>>>;

function createPoller(koffi: Native["koffi"], libc: Native["libc"]): Poller {
  const epollCtl = libc.func("int epoll_ctl(int epoll, int op, int fd, void* event)");
  const epollWait = libc.func("int epoll_wait(int epoll, void* events, int count, int timeout)");
  const listen = libc.func("int listen(int fd, int backlog)");
  const accept4 = libc.func("int accept4(int fd, void* address, void* size, int flags)");
  const getsockname = libc.func("int getsockname(int fd, void* address, void* size)");
  const getpeername = libc.func("int getpeername(int fd, void* address, void* size)");
  const setsockopt = libc.func(
    "int setsockopt(int fd, int level, int name, void* value, uint32_t size)",
  );
  const fcntl = libc.func("int fcntl(int fd, int command, int argument)");
  // Lengths are far below 2^31, and an int is cheaper to convert than an ssize_t.
  const recv = libc.func("int recv(int fd, void* bytes, size_t size, int flags)");
  const send = libc.func("int send(int fd, void* bytes, size_t size, int flags)");
  const shutdown = libc.func("int shutdown(int fd, int how)");
  const close = libc.func("int close(int fd)");
  const decodePlace = createPlaceDecoder(libc);
  const epoll: number = libc.func("int epoll_create1(int flags)")(EPOLL_CLOEXEC);
  if (epoll < 0) throw new Error("Cannot make an epoll instance");

  const event = new Int32Array(EVENT_WORDS);
  const events = new Int32Array(EVENT_WORDS * EVENTS_AT_ONCE);
  const address = Buffer.alloc(LONGEST_SOCKADDR);
  const addressSize = new Uint32Array(1);
  const peerAddress = Buffer.alloc(LONGEST_SOCKADDR);
  /** By descriptor. The mark tells an event of a socket that was closed from one of its successor under the same number. */
  const targets: (Polled | undefined)[] = [];
  const marks: number[] = [];
  let lastMark = 0;
  let watched = 0;

  function control(op: number, fd: number, mask: number): number {
    event[0] = mask;
    event[FD_AT] = fd;
    event[MARK_AT] = marks[fd] ?? 0;
    return epollCtl(epoll, op, fd, event);
  }

  /** A negative errno where a call failed. */
  const outcome = (result: number): number => (result < 0 ? -koffi.errno() : result);

  let isStopped = false;
  let round = 0;
  let isRoundOver = true;
  function turn(): void {
    if (isStopped) return;
    if (isRoundOver) round += 1;
    const count: number = epollWait(epoll, events, EVENTS_AT_ONCE, 0);
    isRoundOver = count < EVENTS_AT_ONCE;
    for (let from = 0; from < count; from += EVENTS_IN_GROUP) {
      const to = Math.min(count, from + EVENTS_IN_GROUP);
      // One alone gains nothing.
      if (to - from > 1) readAhead(from, to);
      isHandingOut = true;
      handOut(from, to);
      isHandingOut = false;
      callFollowers();
    }
  }

  const scope = new AsyncResource("PORTICO_POLLER");
  function handOut(from: number, to: number): void {
    for (let index = from; index < to; index += 1) {
      const at = index * EVENT_WORDS;
      const place = index - from;
      aheadCount = ahead[place] ?? NOT_READ;
      ahead[place] = NOT_READ;
      const fd = events[at + FD_AT] ?? -1;
      if (marks[fd] !== events[at + MARK_AT]) continue;
      aheadFd = aheadCount === NOT_READ ? -1 : fd;
      aheadPlace = place;
      current = main;
      try {
        const target = targets[fd];
        const what = events[at] ?? 0;
        // It takes 100 ns, so only where it matters.
        if (target?.callsPlugins === true) scope.runInAsyncScope(() => target.onEvents(what));
        else target?.onEvents(what);
        if (aheadFd !== -1) throw new Error("What was read ahead has not been taken");
      } catch (error) {
        throwLater(error);
      }
      aheadFd = -1;
    }
    current = main;
  }

  /** What was read by place in the group, or the errno. */
  const ahead = new Int32Array(EVENTS_IN_GROUP).fill(NOT_READ);
  const main = new ReadBuffer(READ_BYTES);
  const aheadBuffers = Array.from({ length: EVENTS_IN_GROUP }, () => new ReadBuffer(AHEAD_BYTES));
  /** Where the last `read` has read to. */
  let current = main;
  /** Whose bytes are next to be taken, and where they are; -1 where none are. */
  let aheadFd = -1;
  let aheadPlace = 0;
  let aheadCount = NOT_READ;

  /** As with followers: the same call for one after the other costs less than each among others. */
  function readAhead(from: number, to: number): void {
    for (let index = from; index < to; index += 1) {
      const at = index * EVENT_WORDS;
      const fd = events[at + FD_AT] ?? -1;
      if (events[at] !== READABLE) continue;
      if (marks[fd] !== events[at + MARK_AT]) continue;
      if (targets[fd]?.readsAtOnce !== true) continue;
      const place = index - from;
      const buffer = aheadBuffers[place] ?? main;
      ahead[place] = outcome(recv(fd, buffer.whole, AHEAD_BYTES, 0));
    }
  }

  function takeAhead(): number {
    aheadFd = -1;
    current = aheadBuffers[aheadPlace] ?? main;
    return aheadCount;
  }

  let isHandingOut = false;
  const followers: (Follower | undefined)[] = [];
  let following = 0;
  function callFollowers(): void {
    const count = following;
    following = 0;
    for (let index = 0; index < count; index += 1) {
      const follower = followers[index];
      followers[index] = undefined;
      try {
        follower?.onHandedOut();
      } catch (error) {
        throwLater(error);
      }
    }
  }

  const alarm = createAlarm(koffi, libc, epoll, turn);

  function forget(fd: number): void {
    if (targets[fd] === undefined) return;
    targets[fd] = undefined;
    marks[fd] = 0;
    watched -= 1;
    if (watched === 0) alarm.unref();
  }

  return {
    get bytes() {
      return current.whole;
    },
    get round() {
      return round;
    },
    first: (count) => current.first(count),
    listen(fd, backlog) {
      // Whoever made it may not have asked for that, and one client that leaves before it is accepted must not hold us up.
      fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
      // Inherited by what is accepted. Fails on a unix socket.
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, new Int32Array([1]), 4);
      return outcome(listen(fd, backlog));
    },
    accept(fd) {
      peerAddress.writeUInt16LE(0, 0);
      addressSize[0] = LONGEST_SOCKADDR;
      return outcome(accept4(fd, peerAddress, addressSize, SOCK_NONBLOCK_CLOEXEC));
    },
    peer: () => decodePlace(peerAddress),
    localPlace(fd) {
      addressSize[0] = LONGEST_SOCKADDR;
      return getsockname(fd, address, addressSize) === 0 ? decodePlace(address) : undefined;
    },
    remotePlace(fd) {
      addressSize[0] = LONGEST_SOCKADDR;
      return getpeername(fd, address, addressSize) === 0 ? decodePlace(address) : undefined;
    },
    read(fd) {
      if (fd === aheadFd) return takeAhead();
      current = main;
      return outcome(recv(fd, main.whole, READ_BYTES, 0));
    },
    peek(fd) {
      current = main;
      return outcome(recv(fd, main.whole, READ_BYTES, MSG_PEEK));
    },
    write: (fd, from, hasMore) =>
      outcome(send(fd, from, from.length, hasMore ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL)),
    shutdown: (fd) => void shutdown(fd, SHUT_WR),
    close(fd) {
      // The kernel takes it off the epoll instance with the last descriptor of all processes.
      forget(fd);
      close(fd);
    },
    watch(fd, mask, target) {
      if (watched === 0) alarm.ref();
      watched += 1;
      lastMark = (lastMark + 1) | 0 || 1;
      marks[fd] = lastMark;
      targets[fd] = target;
      control(EPOLL_CTL_ADD, fd, mask);
    },
    retarget(fd, target) {
      if (targets[fd] !== undefined) targets[fd] = target;
    },
    follow(follower) {
      if (!isHandingOut) return false;
      followers[following] = follower;
      following += 1;
      return true;
    },
    rewatch: (fd, mask) => void control(EPOLL_CTL_MOD, fd, mask),
    unwatch(fd) {
      if (targets[fd] === undefined) return;
      control(EPOLL_CTL_DEL, fd, 0);
      forget(fd);
    },
    stop() {
      if (isStopped) return;
      isStopped = true;
      alarm.stop();
      close(epoll);
    },
  };
}

/** The mistake of one must not cost others the bytes and answers that wait for them here. */
function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
