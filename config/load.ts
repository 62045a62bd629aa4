// A directory of files -> one frozen ServerConfig, or every problem at once.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { decodeDocuments, type VhostDraft } from "./decode.ts";
import {
  createLocator,
  placeKey,
  problemAt,
  problemNear,
  type ConfigDocument,
  type SourceFile,
} from "./document.ts";
import { refuseDuplicates } from "./duplicates.ts";
import { checkExistence } from "./existence.ts";
import { readFiles } from "./files.ts";
import type { GivenConfig } from "./given.ts";
import {
  ConfigError,
  sortProblems,
  type Problem,
  type ProvisionProblem,
  type Report,
  type Severity,
} from "./problems.ts";
import { checkRules, type PlaceOf } from "./rules.ts";
import type { ServerConfig } from "./server.ts";
import { createNames, substitute, type Environment } from "./substitute.ts";
import { parseText } from "./text.ts";
import { nearest } from "./tree.ts";
import type { VhostConfig } from "./vhost.ts";

export type LoadedConfig = {
  readonly config: ServerConfig;
  /** Warnings and notices; errors never get this far. */
  readonly remarks: readonly Problem[];
  /** The files as they were read, in order. */
  readonly sources: readonly SourceFile[];
  /** Gives a finding made after the reading, by a worker say, its file, line and column; an error unless said otherwise. */
  place(found: ProvisionProblem, severity?: Severity): Problem;
};

export type LoadOptions = {
  /** Where "${env:NAME}" and PORTICO_DATA_DIR are looked up; process.env by default. */
  readonly environment?: Environment;
};

/** Reads `directory/conf` and `directory/conf.d/*`. Throws ConfigError with every problem found. */
export async function loadConfig(
  directory: string,
  { environment = process.env }: LoadOptions = {},
): Promise<LoadedConfig> {
  const problems: Problem[] = [];
  const root = resolve(directory);
  const files = await readFiles(root, (problem) => problems.push(problem));
  return loadFiles(root, files, { environment, problems });
}

/**
 * Reads a configuration that a program made; relative paths in it start at `directory`. It may hold no vhost, to get some later.
 * Throws ConfigError with every problem found, each named by its path alone.
 */
export async function loadObject(
  given: GivenConfig,
  directory: string,
  { environment = process.env }: LoadOptions = {},
): Promise<LoadedConfig> {
  const root = resolve(directory);
  const file = { file: OBJECT, directory: root, text: JSON.stringify(given) };
  try {
    const loaded = await loadFiles(root, [file], { environment, problems: [], mayBeEmpty: true });
    return {
      ...loaded,
      config: { ...loaded.config, files: [] },
      remarks: loaded.remarks.map(withoutPosition),
      place: (found, severity) => withoutPosition(loaded.place(found, severity)),
    };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.problems.map(withoutPosition), error.remarks.map(withoutPosition));
  }
}

/** The name of what is no file. */
const OBJECT = "configuration";

/** Lines of a text that nobody wrote would only confuse. */
function withoutPosition({ severity, path, message, code }: Problem): Problem {
  return { severity, file: "", path, message, ...(code !== undefined && { code }) };
}

type Reading = {
  readonly environment: Environment;
  /** What was found so far. */
  readonly problems: Problem[];
  /** Whether a configuration without any vhost can be served. */
  readonly mayBeEmpty?: boolean;
};

async function loadFiles(
  root: string,
  files: readonly SourceFile[],
  { environment, problems, mayBeEmpty = false }: Reading,
): Promise<LoadedConfig> {
  const report: Report = (problem) => problems.push(problem);
  const names = createNames();
  const documents = files
    .map((file) => readDocument(file, report))
    .filter((document) => document !== undefined)
    .map((document) => substitute(document, names, environment, report));
  const draft = decodeDocuments(documents, existsSync, (problem) => {
    if (!names.blamed.has(placeKey(problem))) report(problem);
  });
  const placeOf = createPlacer(documents);
  // A file that could not be read at all may hold what seems to be missing.
  if (documents.length === files.length && files.length > 0) {
    if (draft.vhosts.length === 0 && !draft.isVhostLost && !mayBeEmpty)
      report(placeOf({ file: "", path: "" }, "", "error", NO_VHOST));
    checkRules(draft, placeOf, report);
  }
  await checkExistence(draft, placeOf, report);

  // Apart before they are sorted and cut: no flood of warnings may hide an error.
  const errors = sortProblems(problems.filter((problem) => problem.severity === "error"));
  const remarks = sortProblems(problems.filter((problem) => problem.severity !== "error"));
  const { global } = draft;
  if (errors.length > 0 || !global) throw new ConfigError(errors, remarks);
  const config = deepFreeze({
    directory: root,
    files: files.map((file) => join(root, file.file)),
    global,
    vhosts: draft.vhosts.map(finishVhost).filter((vhost) => vhost !== undefined),
  });
  return { config, remarks, sources: files, place: createFindingPlacer(config, files) };
}

const NO_VHOST = "No vhost anywhere; a server needs at least one";

function readDocument(source: SourceFile, report: Report): ConfigDocument | undefined {
  const position = createLocator(source.text);
  const where = { file: source.file, position };
  const { tree, faults } = parseText(source.text, position);
  for (const fault of faults) report(problemAt(where, "error", fault.offset, "", fault.message));
  if (faults.length > 0) return undefined;
  const root = tree ?? { kind: "object", members: [], offset: 0 };
  if (root.kind !== "object") {
    report(problemAt(where, "error", root.offset, "", 'Expected an object, {"vhosts": […]}'));
    return undefined;
  }
  if (!tree) report(problemAt(where, "notice", 0, "", "Holds nothing but comments"));
  return refuseDuplicates({ ...where, directory: source.directory, root }, report);
}

/** Names places in the documents. File "" stands for whichever file gives the key, the last one first. */
function createPlacer(documents: readonly ConfigDocument[]): PlaceOf {
  const byFile = new Map(documents.map((document) => [document.file, document]));
  return (where, path, severity, message) => {
    const full = path === "" ? where.path : `${where.path}.${path}`;
    const document =
      byFile.get(where.file) ?? documents.findLast((one) => holds(one, full)) ?? documents[0];
    if (!document) return { severity, file: "", path: full, message };
    return problemNear(document, severity, full, message);
  };
}

function holds(document: ConfigDocument, path: string): boolean {
  return nearest(document.root, path).rest === "";
}

/** Places what is found later. That is rare and trees are large to keep, so texts are parsed again at the first finding. */
function createFindingPlacer(
  config: ServerConfig,
  files: readonly SourceFile[],
): LoadedConfig["place"] {
  let placeOf: PlaceOf | undefined;
  return (found, severity = "error") => {
    placeOf ??= createPlacer(
      files.map((file) => readDocument(file, () => undefined)).filter((one) => one !== undefined),
    );
    const where = config.vhosts[found.vhost]?.where ?? { file: "", path: "global" };
    return placeOf(where, found.path, severity, found.message);
  };
}

function finishVhost(draft: VhostDraft): VhostConfig | undefined {
  const { keys, where, mounts, protocols } = draft;
  return keys && { ...keys, mounts, "ws-protocols": protocols, where };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}
