// Numbers as people read them. The page is in English, so its numbers are too; every result keeps a steady width.

/** What stands where a number is not known. */
export const UNKNOWN = "–";

const wholeFormat = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compactFormat = new Intl.NumberFormat("en", {
  notation: "compact",
  maximumSignificantDigits: 3,
});
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** 1234567 as "1,234,567". */
export function whole(value: number | null | undefined): string {
  return value === null || value === undefined ? UNKNOWN : wholeFormat.format(value);
}

/** A rate: "0", "<0.1", "0.4", "12", "1,234". */
export function rate(value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (value > 0 && value < 0.05) return "<0.1";
  return value > 0 && value < 9.95 ? value.toFixed(1) : whole(value);
}

/** For axes: "0.5", "250", "1.5K", "20M". */
export function compact(value: number): string {
  return compactFormat.format(value);
}

/** Binary units, three digits: "512 B", "1.50 KiB", "12.3 MiB". */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  let step = 0;
  let scaled = value;
  // 999.5 would be rounded to four digits.
  while (scaled >= 999.5 && step < BYTE_UNITS.length - 1) {
    scaled /= 1024;
    step += 1;
  }
  return `${step === 0 ? whole(scaled) : threeDigits(scaled)} ${BYTE_UNITS[step]}`;
}

/** For axes, where the values are powers of two: "512 B", "4 KiB", "1 MiB". */
export function roundBytes(value: number): string {
  const step =
    value < 1024 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), BYTE_UNITS.length - 1);
  return `${value / 1024 ** step} ${BYTE_UNITS[step]}`;
}

/** bytes() per second. */
export function byteRate(value: number | null | undefined): string {
  return value === null || value === undefined ? UNKNOWN : `${bytes(value)}/s`;
}

/** Microseconds: "85 µs", "1.25 ms", "12.5 ms", "1.50 s". */
export function micros(value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (value < 999.5) return `${value.toFixed(0)} µs`;
  return value < 999_500 ? `${threeDigits(value / 1000)} ms` : `${threeDigits(value / 1e6)} s`;
}

/** For axes, where the values are powers of ten: "100 µs", "1 ms", "10 s". */
export function roundMicros(value: number): string {
  if (value < 1000) return `${value} µs`;
  return value < 1e6 ? `${value / 1000} ms` : `${value / 1e6} s`;
}

/** A share of 100: "0 %", "0.4 %", "12 %". */
export function percent(value: number | null | undefined): string {
  return value === null || value === undefined ? UNKNOWN : `${rate(value)} %`;
}

/** Milliseconds: "0 ms", "2.4 ms", "130 ms". */
export function millis(value: number): string {
  return `${rate(value)} ms`;
}

/** The two largest units of a time: "3d 4h", "5m 12s", "1m". */
export function duration(secs: number): string {
  const parts = [
    [Math.floor(secs / 86_400), "d"],
    [Math.floor(secs / 3600) % 24, "h"],
    [Math.floor(secs / 60) % 60, "m"],
    [Math.floor(secs) % 60, "s"],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first === -1) return "0s";
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(" ");
}

/** Time of day on the visitor's clock: "13:45:02". */
export function clockTime(secs: number): string {
  return new Date(secs * 1000).toLocaleTimeString("en-GB");
}

/** The same to the minute. */
export function clockMinute(secs: number): string {
  return clockTime(secs).slice(0, 5);
}

/** Day on the visitor's clock: "2026-11-22". */
export function isoDay(ms: number): string {
  return new Date(ms).toLocaleDateString("sv-SE");
}

/** Day and time on the visitor's clock: "2026-11-22 13:45:02". */
export function dateTime(ms: number): string {
  return `${isoDay(ms)} ${clockTime(ms / 1000)}`;
}

function threeDigits(value: number): string {
  if (value < 9.995) return value.toFixed(2);
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}
