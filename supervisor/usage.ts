// CPU and memory of the workers as the operating system sees them, read once per interval. The only importer of pidusage.

import pidusage from "pidusage";

export type ProcessUsage = { readonly cpuPercent: number; readonly memoryBytes: number };

const UNKNOWN: ProcessUsage = { cpuPercent: 0, memoryBytes: 0 };

export type UsageMeter = {
  /** Reads all pids anew; a pid that just died is skipped. */
  refresh(pids: readonly number[]): Promise<void>;
  /** Last known usage of a pid. */
  of(pid: number): ProcessUsage;
  stop(): void;
};

/** Meters processes by pid. */
export function createUsageMeter(): UsageMeter {
  let known = new Map<number, ProcessUsage>();
  return {
    async refresh(pids) {
      const readings = await Promise.all(pids.map((pid) => pidusage(pid).catch(() => undefined)));
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
    stop: () => pidusage.clear(),
  };
}
