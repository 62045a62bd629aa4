import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createAppendFile, type AppendFile } from "../../log/append-file.ts";
import { needs } from "../helpers/programs.ts";
import { waitUntil } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

test("AppendFile appends whole lines and writes the rest when it closes", async (t) => {
  const path = join(temporaryDirectory(t), "log");
  const first = createAppendFile(path);
  const second = createAppendFile(path);
  for (let line = 0; line < 20_000; line += 1) {
    first.write(`first ${line}\n`);
    second.write(`second ${line} \xff\n`);
    if (line % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all([first.close(), second.close()]);
  const lines = readFileSync(path, "latin1").split("\n");
  assert.equal(lines.pop(), "");
  assert.equal(lines.length, 40_000);
  for (const line of lines) assert.match(line, /^(?:first \d+|second \d+ \xff)$/);
  for (const name of ["first", "second"]) {
    const numbers = lines
      .filter((line) => line.startsWith(name))
      .map((line) => Number(line.split(" ")[1]));
    assert.deepEqual(numbers, [...numbers.keys()]);
  }
  assert.equal(first.dropped + second.dropped, 0);
});

test("AppendFile writes by itself within a second or so", async (t) => {
  const path = join(temporaryDirectory(t), "log");
  const file = createAppendFile(path);
  const watcher = watch(path);
  t.after(() => watcher.close());
  file.write("a\n");
  while (statSync(path).size === 0) await once(watcher, "change");
  assert.equal(readFileSync(path, "latin1"), "a\n");
  await file.close();
});

test("AppendFile goes on in a new file after reopen", async (t) => {
  const path = join(temporaryDirectory(t), "log");
  const file = createAppendFile(path);
  file.write(`${"a".repeat(20_000)}\n`);
  renameSync(path, `${path}.1`);
  file.reopen();
  file.write("b\n");
  await file.close();
  assert.equal(readFileSync(`${path}.1`, "latin1"), `${"a".repeat(20_000)}\n`);
  assert.equal(readFileSync(path, "latin1"), "b\n");
});

test("AppendFile keeps the old file when the new one cannot be opened", async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, "log");
  const file = createAppendFile(path);
  renameSync(directory, `${directory}.moved`);
  t.after(() => renameSync(`${directory}.moved`, directory));
  assert.throws(() => file.reopen(), { code: "ENOENT" });
  file.write("a\n");
  await file.close();
  assert.equal(readFileSync(`${directory}.moved/log`, "latin1"), "a\n");
});

test("AppendFile drops and counts lines that a full disk does not take", async () => {
  const file = createAppendFile("/dev/full");
  const line = `${"x".repeat(1_023)}\n`;
  for (let count = 0; count < 3_000; count += 1) file.write(line);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(file.dropped >= 3_000 - 1_024, String(file.dropped));
  await file.close();
  assert.equal(file.dropped, 3_000);
});

test("AppendFile leaves no half of a line on a disk that became full, and others go on behind whole ones", async (t) => {
  const prlimit = needs(t, "prlimit", ["prlimit"]);
  if (prlimit === undefined) return;
  const path = join(temporaryDirectory(t), "log");
  // A file that may grow no further is what a full disk is to who writes to it.
  const limit = (bytes: string): Buffer =>
    execFileSync(prlimit, ["--pid", String(process.pid), `--fsize=${bytes}:`]);
  t.after(() => limit("unlimited"));
  const go = (): void => {};
  process.on("SIGXFSZ", go);
  t.after(() => process.off("SIGXFSZ", go));
  const full = Promise.withResolvers<void>();
  const one = createAppendFile(path, { onFailure: () => full.resolve() });
  const other = createAppendFile(path);
  const line = (name: string): string => `${name.repeat(49)}\n`;
  limit("120");
  for (const name of ["a", "b", "c"]) one.write(line(name));
  await full.promise;
  assert.equal(readFileSync(path, "latin1"), line("a") + line("b"));
  limit("unlimited");
  other.write(line("d"));
  await other.close();
  await one.close();
  assert.equal(readFileSync(path, "latin1"), ["a", "b", "d", "c"].map(line).join(""));
  assert.equal(one.dropped + other.dropped, 0);
});

test("AppendFile finishes a short write before it goes on", async (t) => {
  const path = join(temporaryDirectory(t), "pipe");
  execFileSync("mkfifo", [path]);
  // A pipe takes 64 KiB and no more until somebody reads: a longer write ends in the middle of a line.
  const holder = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const file = createAppendFile(path);
  const lines = Array.from({ length: 2_000 }, (_, index) => `${index} ${"y".repeat(90)}\n`);
  for (const line of lines) file.write(line);
  const reader = spawn("cat", [path], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => closeSync(holder));
  t.after(() => reader.kill());
  const expected = lines.join("");
  let received = "";
  reader.stdout.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
  while (received.length < expected.length) await once(reader.stdout, "data");
  assert.equal(received, expected);
  await file.close();
  assert.equal(file.dropped, 0);
});

test("createAppendFile refuses a pipe without a reader at once", (t) => {
  const path = join(temporaryDirectory(t), "pipe");
  execFileSync("mkfifo", [path]);
  assert.throws(() => createAppendFile(path), { code: "ENXIO" });
});

/** Writes until `path` holds the line: the file looks for itself about once a second. */
async function writeUntil(file: AppendFile, line: string, path: string): Promise<void> {
  const timer = setInterval(() => file.write(line), 20);
  try {
    await waitUntil("the line", () => existsSync(path) && readFileSync(path, "latin1") !== "");
  } finally {
    clearInterval(timer);
  }
}

for (const [what, lose] of [
  ["removed", (path: string) => rmSync(path)],
  ["renamed", (path: string) => renameSync(path, `${path}.1`)],
  [
    "replaced",
    (path: string) => {
      renameSync(path, `${path}.1`);
      writeFileSync(path, "");
    },
  ],
] as const)
  test(`AppendFile goes on by itself in a new file when its own was ${what}`, async (t) => {
    const path = join(temporaryDirectory(t), "log");
    const file = createAppendFile(path);
    file.write("a\n");
    lose(path);
    await writeUntil(file, "b\n", path);
    await file.close();
    assert.match(readFileSync(path, "latin1"), /^(?:a\n)?(?:b\n)+$/);
    assert.equal(file.dropped, 0);
  });

test("AppendFile tells when its file is gone and no other can be had, and goes on when it can", async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, "log");
  const lost = Promise.withResolvers<NodeJS.ErrnoException>();
  const file = createAppendFile(path, { onLost: lost.resolve });
  renameSync(directory, `${directory}.moved`);
  t.after(() => rmSync(`${directory}.moved`, { recursive: true }));
  const timer = setInterval(() => file.write("a\n"), 20);
  assert.equal((await lost.promise).code, "ENOENT");
  clearInterval(timer);
  mkdirSync(directory);
  await writeUntil(file, "b\n", path);
  await file.close();
  assert.match(readFileSync(path, "latin1"), /b\n$/);
});
