import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { readRegularFile } from "../../supervisor/regular-file.ts";
import { temporaryDirectory } from "../helpers/site.ts";

suite("readRegularFile", () => {
  test("reads a file, also through a link, up to its limit", async (t) => {
    const directory = temporaryDirectory(t);
    const file = join(directory, "file");
    writeFileSync(file, "0123456789");
    symlinkSync("file", join(directory, "link"));
    assert.equal((await readRegularFile(file, 10)).toString(), "0123456789");
    assert.equal((await readRegularFile(join(directory, "link"), 10)).toString(), "0123456789");
    await assert.rejects(readRegularFile(file, 9), { code: "EFBIG" });
    await assert.rejects(readRegularFile(join(directory, "none"), 9), { code: "ENOENT" });
  });

  test("waits for no pipe, and reads no device and no directory", async (t) => {
    const directory = temporaryDirectory(t);
    const pipe = join(directory, "pipe");
    execFileSync("mkfifo", [pipe]);
    await assert.rejects(readRegularFile(pipe, 10), { code: "EINVAL" });
    await assert.rejects(readRegularFile("/dev/zero", 10), { code: "EINVAL" });
    await assert.rejects(readRegularFile(directory, 10), { code: "EINVAL" });
  });
});
