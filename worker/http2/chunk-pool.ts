// Buffers that the connections of a worker take turns with. A small one does for answers of a few kilobytes, and for a client that does
// not take them; a piece of a large body, in its frames, needs a large one, because what leaves in one write must be one buffer:
// of several, TLS makes a new one first.

const SMALL_BYTES = 32 * 1024;
const LARGE_BYTES = 128 * 1024 + 1024;
/** That wait to be used again. */
const MAX_SPARE_SMALL = 64;
const MAX_SPARE_LARGE = 16;

export type ChunkPool = {
  /** One for `bytes`, if there are so large ones. */
  take(bytes: number): Buffer;
  give(chunk: Buffer): void;
};

export function createChunkPool(): ChunkPool {
  const small: Buffer[] = [];
  const large: Buffer[] = [];
  return {
    take: (bytes) =>
      bytes > SMALL_BYTES
        ? (large.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES))
        : (small.pop() ?? Buffer.allocUnsafeSlow(SMALL_BYTES)),
    give(chunk) {
      if (chunk.length === SMALL_BYTES) {
        if (small.length < MAX_SPARE_SMALL) small.push(chunk);
      } else if (large.length < MAX_SPARE_LARGE) large.push(chunk);
    },
  };
}
