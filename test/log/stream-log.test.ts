import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, createReadStream, openSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { createStreamLog, standardStream } from "../../log/stream-log.ts";
import { temporaryDirectory } from "../helpers/site.ts";

/** A pipe by name; nobody reads it yet. */
function makePipe(t: TestContext): string {
  const path = join(temporaryDirectory(t), "pipe");
  execFileSync("mkfifo", [path]);
  return path;
}

test("standardStream knows two paths", () => {
  assert.deepEqual(
    ["/dev/stdout", "/dev/stderr", "/dev/stdin", "/var/log/x", "constructor"].map(standardStream),
    [1, 2, undefined, undefined, undefined],
  );
});

test("StreamLog keeps lines whole beside another writer, in order", async (t) => {
  const path = makePipe(t);
  const fds = [1, 2].map(() => openSync(path, constants.O_RDWR));
  const logs = fds.map((fd) => createStreamLog(fd));
  const lines: string[] = [];
  const COUNT = 3_000;
  const source = createReadStream(path);
  const reading = (async () => {
    for await (const line of createInterface({ input: source })) {
      lines.push(line);
      if (lines.length === 2 * COUNT) return;
    }
  })();
  const rest = "x".repeat(200);
  for (let line = 0; line < COUNT; line += 1) {
    for (const [index, log] of logs.entries()) log.write(`${index} ${line} ${rest}\n`);
    if (line % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await reading;
  for (const index of [0, 1])
    assert.deepEqual(
      lines.filter((line) => line.startsWith(`${index} `)),
      Array.from({ length: COUNT }, (_, line) => `${index} ${line} ${rest}`),
    );
  await Promise.all(logs.map((log) => log.close()));
  source.destroy();
  for (const fd of fds) closeSync(fd);
});

test("StreamLog drops and counts lines while nobody reads, and ends all the same", async (t) => {
  const path = makePipe(t);
  const fd = openSync(path, constants.O_RDWR);
  let told = 0;
  const log = createStreamLog(fd, { onDrop: (count) => (told += count) });
  const line = `${"x".repeat(999)}\n`;
  for (let written = 0; written < 3_000; written += 1) log.write(line);
  assert.ok(log.dropped > 1_500 && log.dropped < 2_500, `${log.dropped}`);
  await log.close();
  assert.ok(told === log.dropped && told > 2_500, `${told}`);
  // The thread that writes stands still until somebody reads.
  const source = createReadStream(path).resume();
  await new Promise((resolve) => source.once("data", resolve));
  source.destroy();
  closeSync(fd);
});

test("StreamLog tells once that it cannot write", async (t) => {
  const path = makePipe(t);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const fd = openSync(path, constants.O_WRONLY);
  closeSync(reader);
  const failures: string[] = [];
  const log = createStreamLog(fd, { onFailure: (error) => failures.push(error.message) });
  log.write("x\n");
  await log.close();
  assert.equal(failures.length, 1);
  assert.match(failures[0] ?? "", /^EPIPE/);
  assert.equal(log.dropped, 1);
  closeSync(fd);
});
