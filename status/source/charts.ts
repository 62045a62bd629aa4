// The charts of the page: which series each shows, and how its numbers are written.

import type { ChartSpec } from "./chart.ts";
import {
  byteRate,
  bytes,
  compact,
  micros,
  percent,
  rate,
  roundBytes,
  roundMicros,
  whole,
} from "./format.ts";

/** 1, 2, 5, 10, 20, 50 … up to ten million. */
const DECIMAL_STEPS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7].flatMap((power) => [
  power,
  2 * power,
  5 * power,
]);
/** 16 B to 256 TiB. */
const BINARY_STEPS = Array.from({ length: 45 }, (_, power) => 2 ** (power + 4));

/** From left to right, from top to bottom. */
export const chartSpecs: readonly ChartSpec[] = [
  {
    id: "chart-requests",
    title: "Requests per second",
    kind: "stack",
    series: [
      { name: "status2xx", label: "2xx" },
      { name: "status3xx", label: "3xx" },
      { name: "status1xx", label: "1xx" },
      { name: "status4xx", label: "4xx" },
      { name: "status5xx", label: "5xx" },
    ],
    format: rate,
    axis: { scale: "linear", format: compact, steps: DECIMAL_STEPS, least: 5 },
  },
  {
    id: "chart-latency",
    title: "Time to answer",
    kind: "lines",
    series: [
      { name: "p50", label: "p50" },
      { name: "p90", label: "p90" },
      { name: "p99", label: "p99" },
      { name: "lag", label: "loop lag" },
    ],
    format: micros,
    axis: { scale: "logarithmic", format: roundMicros, from: 100, to: 10_000 },
  },
  {
    id: "chart-bytes",
    title: "Bytes per second",
    kind: "lines",
    series: [
      { name: "tx", label: "sent" },
      { name: "rx", label: "received" },
    ],
    format: byteRate,
    axis: { scale: "linear", format: roundBytes, steps: BINARY_STEPS, least: 4_096 },
  },
  {
    id: "chart-connections",
    title: "Connections",
    kind: "lines",
    series: [
      { name: "http", label: "HTTP" },
      { name: "webSockets", label: "WebSocket" },
    ],
    format: whole,
    axis: { scale: "linear", format: compact, steps: DECIMAL_STEPS, least: 5 },
  },
  {
    id: "chart-cpu",
    title: "CPU",
    kind: "lines",
    series: [{ name: "cpu", label: "all workers" }],
    format: percent,
    axis: {
      scale: "linear",
      format: (value) => `${compact(value)} %`,
      steps: DECIMAL_STEPS,
      least: 10,
    },
  },
  {
    id: "chart-memory",
    title: "Memory",
    kind: "lines",
    series: [{ name: "memory", label: "all workers" }],
    format: bytes,
    axis: { scale: "linear", format: roundBytes, steps: BINARY_STEPS, least: 128 * 1024 ** 2 },
  },
];
