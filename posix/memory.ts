// Memory that a start leaves behind: V8 keeps what it took from the system while a large configuration was read, although
// it is garbage by then, and an idle process gives it back late or never.

const MB = 1024 * 1024;
/** Below this the collection is not worth its 50 ms. */
const RELEASE_ABOVE_BYTES = 48 * MB;

/** Collects garbage and gives its memory back to the system, if there may be much of it. */
export async function releaseMemory(): Promise<void> {
  if (process.memoryUsage().heapTotal < RELEASE_ABOVE_BYTES) return;
  // The one public way to ask for it; global.gc would need a flag that is there from the start.
  const inspector = await import("node:inspector/promises").catch(() => undefined);
  if (!inspector) return;
  const session = new inspector.Session();
  try {
    session.connect();
    await session.post("HeapProfiler.collectGarbage");
    session.disconnect();
  } catch {
    // Nothing but memory is lost.
  }
}
