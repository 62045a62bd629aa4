// testssl.sh against a vhost with default settings: everything that costs a grade of SSL Labs' rating, and HSTS.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { certificateMaker } from "../helpers/certificates.ts";
import { tlsSite } from "../e2e/tls-site.ts";
import { needs } from "../helpers/programs.ts";
import { startPortico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const LIMIT_MS = 240_000;
const HOST = "localhost";

type Finding = { readonly id: string; readonly severity: string; readonly finding: string };

/**
 * Protocols, categories of ciphers, forward secrecy, what the server prefers, and headers. The checks for single
 * vulnerabilities take minutes and concern versions and ciphers that these show to be absent.
 */
const CHECKS = ["-p", "-s", "-f", "-P", "-h"];
/**
 * `cipher_order`: clients choose among good ciphers, as Mozilla recommends: they know whether they have AES in hardware.
 * `engine_problem`: about the openssl of the machine that asks.
 */
const NO_PROBLEM = new Set(["cipher_order", "engine_problem"]);

function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve) => {
    const options = { cwd, timeout: LIMIT_MS, maxBuffer: 16 * 1024 * 1024 };
    execFile(program, args, options, (_error, stdout, stderr) => resolve(stdout + stderr));
  });
}

test("testssl.sh finds nothing to hold against the defaults", { timeout: LIMIT_MS }, async (t) => {
  const program = needs(t, "testssl.sh", ["testssl", "testssl.sh"]);
  const make = program === undefined ? undefined : certificateMaker(t);
  if (program === undefined || !make) return;
  const authority = make({ names: ["authority"], isAuthority: true });
  const pair = make({ names: [HOST], by: authority });
  const site = tlsSite([{ name: HOST, pair, keys: { sts: "1" } }]);
  const portico = await startPortico(t, { conf: site.conf, files: site.files, workers: 1 });
  const directory = temporaryDirectory(t);
  const report = join(directory, "report.json");
  const output = await run(
    program,
    [...CHECKS, "--quiet", "--warnings", "off", "--color", "0", "--ip", "127.0.0.1"].concat([
      "--nodns",
      "none",
      "--jsonfile",
      report,
      `https://${HOST}:${portico.port()}/`,
    ]),
    directory,
  );
  const findings = JSON.parse(readFileSync(report, "utf8")) as Finding[];
  const found = (id: string) => findings.find((finding) => finding.id === id);
  const problems = findings.filter(
    ({ id, severity }) =>
      ["LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN", "FATAL"].includes(severity) &&
      !NO_PROBLEM.has(id),
  );
  assert.deepEqual(problems, [], output);
  for (const version of ["SSLv2", "SSLv3", "TLS1", "TLS1_1"])
    assert.match(found(version)?.finding ?? "", /^not offered/, version);
  for (const version of ["TLS1_2", "TLS1_3"])
    assert.match(found(version)?.finding ?? "", /^offered/, version);
  assert.match(found("HSTS")?.finding ?? found("HSTS_time")?.finding ?? "", /\d/);
});
