// The files of a configuration directory: which ones, in which order, and their text. The disk access of the reader.

import { lstatSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { SourceFile } from "./document.ts";
import type { Problem, Report } from "./problems.ts";

/** A larger file is no configuration somebody wrote. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_FILES = 10_000;
const MAX_TOTAL_BYTES = 64 * 1024 * 1024;

/** Reads `conf`, then the files of `conf.d` in byte order; names with "~" (editors' backups) and directories are passed over. */
export async function readFiles(directory: string, report: Report): Promise<SourceFile[]> {
  const names = await listDropIns(directory, report);
  const files: SourceFile[] = [];
  let total = 0;
  for (const file of ["conf", ...names.map((name) => `conf.d/${name}`)]) {
    const isNeeded = file !== "conf" || names.length === 0;
    const found = await readSource(directory, file, isNeeded, report);
    if (!found) continue;
    total += found.text.length;
    if (total > MAX_TOTAL_BYTES) {
      report(
        fileProblem(file, `All files together hold more than ${MAX_TOTAL_BYTES} bytes by now`),
      );
      break;
    }
    files.push(found);
  }
  return files;
}

async function listDropIns(directory: string, report: Report): Promise<string[]> {
  const found: Buffer[] = [];
  try {
    found.push(...(await readdir(join(directory, "conf.d"), { encoding: "buffer" })));
  } catch (error) {
    const code = errorCode(error);
    if (code !== "ENOENT")
      report(fileProblem("conf.d", `Cannot read the directory: ${REASONS[code] ?? code}`));
  }
  const names = found
    .toSorted((a, b) => Buffer.compare(a, b))
    .flatMap((bytes) => {
      const name = bytes.toString();
      if (Buffer.from(name).equals(bytes)) return [name];
      report(fileProblem(`conf.d/${name}`, "Its name is not UTF-8; rename it"));
      return [];
    });
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
    const isDangling = code === "ENOENT" && isSymlink(path);
    const reason = isDangling ? "it is a symlink to nothing" : (REASONS[code] ?? code);
    if (code !== "ENOENT" || isNeeded || isDangling)
      report(fileProblem(file, `Cannot read ${JSON.stringify(path)}: ${reason}`));
  }
  return undefined;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "it is a file",
  ELOOP: "symlinks go round in a circle",
  EACCES: "EACCES, this user may not read it",
};

function isSymlink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** The text without a byte order mark. A byte that is no UTF-8 is reported with its place. */
function decodeText(file: string, bytes: Buffer, report: Report): string | undefined {
  if (isUtf16(bytes)) {
    report({ ...fileProblem(file, "This is UTF-16; save it as UTF-8"), line: 1, column: 1 });
    return undefined;
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    // A line may end in CR alone, as long ago; the offsets stay.
    return text.includes("\r") ? text.replace(/\r(?!\n)/g, "\n") : text;
  } catch {
    const { line, column, byte } = findBadByte(bytes);
    const message = `Not UTF-8: byte 0x${byte.toString(16).padStart(2, "0")}; save the file as UTF-8`;
    report({ ...fileProblem(file, message), line, column });
    return undefined;
  }
}

/** By its byte order mark, or the zero byte that one of its first two characters must have in a configuration. */
function isUtf16([first, second]: Buffer): boolean {
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return true;
  return (first === 0) !== (second === 0) && second !== undefined;
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
