import assert from "node:assert/strict";
import test from "node:test";
import {
  writeOpenMetrics,
  writePrometheusText,
  type Family,
} from "../../../../worker/mounts/metrics/exposition.ts";

const ODD = 'a"b\\c\nd}{,=\ud800';
const families: readonly Family[] = [
  {
    type: "counter",
    name: "portico_sent_bytes",
    unit: "bytes",
    help: 'Says "so"\nand \\ so',
    samples: [{ labels: { vhost: ODD }, value: 3 }],
  },
  {
    type: "histogram",
    name: "portico_time_seconds",
    unit: "seconds",
    help: "Time",
    buckets: { upTo: [[0.1, 2]], count: 5, sum: 7.5 },
  },
];

test("writeOpenMetrics names families without _total, escapes, and ends with EOF", () => {
  assert.equal(
    writeOpenMetrics(families),
    [
      "# TYPE portico_sent_bytes counter",
      "# UNIT portico_sent_bytes bytes",
      '# HELP portico_sent_bytes Says \\"so\\"\\nand \\\\ so',
      'portico_sent_bytes_total{vhost="a\\"b\\\\c\\nd}{,=\ufffd"} 3',
      "# TYPE portico_time_seconds histogram",
      "# UNIT portico_time_seconds seconds",
      "# HELP portico_time_seconds Time",
      'portico_time_seconds_bucket{le="0.1"} 2',
      'portico_time_seconds_bucket{le="+Inf"} 5',
      "portico_time_seconds_sum 7.5",
      "portico_time_seconds_count 5",
      "# EOF",
      "",
    ].join("\n"),
  );
});

test("writePrometheusText names counters by their samples, and has neither units nor EOF", () => {
  const text = writePrometheusText(families);
  assert.match(text, /^# HELP portico_sent_bytes_total Says "so"\\nand \\\\ so\n/);
  assert.match(text, /^# TYPE portico_sent_bytes_total counter$/m);
  assert.doesNotMatch(text, /UNIT|EOF/);
});
