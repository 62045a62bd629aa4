// Text of one file -> its tree and every syntax error, each saying what was open. The only importer of jsonc-parser.
// JSON with "#", "//" and "/* */" comments and trailing commas; nothing else is forgiven.

import { createScanner } from "jsonc-parser";
import {
  childPath,
  type ArrayNode,
  type Member,
  type Node,
  type ObjectNode,
  type Scalar,
} from "./tree.ts";

export type SyntaxFault = { readonly offset: number; readonly message: string };

/** Deeper nesting is a mistake or an attack on our recursion. */
const MAX_DEPTH = 100;
/** Twenty times what a thousand vhosts take. A value costs a hundred bytes of memory, however short it is in the file. */
const MAX_VALUES = 1_000_000;

// The scanner's own names are const enums, which type stripping cannot read.
const OPEN_BRACE = 1;
const CLOSE_BRACE = 2;
const OPEN_BRACKET = 3;
const CLOSE_BRACKET = 4;
const COMMA = 5;
const COLON = 6;
const KEYWORDS: ReadonlyMap<number, Scalar> = new Map([
  [7, null],
  [8, true],
  [9, false],
]);
const STRING = 10;
const NUMBER = 11;
const FIRST_TRIVIA = 12;
const LAST_TRIVIA = 15;
const END = 17;

const TOKEN_FAULTS: ReadonlyMap<number, string> = new Map([
  [1, "Comment is not closed; expected */"],
  [2, "String is not closed on its line"],
  [3, "Number is cut short"],
  [4, "Bad \\u escape; expected four hexadecimal digits"],
  [5, "Unknown escape in a string; a backslash is written \\\\"],
  [6, "Control character in a string; write it as \\u00.."],
]);

/** A container being read; `step` leads to it from the one around. */
type Open = {
  readonly offset: number;
  readonly step: string | number;
  readonly closer: "}" | "]";
};

