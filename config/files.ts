// The files of a configuration directory: which ones, in which order, and their text. The disk access of the reader.

import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { SourceFile } from "./document.ts";
import type { Problem, Report } from "./problems.ts";

/** A larger file is no configuration somebody wrote. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_FILES = 10_000;

/** Reads `conf`, then the files of `conf.d` in byte order; names with "~" (editors' backups) and directories are passed over. */
export async function readFiles(directory: string, report: Report): Promise<SourceFile[]> {
  const names = await listDropIns(directory, report);
  const files: SourceFile[] = [];
  const main = await readSource(directory, "conf", names.length === 0, report);
  if (main) files.push(main);
  for (const name of names) {
    const found = await readSource(directory, `conf.d/${name}`, true, report);
    if (found) files.push(found);
  }
  return files;
}

async function listDropIns(directory: string, report: Report): Promise<string[]> {
  const found: Buffer[] = [];
  try {
    found.push(...(await readdir(join(directory, "conf.d"), { encoding: "buffer" })));
  } catch (error) {
    const code = errorCode(error);
    if (code !== "ENOENT") report(fileProblem("conf.d", `Cannot read the directory: ${code}`));
  }
  const names = found.toSorted((a, b) => Buffer.compare(a, b)).map((name) => name.toString());
  if (names.length > MAX_FILES)
    report(fileProblem("conf.d", `Holds ${names.length} files; at most ${MAX_FILES} are read`));
  return names.filter((name) => !name.includes("~")).slice(0, MAX_FILES);
}

async function readSource(
  directory: string,
  file: string,
  isNeeded: boolean,
  report: Report,
): Promise<SourceFile | undefined> {
  const path = join(directory, file);
  try {
    const found = await stat(path);
    if (found.isDirectory() && file !== "conf") return undefined;
    if (found.isFile() && found.size <= MAX_FILE_BYTES) {
      const text = decodeText(file, await readFile(path), report);
      return text === undefined ? undefined : { file, directory: dirname(path), text };
    }
    const tooLarge = `Holds ${found.size} bytes; at most ${MAX_FILE_BYTES} are read`;
    report(fileProblem(file, found.isFile() ? tooLarge : "Is not a file"));
  } catch (error) {
    const code = errorCode(error);
    if (code !== "ENOENT" || isNeeded)
      report(fileProblem(file, `Cannot read ${JSON.stringify(path)}: ${code}`));
  }
  return undefined;
}

/** The text without a byte order mark. A byte that is no UTF-8 is reported with its place. */
function decodeText(file: string, bytes: Buffer, report: Report): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const { line, column, byte } = findBadByte(bytes);
    const message = `Not UTF-8: byte 0x${byte.toString(16).padStart(2, "0")}`;
    report({ ...fileProblem(file, message), line, column });
    return undefined;
  }
}

function findBadByte(bytes: Buffer): { line: number; column: number; byte: number } {
  // The longest prefix that decodes: the decoder holds back an incomplete sequence at its end, so halving finds it.
  let low = 0;
  let high = bytes.length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (isStartOfText(bytes.subarray(0, middle))) low = middle;
    else high = middle - 1;
  }
  const before = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, low), {
    stream: true,
  });
  const bad = bytes[Buffer.byteLength(before)] ?? 0;
  const lines = before.replace(/^\uFEFF/, "").split("\n");
  return { line: lines.length, column: (lines.at(-1) ?? "").length + 1, byte: bad };
}

function isStartOfText(bytes: Buffer): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

function fileProblem(file: string, message: string): Problem {
  return { severity: "error", file, path: "", message };
}

/** "ENOENT" and the like. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
