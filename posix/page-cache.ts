// Files that are in the page cache: read without a wait for a thread, or sent to a socket without a copy through this process
// (sendfile(2)). Both work in the thread that calls them, so the page cache is asked first: a disk must never hold up the event loop.

import { openLibc } from "./native.mjs";

const RWF_NOWAIT = 8;
const EAGAIN = 11;
/** sendfile(2) on a file or file system that has no such thing. */
const UNSUPPORTED: ReadonlySet<number> = new Set([22, 38, 95]);

/** So far apart the page cache is asked: what Linux reads ahead by default, so one page stands for its neighbours. */
const PROBE_BYTES = 128 * 1024;

/**
 * full: the socket takes nothing now; one that is broken neither, and tells whoever writes to it next. cold: the next bytes are
 * not in the page cache, or not there at all. unsupported: not with this file.
 */
export type SendFileStop = "full" | "cold" | "unsupported";

export type PageCache = {
  /** Whether the byte at `at` is there, which stands for those behind it as far as Linux reads ahead. */
  holds(file: number, at: number): boolean;
  /** Sends up to `length` bytes of `file`, from `at` on, to a socket that does not block. Returns how many the kernel took, or why none. */
  send(socket: number, file: number, at: number, length: number): number | SendFileStop;
};

/** Opens it; undefined where it cannot be had. */
export async function openPageCache(): Promise<PageCache | undefined> {
  // Elsewhere sendfile has other arguments.
  if (process.platform !== "linux") return undefined;
  const native = await openLibc();
  if (!native) return undefined;
  const { koffi, libc } = native;
  try {
    const sendfile = libc.func("int64_t sendfile(int out, int in, void* offset, size_t count)");
    const preadv2 = libc.func(
      "int64_t preadv2(int fd, void* iov, int count, int64_t offset, int flags)",
    );
    const offset = new BigInt64Array(1);
    // Of koffi's memory: that of a buffer may move or go while its address is kept.
    const byte = koffi.alloc("uint8_t", 1);
    /** struct iovec */
    const target = BigUint64Array.of(BigInt(koffi.address(byte)), 1n);

    const readNow = (file: number, at: number): number =>
      Number(preadv2(file, target, 1, at, RWF_NOWAIT));

    /** How many bytes are in the page cache from `at` on, as far as looking at some of them tells. */
    const cachedBytes = (file: number, at: number, length: number): number | SendFileStop => {
      for (let probed = 0; probed < length; probed += PROBE_BYTES) {
        const read = readNow(file, at + probed);
        if (read === 1) continue;
        if (probed > 0) return probed;
        return read === 0 || koffi.errno() === EAGAIN ? "cold" : "unsupported";
      }
      return length;
    };

    return {
      holds: (file, at) => readNow(file, at) === 1,
      send(socket, file, at, length) {
        const cached = cachedBytes(file, at, length);
        if (typeof cached !== "number") return cached;
        offset[0] = BigInt(at);
        const sent = Number(sendfile(socket, file, offset, cached));
        if (sent > 0) return sent;
        if (sent === 0) return "cold";
        return UNSUPPORTED.has(koffi.errno()) ? "unsupported" : "full";
      },
    };
  } catch {
    // A libc without preadv2.
    return undefined;
  }
}
