// CPU and memory of the workers as the operating system sees them, read once per interval. The only importer of pidusage.

import pidusage from "pidusage";

export type ProcessUsage = { readonly cpuPercent: number; readonly memoryBytes: number };

/** pidusage keeps a file open for each process that it was asked about so recently, be it alive or not. */
const KEEP_MS = 3_000;

const UNKNOWN: ProcessUsage = { cpuPercent: 0, memoryBytes: 0 };

export type UsageMeter = {
  /** Reads all pids anew, unless it is at that still; a pid that just died is skipped. */
  refresh(pids: readonly number[]): Promise<void>;
  /** Last known usage of a pid. */
  of(pid: number): ProcessUsage;
};

/** Meters processes by pid. */
export function createUsageMeter(): UsageMeter {
  let known = new Map<number, ProcessUsage>();
  let isReading = false;
  return {
    async refresh(pids) {
      // Of two first looks at one process pidusage would forget to close a file.
      if (isReading) return;
      isReading = true;
      const readings = await Promise.all(
        pids.map((pid) => pidusage(pid, { maxage: KEEP_MS }).catch(() => undefined)),
      );
      isReading = false;
      known = new Map(
        readings.flatMap((reading): [number, ProcessUsage][] =>
          reading
            ? [
                [
                  reading.pid,
                  { cpuPercent: Math.round(reading.cpu * 10) / 10, memoryBytes: reading.memory },
                ],
              ]
            : [],
        ),
      );
    },
    of: (pid) => known.get(pid) ?? UNKNOWN,
  };
}
