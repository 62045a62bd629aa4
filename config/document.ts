// One file of the configuration: its text, its tree, and the way from an offset to line and column.

import type { Problem, Severity } from "./problems.ts";
import { nearest, type Node, type ObjectNode } from "./tree.ts";

export type SourceFile = {
  /** Relative to the configuration directory: "conf", "conf.d/shop". */
  readonly file: string;
  /** Absolute path of the directory it stands in; relative paths in its values start there. */
  readonly directory: string;
  readonly text: string;
};

export type Position = {
  readonly line: number;
  readonly column: number;
  readonly source?: string;
};

export type ConfigDocument = {
  readonly file: string;
  readonly directory: string;
  readonly root: ObjectNode;
  readonly position: (offset: number) => Position;
};

/** Longer lines are not quoted in messages: they come from generators and would bury the message. */
const MAX_QUOTED_LINE = 300;

/** Finds line and column of an offset; both count from 1. */
export function createLocator(text: string): (offset: number) => Position {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    const start = starts[low] ?? 0;
    const end = (starts[low + 1] ?? text.length + 1) - 1;
    const source = text.slice(start, end).replace(/\r$/, "");
    const place = { line: low + 1, column: offset - start + 1 };
    return source.length > MAX_QUOTED_LINE ? place : { ...place, source };
  };
}

/** A problem with the place `offset` points to. */
export function problemAt(
  where: Pick<ConfigDocument, "file" | "position">,
  severity: Severity,
  offset: number,
  path: string,
  message: string,
): Problem {
  return { severity, file: where.file, ...where.position(offset), path, message };
}

/** A problem with the value at `path`, placed at the nearest thing around it when it is not in the file. */
export function problemNear(
  document: ConfigDocument,
  severity: Severity,
  path: string,
  message: string,
): Problem {
  return problemAt(document, severity, nearest(document.root, path).node.offset, path, message);
}

/** Names a value among all problems: its place and its path. */
export function placeKey({ file, line, column, path }: Problem): string {
  return `${file}:${line}:${column} ${path}`;
}

/** "7:5", for a second place named inside a message. */
export function placeName(document: ConfigDocument, node: Node | { offset: number }): string {
  const { line, column } = document.position(node.offset);
  return `${document.file}:${line}:${column}`;
}
