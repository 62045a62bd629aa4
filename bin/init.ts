// `portico init DIR`: a configuration to start from, a copy of examples/starter. Nothing that exists is ever changed.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const STARTER = fileURLToPath(new URL("../examples/starter", import.meta.url));

/** Writes the starter configuration into a directory that is new or empty. Returns the exit status. */
export function init(given: string): number {
  const directory = resolve(given);
  try {
    mkdirSync(directory, { recursive: true });
    if (readdirSync(directory).length > 0) {
      console.error(
        `portico: "${directory}" is not empty; init writes into a new or empty directory`,
      );
      return 1;
    }
    for (const file of readStarterFiles()) {
      const target = join(directory, file);
      mkdirSync(dirname(target), { recursive: true });
      // "wx" fails where somebody was faster.
      writeFileSync(target, readFileSync(join(STARTER, file)), { flag: "wx" });
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    console.error(`portico: Cannot write into "${directory}": ${code}`);
    return 1;
  }
  console.log(describeNextSteps(directory));
  return 0;
}

/** Paths of all files, relative to the starter configuration. */
function readStarterFiles(): string[] {
  return readdirSync(STARTER, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(STARTER, join(entry.parentPath, entry.name)))
    .toSorted();
}

function describeNextSteps(directory: string): string {
  const shown = quote(shorter(directory));
  const portico = describeInvocation();
  return [
    `Wrote a configuration to ${directory}`,
    ...readStarterFiles().map((file) => `  ${file}`),
    "",
    "Next:",
    `  ${portico} check -c ${shown}     say whether it can be served`,
    `  ${portico} run -c ${shown}       serve it on http://localhost:7681/`,
    `  ${portico} reload -c ${shown}    switch to what was changed meanwhile`,
  ].join("\n");
}

/** How to start this program again: by its name where it was found in PATH, else by its file. */
function describeInvocation(): string {
  const launcher = process.argv[1] ?? "portico";
  return basename(launcher) === "portico" ? "portico" : `node ${quote(shorter(launcher))}`;
}

function shorter(path: string): string {
  const fromHere = relative(process.cwd(), path) || ".";
  return fromHere.length < path.length ? fromHere : path;
}

function quote(word: string): string {
  return /^[\w./-]+$/.test(word) && !word.startsWith("-")
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
