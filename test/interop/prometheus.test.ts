// The readers of others accept what metrics:// says: promtool the older text, Prometheus' own Python client OpenMetrics.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { needs } from "../helpers/programs.ts";
import { startPortico, type Portico } from "../helpers/server.ts";

const PARSE = `
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        print(sample.name, sorted(sample.labels.items()), sample.value)
`;

async function start(t: Parameters<typeof startPortico>[0]): Promise<Portico> {
  return startPortico(t, {
    conf: {
      vhosts: [
        {
          name: "a.test",
          port: 0,
          interface: "127.0.0.1",
          mounts: [
            { mountpoint: "/metrics", origin: "metrics://" },
            { mountpoint: '/odd"\\{', origin: "cgi://x.cgi" },
          ],
        },
      ],
    },
    files: { "x.cgi": "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nx'\n" },
    workers: 2,
  });
}

async function scrape(portico: Portico, accept: string): Promise<string> {
  assert.equal((await fetch(`${portico.url()}/odd%22%5C%7B`)).status, 200);
  return (await fetch(`${portico.url()}/metrics`, { headers: { accept } })).text();
}

test("promtool check metrics finds nothing to say", async (t) => {
  const promtool = needs(t, "prometheus", ["promtool"]);
  if (promtool === undefined) return;
  const text = await scrape(await start(t), "text/plain");
  const { status, stdout, stderr } = spawnSync(promtool, ["check", "metrics"], {
    input: text,
    encoding: "utf8",
  });
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "", stderr: "" });
});

test("the OpenMetrics parser of prometheus_client reads every sample", async (t) => {
  const python = needs(t, "python3", ["/usr/bin/python3", "python3"]);
  if (python === undefined) return;
  if (spawnSync(python, ["-c", "import prometheus_client"]).status !== 0) {
    assert.notEqual(process.env["CI"], "true", "python3-prometheus-client is not installed");
    return t.skip("python3-prometheus-client is not installed");
  }
  const portico = await start(t);
  const text = await scrape(portico, "application/openmetrics-text");
  const { stdout, stderr } = spawnSync(python, ["-c", PARSE], { input: text, encoding: "utf8" });
  assert.equal(stderr, "");
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assert.equal(stdout.trimEnd().split("\n").length, samples.length);
  assert.match(stdout, /portico_http_requests_total \[\('vhost', 'a\.test:0'\)\]/);
});
