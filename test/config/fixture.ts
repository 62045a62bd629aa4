// A configuration directory for a test, and what loading it comes to.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { loadConfig, type LoadedConfig } from "../../config/load.ts";
import { ConfigError, type Problem } from "../../config/problems.ts";
import type { Environment } from "../../config/substitute.ts";

export type Files = Readonly<Record<string, string | Uint8Array>>;

/** Writes files below a fresh directory that goes with the test; a name ending in "/" makes a directory. */
export function writeConfig(t: TestContext, files: Files): string {
  const root = mkdtempSync(join(tmpdir(), "portico-config-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(name.endsWith("/") ? path : dirname(path), { recursive: true });
    if (typeof content === "string" && content.startsWith("-> "))
      symlinkSync(content.slice(3), path);
    else if (!name.endsWith("/"))
      writeFileSync(path, content, { mode: /\.(?:cgi|sh)$/.test(name) ? 0o755 : 0o644 });
  }
  return root;
}

export type Outcome = {
  readonly root: string;
  readonly loaded: LoadedConfig | undefined;
  readonly problems: readonly Problem[];
  /** Errors, one line each: `conf:2 ‹"seven"› vhosts[0].port: …`, with what stands at the place instead of its column. */
  readonly errors: readonly string[];
  /** Warnings and notices, led by their severity. */
  readonly remarks: readonly string[];
};

/** Loads a configuration; any other exception than ConfigError fails the test. */
export async function load(
  t: TestContext,
  files: Files,
  environment: Environment = {},
): Promise<Outcome> {
  const root = writeConfig(t, files);
  const line = (problem: Problem) => describe(problem).replaceAll(root, "ROOT");
  const remark = (problem: Problem) => `${problem.severity} ${line(problem)}`;
  try {
    const loaded = await loadConfig(root, { environment });
    return {
      root,
      loaded,
      problems: loaded.remarks,
      errors: [],
      remarks: loaded.remarks.map(remark),
    };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return {
      root,
      loaded: undefined,
      problems: [...error.problems, ...error.remarks],
      errors: error.problems.map(line),
      remarks: error.remarks.map(remark),
    };
  }
}

function describe({ file, line, column, source, path, message }: Problem): string {
  const found = /^(?:"(?:[^"\\]|\\.)*"|[\w.-]+|.)/.exec(source?.slice((column ?? 1) - 1) ?? "");
  const place = found ? ` ‹${found[0]}›` : `:${column}`;
  const at = line === undefined ? "" : `:${line}${place}`;
  return `${[file + at, path].filter((part) => part !== "").join(" ")}: ${message}`;
}

/** A vhost on any free port, with `members` added, as JSON text. */
export function vhostText(members: string): string {
  return `{"vhosts": [{"port": 0, ${members}}]}`;
}
