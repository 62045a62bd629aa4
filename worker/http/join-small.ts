// Small buffers are copied together, because a call for each of them costs more.

/** So many bytes become one. */
const JOINED_BYTES = 64 * 1024;

/** Fewer buffers with the same bytes: runs of small ones as one. */
export function joinSmall(buffers: readonly Buffer[]): readonly Buffer[] {
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