/** Parses the text of one file. `tree` is undefined for a file without any value, and partial if there are faults. */
export function parseText(
  text: string,
  position: (offset: number) => { line: number; column: number },
): { tree: Node | undefined; faults: SyntaxFault[] } {
  const scanner = createScanner(text.includes("#") ? blankHashComments(text) : text, false);
  const faults: SyntaxFault[] = [];
  const faultyLines = new Set<number>();
  const open: Open[] = [];
  /** A bracket that does not match puts the rest of the count out: what looks wrong after it may be right. */
  let isLost = false;
  let values = 0;
  let kind = END;
  let lastEnd = 0;

  advance();
  const tree = kind === END ? undefined : readValue("", 0);
  if (tree && kind !== END && !isLost) {
    const closed = at(lastEnd - 1);
    const what = found();
    fault(
      scanner.getTokenOffset(),
      what === "}" || what === "]"
        ? `Stray "${what}": nothing is open here, the outermost value was closed at ${closed}`
        : `Expected the end of the file, found ${quoted(what)}; the outermost value was closed at ${closed}`,
    );
  }
  return { tree, faults };

  function is(token: number): boolean {
    return kind === token;
  }

  function advance(): void {
    lastEnd = scanner.getTokenOffset() + scanner.getTokenLength();
    do {
      kind = scanner.scan();
      const message = TOKEN_FAULTS.get(scanner.getTokenError());
      if (message !== undefined) fault(scanner.getTokenOffset(), message);
    } while (kind >= FIRST_TRIVIA && kind <= LAST_TRIVIA);
  }

  function readValue(step: string | number, depth: number): Node | undefined {
    const offset = scanner.getTokenOffset();
    values += 1;
    if (values > MAX_VALUES && !isLost) {
      fault(offset, `More than ${MAX_VALUES} values; at most that many are read from one file`);
      abandon();
      return undefined;
    }
    if (is(OPEN_BRACE) || is(OPEN_BRACKET)) {
      if (depth < MAX_DEPTH)
        return is(OPEN_BRACE) ? readObject(step, depth) : readArray(step, depth);
      fault(offset, `Nested deeper than ${MAX_DEPTH} levels`);
      abandon();
      return undefined;
    }
    const value = is(STRING)
      ? scanner.getTokenValue()
      : is(NUMBER)
        ? Number(found())
        : KEYWORDS.get(kind);
    if (typeof value === "string" && !value.isWellFormed())
      fault(offset, "Half of a surrogate pair in a string; \\ud800 to \\udfff stand in pairs only");
    if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY)
      fault(offset, `Number out of range: ${quoted(found())}`);
    if (value === undefined) {
      const wanted = open.length === 0 ? 'an object, {"vhosts": […]}' : "a value";
      fault(offset, `Expected ${wanted}, found ${quoted(found())}${openContext()}`);
      // A closing bracket or a comma still means what it says to the container around.
      if (!is(CLOSE_BRACE) && !is(CLOSE_BRACKET) && !is(COMMA) && !is(END)) advance();
      return undefined;
    }
    advance();
    return { kind: "scalar", value, offset };
  }

  function readObject(step: string | number, depth: number): ObjectNode {
    const members: Member[] = [];
    const offset = begin(step, "}");
    while (continues(CLOSE_BRACE)) {
      if (!is(STRING)) {
        fault(
          scanner.getTokenOffset(),
          `Expected a key in double quotes, found ${quoted(found())}${openContext()}`,
        );
        advance();
        continue;
      }
      const key = scanner.getTokenValue();
      const keyOffset = scanner.getTokenOffset();
      advance();
      if (is(COLON)) advance();
      else fault(lastEnd, `Missing ":" after the key ${quoted(key)}${openContext()}`);
      const value = readValue(key, depth + 1);
      if (value) members.push({ key, offset: keyOffset, value });
      separate(CLOSE_BRACE);
    }
    end(CLOSE_BRACE);
    return { kind: "object", members, offset };
  }

  function readArray(step: string | number, depth: number): ArrayNode {
    const items: Node[] = [];
    const offset = begin(step, "]");
    while (continues(CLOSE_BRACKET)) {
      if (is(COMMA) || is(COLON)) {
        fault(
          scanner.getTokenOffset(),
          `Expected a value, found ${quoted(found())}${openContext()}`,
        );
        advance();
        continue;
      }
      const value = readValue(items.length, depth + 1);
      if (value) items.push(value);
      separate(CLOSE_BRACKET);
    }
    end(CLOSE_BRACKET);
    return { kind: "array", items, offset };
  }

  function begin(step: string | number, closer: Open["closer"]): number {
    const offset = scanner.getTokenOffset();
    open.push({ offset, step, closer });
    advance();
    return offset;
  }

  /** False at the closer, at the end of the file, and at a closer that can only belong to something around. */
  function continues(closer: number): boolean {
    while (is(CLOSE_BRACE) || is(CLOSE_BRACKET)) {
      if (is(closer)) return false;
      fault(scanner.getTokenOffset(), `Found "${found()}"${openContext()}`);
      isLost = true;
      if (open.slice(0, -1).some((one) => one.closer === found())) return false;
      advance();
    }
    return !is(END);
  }

  function separate(closer: number): void {
    if (is(COMMA)) advance();
    else if (is(STRING) || is(OPEN_BRACE) || is(OPEN_BRACKET) || is(NUMBER) || KEYWORDS.has(kind))
      fault(lastEnd, `Missing ","${openContext()}`);
    else if (!is(closer) && !is(CLOSE_BRACE) && !is(CLOSE_BRACKET) && !is(END)) {
      fault(
        scanner.getTokenOffset(),
        `Expected "," or "${open.at(-1)?.closer}", found ${quoted(found())}${openContext()}`,
      );
      advance();
      if (is(COMMA)) advance();
    }
  }

  function end(closer: number): void {
    if (is(closer)) {
      open.pop();
      advance();
      return;
    }
    if (is(END) && !isLost) {
      fault(scanner.getTokenOffset(), `The file ends too early${openContext()}`);
      isLost = true;
    }
    open.pop();
  }

  /** ` inside the array "vhosts[0].mounts" opened at 5:15, which "]" would close`. */
  function openContext(): string {
    const innermost = open.at(-1);
    if (!innermost) return "";
    const what = innermost.closer === "]" ? "array" : "object";
    const path = open.slice(1).reduce((above, { step }) => childPath(above, step), "");
    const name = path === "" ? `the outermost ${what}` : `the ${what} ${quoted(path)}`;
    return `: ${name} opened at ${at(innermost.offset)} is still open and "${innermost.closer}" would close it`;
  }

  function abandon(): void {
    scanner.setPosition(text.length);
    isLost = true;
    advance();
  }

  /** One fault a line: the second is nearly always a consequence of the first. */
  function fault(offset: number, message: string): void {
    const { line } = position(offset);
    if (faultyLines.has(line)) return;
    faultyLines.add(line);
    faults.push({ offset, message });
  }

  function found(): string {
    if (is(END)) return "the end of the file";
    return text.slice(
      scanner.getTokenOffset(),
      scanner.getTokenOffset() + scanner.getTokenLength(),
    );
  }

  function at(offset: number): string {
    const { line, column } = position(offset);
    return `${line}:${column}`;
  }
}

const MAX_QUOTED = 40;

function quoted(text: string): string {
  const short = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
  return short.startsWith('"') || short === "the end of the file" ? short : JSON.stringify(short);
}

/** Strings and the other comments are stepped over; "#" comments become spaces, so that every offset holds. */
function blankHashComments(text: string): string {
  return text.replace(
    /"[^"\\\n]*(?:\\.[^"\\\n]*)*"?|\/\/[^\n]*|\/\*[^]*?(?:\*\/|$)|#[^\n]*/g,
    (found) => (found.startsWith("#") ? " ".repeat(found.length) : found),
  );
}
