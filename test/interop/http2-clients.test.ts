// Clients of HTTP/2 that are not ours: curl, nghttp and h2load, each of which has its own idea of windows, priorities and fields.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { promisify } from "node:util";
import { certificateMaker } from "../helpers/certificates.ts";
import { needs } from "../helpers/programs.ts";
import { startPortico, type Portico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const LARGE = Buffer.alloc(5_000_000, "0123456789abcdefghijklmnopqrstuvw");
const COUNT = `#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
printf '%s %s ' "$SERVER_PROTOCOL" "$REQUEST_METHOD"
wc -c
`;

async function start(t: TestContext): Promise<Portico | undefined> {
  const make = certificateMaker(t);
  if (!make) return undefined;
  const { cert, key } = make({ names: ["localhost"] });
  return startPortico(t, {
    conf: {
      global: { "init-ssl": "1" },
      vhosts: [
        {
          name: "localhost",
          port: 0,
          interface: "127.0.0.1",
          "host-ssl-cert": "tls.crt",
          "host-ssl-key": "tls.key",
          mounts: [
            { mountpoint: "/", origin: "file://./site" },
            { mountpoint: "/count", origin: "cgi://./count.cgi" },
          ],
        },
      ],
    },
    files: {
      "tls.crt": cert,
      "tls.key": key,
      "site/index.html": "index",
      "site/large.bin": LARGE,
      "count.cgi": COUNT,
    },
    workers: 1,
  });
}

async function run(program: string, args: readonly string[], input = ""): Promise<string> {
  const running = promisify(execFile)(program, args, { maxBuffer: 2 * LARGE.length });
  running.child.stdin?.end(input);
  return (await running).stdout;
}

test("curl gets, sends and waits for 100 over HTTP/2", async (t) => {
  const curl = needs(t, "curl", ["curl"]);
  const portico = curl === undefined ? undefined : await start(t);
  if (curl === undefined || !portico) return;
  const directory = temporaryDirectory(t);
  const url = `https://127.0.0.1:${portico.port()}`;
  const [sent, received] = [join(directory, "sent"), join(directory, "received")];
  writeFileSync(sent, LARGE);
  const format = "\n%{http_version} %{http_code}";
  const ask = (...args: string[]): Promise<string> =>
    run(curl, ["-sk", "--http2", "-w", format, ...args], "from a pipe");

  assert.equal(await ask(`${url}/`), "index\n2 200");
  assert.match(await ask("-I", `${url}/large.bin`), /content-length: 5000000\r\n[^]*\n2 200$/);
  await ask("-o", received, `${url}/large.bin`);
  assert.ok(readFileSync(received).equals(LARGE));
  assert.equal(await ask("-r", "10-13", `${url}/large.bin`), "abcd\n2 206");
  assert.equal(
    await ask("--data-binary", `@${sent}`, "-H", "Expect: 100-continue", `${url}/count`),
    "HTTP/2.0 POST 5000000\n\n2 200",
  );
  // Its length is not known before: no Content-Length.
  assert.equal(await ask("-X", "POST", "-T", "-", `${url}/count`), "HTTP/2.0 POST 11\n\n2 200");
  // On one connection at once.
  const many = Array.from({ length: 20 }, (_, index) => [
    "-o",
    "/dev/null",
    `${url}/large.bin?${index}`,
  ]);
  const said = await ask("--parallel", ...many.flat());
  assert.equal(said.split("2 200").length, 21);
});

test("nghttp gets many answers with priorities, small windows and padding", async (t) => {
  const nghttp = needs(t, "nghttp", ["nghttp"]);
  const portico = nghttp === undefined ? undefined : await start(t);
  if (nghttp === undefined || !portico) return;
  const url = `https://127.0.0.1:${portico.port()}`;
  const said = await run(nghttp, [
    "-nsm20",
    "--window-bits=14",
    "--connection-window-bits=16",
    "--padding=64",
    "--no-verify-peer",
    `${url}/large.bin`,
    `${url}/`,
  ]);
  // A line for each answer: id, times, status, bytes, path.
  const lines = said.split("\n").filter((line) => /^\s*\d+\s+\+/.test(line));
  assert.equal(lines.length, 40);
  assert.ok(
    lines.every((line) => / 200 +(?:4M|5) /.test(line)),
    said,
  );
  const trailer = await run(nghttp, [
    "--data=/etc/hostname",
    "--trailer=x-end: 1",
    "--no-verify-peer",
    `${url}/count`,
  ]);
  assert.match(trailer, /^HTTP\/2\.0 POST \d+\n$/);
});

test("h2load counts no request that failed", async (t) => {
  const h2load = needs(t, "h2load", ["h2load"]);
  const portico = h2load === undefined ? undefined : await start(t);
  if (h2load === undefined || !portico) return;
  const url = `https://127.0.0.1:${portico.port()}`;
  for (const [path, count] of [
    ["/", 2_000],
    ["/large.bin", 40],
    ["/count", 40],
  ] as const) {
    const said = await run(h2load, [`-n${count}`, "-c4", "-m10", `${url}${path}`]);
    assert.match(said, /Application protocol: h2$/m);
    const wanted = `requests: ${count} total, ${count} started, ${count} done, ${count} succeeded, 0 failed, 0 errored, 0 timeout`;
    assert.ok(said.includes(wanted), said);
    assert.ok(said.includes(`status codes: ${count} 2xx, 0 3xx, 0 4xx, 0 5xx`), said);
  }
  const { counters } = await portico.status();
  assert.equal(counters.http2Faults, 0);
});
