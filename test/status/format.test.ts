import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  byteRate,
  bytes,
  clockMinute,
  clockTime,
  compact,
  dateTime,
  duration,
  micros,
  millis,
  percent,
  rate,
  roundBytes,
  roundMicros,
  whole,
} from "../../status/source/format.ts";

/** Function, value, text. */
const cases: readonly [format: (value: number) => string, value: number, text: string][] = [
  [whole, 0, "0"],
  [whole, 1_234_567, "1,234,567"],
  [rate, 0, "0"],
  [rate, 0.04, "<0.1"],
  [rate, 9.94, "9.9"],
  [rate, 9.96, "10"],
  [rate, 12_345.6, "12,346"],
  [compact, 0, "0"],
  [compact, 1_500, "1.5K"],
  [compact, 20_000_000, "20M"],
  [bytes, 0, "0 B"],
  [bytes, 999, "999 B"],
  [bytes, 1_000, "0.98 KiB"],
  [bytes, 1_536, "1.50 KiB"],
  [bytes, 12.34 * 1024 ** 2, "12.3 MiB"],
  [bytes, 999.6 * 1024 ** 2, "0.98 GiB"],
  [bytes, 5 * 1024 ** 6, "5120 PiB"],
  [byteRate, 2_048, "2.00 KiB/s"],
  [roundBytes, 0, "0 B"],
  [roundBytes, 512, "512 B"],
  [roundBytes, 1.5 * 1024 ** 2, "1.5 MiB"],
  [micros, 85.4, "85 µs"],
  [micros, 999.7, "1.00 ms"],
  [micros, 1_250, "1.25 ms"],
  [micros, 999_600, "1.00 s"],
  [micros, 5_000_000, "5.00 s"],
  [percent, 0.04, "<0.1 %"],
  [percent, 12.4, "12 %"],
  [millis, 2.44, "2.4 ms"],
  [roundMicros, 100, "100 µs"],
  [roundMicros, 10_000, "10 ms"],
  [roundMicros, 10_000_000, "10 s"],
  [duration, 0, "0s"],
  [duration, 59.9, "59s"],
  [duration, 60, "1m"],
  [duration, 3_725, "1h 2m"],
  [duration, 86_400 + 5, "1d"],
  [duration, 3 * 86_400 + 4 * 3_600, "3d 4h"],
];

suite("Numbers of the status page", () => {
  for (const [format, value, text] of cases)
    test(`${format.name}(${value}) is "${text}"`, () => assert.equal(format(value), text));

  test("what is not known is a dash", () => {
    for (const format of [whole, rate, bytes, byteRate, micros])
      assert.deepEqual([format(null), format(undefined)], ["–", "–"]);
  });

  test("times have 24 hours, days are ISO", () => {
    const noon = new Date(2026, 10, 22, 13, 5, 9).getTime();
    assert.equal(clockTime(noon / 1000), "13:05:09");
    assert.equal(clockMinute(noon / 1000), "13:05");
    assert.equal(dateTime(noon), "2026-11-22 13:05:09");
  });
});
