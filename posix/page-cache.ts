// Files that are in the page cache: read without a wait for a thread, or sent to a socket without a copy through this process
// (sendfile(2)). Both work in the thread that calls them, so the page cache is asked first: a disk must never hold up the event loop.

import { openLibc } from "./native.mjs";

const RWF_NOWAIT = 8;
const EAGAIN = 11;
/** sendfile(2) on a file or file system that has no such thing. */
const UNSUPPORTED: ReadonlySet<number> = new Set([22, 38, 95]);

/** So far apart the page cache is asked: what Linux reads ahead by default, so one page stands for its neighbours. */
const PROBE_BYTES = 128 * 1024;
/** What was there is there for so long, ms: it has just been sent, so much else has to be read before it goes. To ask costs a third of what sending does. */
const SIGHTING_MS = 1_000;
/** Files of which that is remembered; with one more, all are forgotten. */
const MAX_SIGHTED = 64;
/** Larger files are not remembered: 256 KB for each. */
const MAX_SIGHTED_BYTES = 4 * 2 ** 30;

/**
 * full: the socket takes nothing now; one that is broken neither, and tells whoever writes to it next. cold: the next bytes are
 * not in the page cache, or not there at all. unsupported: not with this file.
 */
export type SendFileStop = "full" | "cold" | "unsupported";

/** When each part of a file was last seen in the page cache, by PROBE_BYTES; performance.now(). */
export type Sightings = Float64Array;

export type PageCache = {
  /** Whether the byte at `at` is there, which stands for those behind it as far as Linux reads ahead. */
  holds(file: number, at: number): boolean;
  /** What is remembered of a file. */
  sightings(file: {
    readonly dev: bigint;
    readonly ino: bigint;
    readonly size: bigint;
  }): Sightings | undefined;
  /** Sends up to `length` bytes of `file`, from `at` on, to a socket that does not block. Returns how many the kernel took, or why none. */
  send(
    socket: number,
    file: number,
    at: number,
    length: number,
    sightings?: Sightings,
  ): number | SendFileStop;
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
    const cachedBytes = (
      file: number,
      at: number,
      length: number,
      sightings: Sightings | undefined,
    ): number | SendFileStop => {
      const now = performance.now();
      for (let probed = 0; probed < length; probed += PROBE_BYTES) {
        const part = Math.floor((at + probed) / PROBE_BYTES);
        if (sightings && now - (sightings[part] ?? -Infinity) < SIGHTING_MS) continue;
        const read = readNow(file, at + probed);
        if (read === 1) {
          if (sightings) sightings[part] = now;
          continue;
        }
        if (probed > 0) return probed;
        return read === 0 || koffi.errno() === EAGAIN ? "cold" : "unsupported";
      }
      return length;
    };

    const remembered = new Map<string, Sightings>();

    return {
      holds: (file, at) => readNow(file, at) === 1,
      sightings({ dev, ino, size }) {
        if (size > MAX_SIGHTED_BYTES) return undefined;
        const parts = Math.ceil(Number(size) / PROBE_BYTES);
        const key = `${dev} ${ino}`;
        const known = remembered.get(key);
        if (known?.length === parts) return known;
        if (remembered.size >= MAX_SIGHTED) remembered.clear();
        const made = new Float64Array(parts).fill(-Infinity);
        remembered.set(key, made);
        return made;
      },
      send(socket, file, at, length, sightings) {
        const cached = cachedBytes(file, at, length, sightings);
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
