// Accepting connections as bare descriptors: no stream, no buffer, nothing that could read. poll(2) waits in a thread, so that
// whoever has no room for more can let clients wait in the kernel's queue; a server of Node's accepts all that come.

import { closeSync, readSync, writeSync } from "node:fs";
import { endianness } from "node:os";
import { getSystemErrorName } from "node:util";
import { openLibc } from "./native.mjs";

/** Values of Linux. */
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const POLLIN = 1;
/** struct pollfd: descriptor, wanted, happened. */
const POLLFD_BYTES = 8;
/** Sockets looked at before more room is needed. */
const LEAST_SETS = 64;
/** The thread comes back as often even if nothing happens: a process that exits waits for it. */
const WAIT_MS = 1_000;

export type Acceptance = {
  /** listen(2), also once more. The name of the error, undefined when it listens. */
  listen(fd: number, backlog: number): string | undefined;
  /** accept(2) without waiting: a descriptor, or the name of the error. */
  accept(fd: number): number | string;
  /** Waits for clients, but not for ever; those sockets where there may be one. Not to be called while it waits. */
  wait(fds: readonly number[]): Promise<number[]>;
  /** Ends the wait. */
  wake(): void;
  /** Not to be called while it waits. */
  close(): void;
};

/** What accepts; undefined where the platform cannot, or no descriptor is left. */
export async function openAcceptance(): Promise<Acceptance | undefined> {
  if (process.platform !== "linux" || endianness() !== "LE") return undefined;
  const native = await openLibc();
  if (!native) return undefined;
  const { koffi, libc } = native;
  const listen = libc.func("int listen(int fd, int backlog)");
  const accept4 = libc.func("int accept4(int fd, void* address, void* size, int flags)");
  const poll = libc.func("int poll(void* fds, ulong count, int timeout)");
  const eventFd: number = libc.func("int eventfd(uint count, int flags)")(
    0,
    EFD_CLOEXEC | EFD_NONBLOCK,
  );
  if (eventFd < 0) return undefined;
  const errorName = (): string => getSystemErrorName(-koffi.errno());
  const signal = new BigUint64Array(1);
  let sets = makeSets(koffi, LEAST_SETS);

  return {
    listen: (fd, backlog) => (listen(fd, backlog) === 0 ? undefined : errorName()),
    accept(fd) {
      const accepted: number = accept4(fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
      return accepted < 0 ? errorName() : accepted;
    },
    wait(fds) {
      const all = [eventFd, ...fds];
      if (all.length > sets.capacity) sets = makeSets(koffi, 2 * all.length);
      const { memory, block } = sets;
      for (const [index, fd] of all.entries()) {
        block.writeInt32LE(fd, index * POLLFD_BYTES);
        // What is wanted; what has happened is zeroed with it.
        block.writeInt32LE(POLLIN, index * POLLFD_BYTES + 4);
      }
      const { promise, resolve, reject } = Promise.withResolvers<number[]>();
      poll.async(memory, all.length, WAIT_MS, (fault: Error | null, count: number) => {
        const happened = (index: number): boolean =>
          count > 0 && block.readInt16LE(index * POLLFD_BYTES + 6) !== 0;
        const ready = fds.filter((_, index) => happened(index + 1));
        if (happened(0)) readSync(eventFd, signal);
        if (fault) reject(fault);
        else resolve(ready);
      });
      return promise;
    },
    wake() {
      signal[0] = 1n;
      writeSync(eventFd, signal);
    },
    close: () => closeSync(eventFd),
  };
}

type Koffi = NonNullable<Awaited<ReturnType<typeof openLibc>>>["koffi"];

/** Room for what poll(2) looks at. Of koffi's memory, because a thread does. */
function makeSets(koffi: Koffi, capacity: number) {
  const memory = koffi.alloc("uint8_t", capacity * POLLFD_BYTES);
  const view = koffi.view(memory, capacity * POLLFD_BYTES) as ArrayBuffer;
  return { memory, block: Buffer.from(view), capacity };
}
