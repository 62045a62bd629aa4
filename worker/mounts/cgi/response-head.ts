// Reads the head of a CGI answer (RFC 3875 6) from bytes cut anywhere. Pure.
// What comes out is safe to send on: no control byte, no field that belongs to the connection, one of each that must be single.

import type { HeaderPair } from "../../../config/vhost.ts";

/** Longest head, the empty line included, and most fields in it. */
export const MAX_HEAD_BYTES = 64 * 1024;
export const MAX_HEAD_FIELDS = 200;

export type CgiHead = {
  readonly status: number;
  /** In order, without Content-Length. */
  readonly headers: readonly HeaderPair[];
  /** Content-Length, where the program gave one. */
  readonly bodyBytes: number | undefined;
  readonly hasContentType: boolean;
};

/** The program's output is not an answer. */
export class CgiOutputError extends Error {
  readonly code = "CGI_OUTPUT";
  constructor(message: string) {
    super(message);
    this.name = "CgiOutputError";
  }
}

/** Collects one head. */
export class CgiHeadReader {
  #line: Buffer = Buffer.alloc(0);
  #headBytes = 0;
  readonly #fields: HeaderPair[] = [];

  /** Takes the next bytes; once the empty line came, the head and the bytes behind it. Throws CgiOutputError. */
  push(chunk: Buffer): { head: CgiHead; rest: Buffer } | undefined {
    const bytes = this.#line.length === 0 ? chunk : Buffer.concat([this.#line, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(LF); end !== -1; end = bytes.indexOf(LF, start)) {
      this.#count(end + 1 - start);
      const line = bytes.toString(
        "latin1",
        start,
        bytes[end - 1] === CR && end > start ? end - 1 : end,
      );
      start = end + 1;
      if (line === "") return { head: assemble(this.#fields), rest: bytes.subarray(start) };
      if (this.#fields.length === MAX_HEAD_FIELDS)
        throw new CgiOutputError(`More than ${MAX_HEAD_FIELDS} header fields`);
      this.#fields.push(parseField(line));
    }
    this.#line = bytes.subarray(start);
    if (this.#headBytes + this.#line.length > MAX_HEAD_BYTES) this.#count(this.#line.length);
    return undefined;
  }

  #count(bytes: number): void {
    this.#headBytes += bytes;
    if (this.#headBytes > MAX_HEAD_BYTES)
      throw new CgiOutputError(`Head longer than ${MAX_HEAD_BYTES} bytes`);
  }
}

const LF = 10;
const CR = 13;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const BAD_VALUE_BYTE = /[^\t\x20-\x7e\x80-\xff]/;
const STATUS = /^([2-5][0-9]{2})(?: .*)?$/;
const DIGITS = /^[0-9]+$/;

function parseField(line: string): HeaderPair {
  const colon = line.indexOf(":");
  const name = line.slice(0, Math.max(colon, 0));
  // Also refuses folded lines (RFC 9112 5.2) and a space before the colon (5.1): both start other fields elsewhere.
  if (!TOKEN.test(name)) throw new CgiOutputError(`Not a header field: ${quote(line)}`);
  const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
  if (BAD_VALUE_BYTE.test(value))
    throw new CgiOutputError(`Control byte in header field "${name}"`);
  return [name, value];
}

/** Fields of the connection (RFC 9110 7.6.1) and those that the server writes by itself. */
const OURS: ReadonlySet<string> = new Set([
  "connection",
  "date",
  "keep-alive",
  "server",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** RFC 3875 6.3: not more than one of each. */
const SINGLE: ReadonlySet<string> = new Set([
  "content-length",
  "content-type",
  "location",
  "status",
]);

function assemble(fields: readonly HeaderPair[]): CgiHead {
  if (fields.length === 0) throw new CgiOutputError("No header field at all");
  const single = new Map<string, string>();
  const headers: HeaderPair[] = [];
  for (const field of fields) {
    const name = field[0].toLowerCase();
    if (SINGLE.has(name)) {
      if (single.has(name)) throw new CgiOutputError(`More than one "${field[0]}"`);
      single.set(name, field[1]);
    }
    if (OURS.has(name) || name.startsWith("proxy-")) continue;
    if (name === "status" || name === "content-length") continue;
    if (name === "content-type" && field[1] === "") continue;
    headers.push(field);
  }
  return {
    status: readStatus(single.get("status"), single.get("location")),
    headers,
    bodyBytes: readLength(single.get("content-length")),
    hasContentType: (single.get("content-type") ?? "") !== "",
  };
}

/**
 * A Location without a Status is a redirect by the client. That includes a local one ("/path"), which RFC 3875 6.2.2
 * has the server resolve by itself: sent as 302 it reaches the same page and keeps the address in the browser true.
 */
function readStatus(status: string | undefined, location: string | undefined): number {
  if (location === "") throw new CgiOutputError('Empty "Location"');
  if (status === undefined) return location === undefined ? 200 : 302;
  const code = STATUS.exec(status)?.[1];
  if (code === undefined) throw new CgiOutputError(`Not a status: ${quote(status)}`);
  return Number(code);
}

function readLength(length: string | undefined): number | undefined {
  if (length === undefined) return undefined;
  const bytes = DIGITS.test(length) ? Number(length) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) throw new CgiOutputError(`Not a length: ${quote(length)}`);
  return bytes;
}

/** The most of a wrong line that a message shows. */
const QUOTED_CHARACTERS = 60;

function quote(text: string): string {
  return JSON.stringify(
    text.length > QUOTED_CHARACTERS ? `${text.slice(0, QUOTED_CHARACTERS)}…` : text,
  );
}
