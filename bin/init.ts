// `portico init DIR` and `portico init-plugin NAME`: something to start from, a copy of an example. Nothing that exists is ever changed.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const STARTER = fileURLToPath(new URL("../examples/starter", import.meta.url));
const PLUGIN = fileURLToPath(new URL("../examples/plugin-standalone", import.meta.url));
/** The name that the example has. */
const PLUGIN_NAME = /headline/g;

/** Writes the starter configuration into a directory that is new or empty. Returns the exit status. */
export function init(given: string): number {
  const directory = resolve(given);
  return writeCopy(STARTER, directory, (text) => text, describeNextSteps);
}

/** Writes a protocol plugin to start from, a project of its own, into `portico-plugin-NAME`. Returns the exit status. */
export function initPlugin(name: string): number {
  if (!/^[a-z][a-z0-9-]{0,63}$/.test(name)) {
    console.error(
      `portico: Expected a name of small letters, digits and "-", such as "my-chat", got ${JSON.stringify(name)}`,
    );
    return 1;
  }
  const directory = resolve(`portico-plugin-${name}`);
  const rename = (text: string): string => text.replace(PLUGIN_NAME, name);
  return writeCopy(PLUGIN, directory, rename, describePlugin);
}

function writeCopy(
  source: string,
  directory: string,
  adapt: (text: string) => string,
  describe: (directory: string, files: readonly string[]) => string,
): number {
  const files = listFiles(source);
  try {
    mkdirSync(directory, { recursive: true });
    if (readdirSync(directory).length > 0) {
      console.error(
        `portico: "${directory}" is not empty; init writes into a new or empty directory`,
      );
      return 1;
    }
    for (const file of files) {
      const target = join(directory, file);
      mkdirSync(dirname(target), { recursive: true });
      // "wx" fails where somebody was faster.
      writeFileSync(target, adapt(readFileSync(join(source, file), "utf8")), { flag: "wx" });
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    console.error(`portico: Cannot write into "${directory}": ${code}`);
    return 1;
  }
  console.log(describe(directory, files));
  return 0;
}

/** Paths of all files below `source`, relative to it. */
function listFiles(source: string): string[] {
  return readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(source, join(entry.parentPath, entry.name)))
    .toSorted();
}

function describePlugin(directory: string, files: readonly string[]): string {
  return [
    `Wrote a plugin to ${directory}`,
    ...files.map((file) => `  ${file}`),
    "",
    "Next:",
    `  cd ${quote(shorter(directory))} && npm install${describeOwnPackage(directory)}`,
    "  npm test         start a server with it and talk to it",
    "  npm start        serve it on http://localhost:7681/",
  ].join("\n");
}

/** A checkout is what the plugin is to run in; npm knows only what is published. */
function describeOwnPackage(directory: string): string {
  if (ROOT.includes("/node_modules/")) return "";
  return ` --save-dev ${quote(relative(directory, ROOT))}`;
}

function describeNextSteps(directory: string, files: readonly string[]): string {
  const shown = quote(shorter(directory));
  const portico = describeInvocation();
  return [
    `Wrote a configuration to ${directory}`,
    ...files.map((file) => `  ${file}`),
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
