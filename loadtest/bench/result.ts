// What compare.ts writes to loadtest/results/compare.json, and report.ts reads.

import type { Machine } from "./machine.ts";

export type Summary = {
  readonly contender: string;
  readonly perSec: number;
  readonly cpuUsPerRequest: number;
  readonly p99Ms: number;
  readonly loadPercent: number;
};

/** Ours to each other contender's. */
type Ratios = Readonly<Record<string, number>>;

export type RowResult = {
  readonly key: string;
  readonly name: string;
  readonly command: string;
  readonly tls?: string;
  readonly bar?: number;
  readonly goal?: number;
  readonly p99Bar?: number;
  readonly p99Goal?: number;
  readonly contenders: readonly Summary[];
  readonly perCpuSecond: Ratios;
  readonly perSecond: Ratios;
  readonly p99: Ratios;
};

export type IdleResult = {
  readonly connections: number;
  readonly bar: number;
  readonly goal: number;
  readonly bytesEach: Readonly<Record<string, number>>;
};

export type Comparison = {
  readonly command: string;
  readonly machine: Machine;
  readonly rounds: number;
  readonly secs: number;
  readonly rows: readonly RowResult[];
  readonly idle?: IdleResult;
};

/** What http2.ts writes to loadtest/results/http2.json. */
export type Http2RowResult = {
  readonly key: string;
  readonly name: string;
  readonly command: string;
  readonly bars: Ratios;
  readonly contenders: readonly {
    readonly contender: string;
    readonly perSec: number;
    readonly megabytesPerSec: number;
    readonly cpuUsPerRequest: number;
    readonly meanMs: number;
    /** After each round. */
    readonly memoryMb: readonly number[];
  }[];
  readonly perCpuSecond: Ratios;
  readonly perSecond: Ratios;
};

export type Http2IdleResult = {
  readonly connections: number;
  /** As a part of what node:http2 takes. */
  readonly bar: number;
  readonly bytesEach: Readonly<Record<string, number>>;
};

export type Http2Comparison = {
  readonly command: string;
  readonly machine: Machine & { readonly h2load: string };
  readonly rounds: number;
  readonly rows: readonly Http2RowResult[];
  readonly idle?: Http2IdleResult;
};
