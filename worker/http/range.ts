// Byte ranges (RFC 9110 14): which bytes a Range field asks for, and how several of them share one body. Pure. The only importer of range-parser.

import parseRange from "range-parser";

/** From `start` up to, but not including, `end`. */
export type Span = { readonly start: number; readonly end: number };

/** What stands in a body: these bytes, or those of the representation. */
export type Piece = Buffer | Span;

/** Whoever asks for more parts gets the whole. Each costs some hundred bytes of its own, and nobody needs so many. */
const MAX_RANGES = 64;

const BYTES_UNIT = /^bytes=(.+)$/i;
const RANGE = /^(\d+)-(\d*)$/;
const SUFFIX = /^-(\d+)$/;

/** The spans to send: overlapping and adjacent ones merged, so that no byte is sent twice (CVE-2011-3192). What is malformed is not heard. */
export function selectSpans(field: string, size: number): readonly Span[] | "whole" | "none" {
  const [, set = ""] = BYTES_UNIT.exec(field) ?? [];
  const specs = set.split(",").flatMap((spec) => spec.replace(/^[ \t]+|[ \t]+$/g, "") || []);
  // A range of nothing cannot be written down in Content-Range: an empty file is sent whole.
  if (specs.length === 0 || specs.length > MAX_RANGES || size === 0) return "whole";
  const normal = specs.map((spec) => normalize(spec, size));
  if (normal.includes(undefined)) return "whole";
  const ranges = parseRange(size, `bytes=${normal.join(",")}`, { combine: true });
  if (ranges === -2) return "whole";
  if (ranges === -1) return "none";
  return ranges.map(({ start, end }) => ({ start, end: end + 1 }));
}

/** A range as range-parser reads it right: it takes a suffix that is longer than the file for one that cannot be had, and "7-1" too. */
function normalize(spec: string, size: number): string | undefined {
  const [, suffix] = SUFFIX.exec(spec) ?? [];
  if (suffix !== undefined) return `-${Math.min(Number(suffix), size)}`;
  const [, first, last] = RANGE.exec(spec) ?? [];
  if (first === undefined) return undefined;
  return last !== undefined && last !== "" && Number(last) < Number(first) ? undefined : spec;
}

/** Value of Content-Range. */
export function contentRange(span: Span, size: number): string {
  return `bytes ${span.start}-${span.end - 1}/${size}`;
}

export type Multipart = { readonly pieces: readonly Piece[]; readonly length: number };

/** A body of several parts (RFC 9110 14.6), its length known before a byte of them is read. */
export function layOutParts(
  spans: readonly Span[],
  about: { readonly type: string | undefined; readonly size: number },
  boundary: string,
): Multipart {
  const type = about.type === undefined ? "" : `Content-Type: ${about.type}\r\n`;
  const pieces = spans.flatMap((span, index): Piece[] => {
    const before = index === 0 ? "" : "\r\n";
    const range = contentRange(span, about.size);
    const head = `${before}--${boundary}\r\n${type}Content-Range: ${range}\r\n\r\n`;
    return [Buffer.from(head, "latin1"), span];
  });
  pieces.push(Buffer.from(`\r\n--${boundary}--\r\n`, "latin1"));
  return { pieces, length: pieces.reduce((total, piece) => total + pieceLength(piece), 0) };
}

/** Bytes that a piece brings. */
export function pieceLength(piece: Piece): number {
  return Buffer.isBuffer(piece) ? piece.length : piece.end - piece.start;
}
