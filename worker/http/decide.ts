// What a GET or HEAD gets of a representation: conditions, then ranges, in the order of RFC 9110 13.2.2. Pure: nothing is read, nothing is sent.

import { randomBytes } from "node:crypto";
import type { HeaderPair } from "../../config/vhost.ts";
import { evaluateConditions, rangeStillHolds } from "./conditional.ts";
import { contentRange, layOutParts, selectSpans, type Piece, type Span } from "./range.ts";
import type { Representation } from "./representation.ts";

export type Decision = {
  /** From 400 on the body is an error page, and `fields` go with it. */
  readonly status: 200 | 206 | 304 | 412 | 416;
  /** No Content-Length. */
  readonly fields: readonly HeaderPair[];
  /** Content-Length: what the pieces add up to. */
  readonly length: number;
  /** The body that GET gets; HEAD gets none, and 304 has none. */
  readonly pieces: readonly Piece[];
};

export type Asked = {
  readonly method: string;
  /** A field of the request by lower-case name. */
  readonly header: (name: string) => string | undefined;
};

/** Decides. The only answers that need bytes are 200 and 206. */
export function decide(asked: Asked, current: Representation): Decision {
  const verdict = evaluateConditions(asked.header, current);
  if (verdict === "failed") return without(412, current, []);
  if (verdict === "not-modified") return bare(304, current.validators);
  const spans = spansFor(asked, current);
  if (spans === "whole") return whole(current);
  if (spans === "none")
    return without(416, current, [["Content-Range", `bytes */${current.size}`]]);
  const [first, ...others] = spans;
  if (!first) return whole(current);
  return others.length === 0 ? onePart(first, current) : severalParts(spans, current);
}

/** Only GET has ranges (RFC 9110 14.2). */
function spansFor(
  { method, header }: Asked,
  current: Representation,
): ReturnType<typeof selectSpans> {
  const field = method === "GET" ? header("range") : undefined;
  if (field === undefined || !rangeStillHolds(header("if-range"), current)) return "whole";
  return selectSpans(field, current.size);
}

function whole(current: Representation): Decision {
  const { size, fields } = current;
  const pieces = size === 0 ? [] : [{ start: 0, end: size }];
  return { status: 200, fields, length: size, pieces };
}

function onePart(span: Span, current: Representation): Decision {
  const range: HeaderPair = ["Content-Range", contentRange(span, current.size)];
  const length = span.end - span.start;
  return { status: 206, fields: [...current.fields, range], length, pieces: [span] };
}

function severalParts(spans: readonly Span[], current: Representation): Decision {
  // Nobody who can write into the file may know it beforehand.
  const boundary = randomBytes(16).toString("hex");
  const type: HeaderPair = ["Content-Type", `multipart/byteranges; boundary=${boundary}`];
  const others = current.fields.filter(([name]) => name !== "Content-Type");
  const { pieces, length } = layOutParts(spans, current, boundary);
  return { status: 206, fields: [type, ...others], length, pieces };
}

/** Which coding would have been sent decided this too. */
function without(
  status: 412 | 416,
  current: Representation,
  more: readonly HeaderPair[],
): Decision {
  return bare(status, [...current.validators.filter(([name]) => name === "Vary"), ...more]);
}

function bare(status: Decision["status"], fields: readonly HeaderPair[]): Decision {
  return { status, fields, length: 0, pieces: [] };
}
