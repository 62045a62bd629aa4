// Reads the head of a CGI answer (RFC 3875 6) from bytes cut anywhere. Pure.
// What comes out is safe to send on: no control byte, no field that belongs to the connection, one of each that must be single.

import type { HeaderPair } from "../../../config/vhost.ts";
import type { ByteString } from "../../http/exchange.ts";

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
  /** Where the server is to look for the answer itself (RFC 3875 6.2.2). */
  readonly localRedirect?: ByteString;
};

/** The program's output is not an answer. */
export class CgiOutputError extends Error {
  readonly code = "CGI_OUTPUT";
  constructor(message: string) {
    super(message);
    this.name = "CgiOutputError";
  }
}

/** Collects one head. That of an "nph" program begins with a status line (RFC 3875 5), and is held to the same rules otherwise. */
export class CgiHeadReader {
  readonly #isNph: boolean;
  #nphStatus: number | undefined;
  #line: Buffer = Buffer.alloc(0);
  #headBytes = 0;
  readonly #fields: HeaderPair[] = [];

  constructor(isNph = false) {
    this.#isNph = isNph;
  }

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
      if (line === "")
        return { head: assemble(this.#fields, this.#nphStatus), rest: bytes.subarray(start) };
      if (this.#isNph && this.#nphStatus === undefined) {
        this.#nphStatus = readStatusLine(line);
        continue;
      }
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
const STATUS_LINE = /^HTTP\/1\.[01] ([2-5][0-9]{2})(?: .*)?$/;
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

function assemble(fields: readonly HeaderPair[], nphStatus: number | undefined): CgiHead {
  if (fields.length === 0 && nphStatus === undefined)
    throw new CgiOutputError("No header field at all");
  const single = new Map<string, string>();
  const headers: HeaderPair[] = [];
  for (const field of fields) {
    const name = field[0].toLowerCase();
    if (SINGLE.has(name)) {
      if (single.has(name)) throw new CgiOutputError(`More than one "${field[0]}"`);
      single.set(name, field[1]);
    }
    // We would frame what is framed already.
    if (nphStatus !== undefined && name === "transfer-encoding")
      throw new CgiOutputError("Transfer-Encoding is for the server to choose");
    if (OURS.has(name) || name.startsWith("proxy-")) continue;
    if (name === "status" || name === "content-length") continue;
    if (name === "content-type" && field[1] === "") continue;
    headers.push(field);
  }
  return {
    status: nphStatus ?? readStatus(single.get("status"), single.get("location")),
    headers,
    bodyBytes: readLength(single.get("content-length")),
    // RFC 3875 asks for a type; RFC 9110 8.3 leaves it open, and so is a whole response that was made elsewhere.
    hasContentType: nphStatus !== undefined || (single.get("content-type") ?? "") !== "",
    ...(nphStatus === undefined && readLocalRedirect(single, headers)),
  };
}

/**
 * A path alone is a local redirect. With a status, a cookie or any other field it is one for the client, who would miss
 * that field otherwise: the RFC allows no field beside it at all.
 */
function readLocalRedirect(
  single: ReadonlyMap<string, string>,
  headers: readonly HeaderPair[],
): { localRedirect?: ByteString } {
  const location = single.get("location");
  if (location === undefined || !/^\/(?!\/)/.test(location) || single.has("status")) return {};
  const isAlone = headers.every(([name]) => /^(?:location|content-type)$/i.test(name));
  return isAlone && Number(single.get("content-length") ?? 0) === 0
    ? { localRedirect: location }
    : {};
}

/** A Location without a Status is a redirect. */
function readStatus(status: string | undefined, location: string | undefined): number {
  if (location === "") throw new CgiOutputError('Empty "Location"');
  if (status === undefined) return location === undefined ? 200 : 302;
  const code = STATUS.exec(status)?.[1];
  if (code === undefined) throw new CgiOutputError(`Not a status: ${quote(status)}`);
  return Number(code);
}

function readStatusLine(line: string): number {
  const code = STATUS_LINE.exec(line)?.[1];
  if (code === undefined) throw new CgiOutputError(`Not a status line: ${quote(line)}`);
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
