// Short ways to make a family.

import type { Family, Sample } from "./exposition.ts";

type Unit = Family["unit"];

/** A number that only grows, or one for each set of labels. */
export function counter(
  name: string,
  help: string,
  value: number | readonly Sample[],
  unit?: Unit,
): Family {
  return metric("counter", name, help, value, unit);
}

/** How something stands. */
export function gauge(
  name: string,
  help: string,
  value: number | readonly Sample[],
  unit?: Unit,
): Family {
  return metric("gauge", name, help, value, unit);
}

function metric(
  type: "counter" | "gauge",
  name: string,
  help: string,
  value: number | readonly Sample[],
  unit: Unit,
): Family {
  const samples = typeof value === "number" ? [{ value }] : value;
  return { type, name: `portico_${name}`, help, samples, ...(unit && { unit }) };
}
