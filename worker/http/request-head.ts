// The head of one request, checked, and for HTTP/1 the check itself: what Node's parser lets through and RFC 9112 does not.
// Decides on the raw fields; `headers` of Node drops duplicates. Pure.

import type { HeaderPair } from "../../config/vhost.ts";
import { defaultRequestLimits, type RequestLimits } from "../limits.ts";
import { HttpError, type ByteString } from "./exchange.ts";
import { parseAuthority, type Authority } from "./host.ts";
import { parseTarget } from "./target.ts";

/** What Node's parser found. `rawHeaders` alternates names and values. */
export type RawHead = {
  readonly method?: string | undefined;
  readonly url?: ByteString | undefined;
  readonly httpVersion: string;
  readonly rawHeaders: readonly string[];
};

export type RequestHead = {
  readonly method: string;
  readonly target: ByteString;
  readonly path: ByteString;
  readonly query: ByteString | undefined;
  readonly version: "1.0" | "1.1" | "2.0";
  readonly authority: Authority | undefined;
  /** 0 without a body, undefined when chunked. */
  readonly bodyBytes: number | undefined;
  readonly expectsContinue: boolean;
};

/** Path and target of `OPTIONS *`, which means the server as a whole. */
export const WHOLE_SERVER = "*";

/** Stands in for a head that was refused. */
export const EMPTY_HEAD: RequestHead = {
  method: "",
  target: "/",
  path: "/",
  query: undefined,
  version: "1.1",
  authority: undefined,
  bodyBytes: 0,
  expectsContinue: false,
};

/** Digits without a sign, a leading zero or a value that numbers cannot hold. */
export const LENGTH = /^(?:0|[1-9]\d{0,14})$/;

/** Checks a head; a refusal comes back as the HttpError to answer with. */
export function readHead(
  raw: RawHead,
  limits: RequestLimits = defaultRequestLimits,
): RequestHead | HttpError {
  const { httpVersion: version, method = "", url = "", rawHeaders } = raw;
  if (version !== "1.0" && version !== "1.1")
    return new HttpError(505, "This server speaks HTTP/1.0 and HTTP/1.1");
  const { maxHeaderFields, maxTargetBytes } = limits;
  if (rawHeaders.length > 2 * maxHeaderFields)
    return new HttpError(431, `The request has more than ${maxHeaderFields} header fields`);
  if (url.length > maxTargetBytes) return new HttpError(414, "The request target is too long");

  const found = collect(rawHeaders);
  const bodyBytes = readFraming(version, found);
  if (bodyBytes instanceof HttpError) return bodyBytes;
  const sent = readHost(version, found.hosts);
  if (sent instanceof HttpError) return sent;
  const target = readTarget(method, url);
  if (!target) return new HttpError(400, "The request target is malformed");
  const authority = target.authority === undefined ? sent : parseAuthority(target.authority);
  if (target.authority !== undefined && !authority)
    return new HttpError(400, "The authority of the request target is malformed");
  const expectsContinue = readExpectation(version, found.expectations);
  if (expectsContinue instanceof HttpError) return expectsContinue;

  const { path, query } = target;
  return {
    method,
    target: target.target,
    path,
    query,
    version,
    authority,
    bodyBytes,
    expectsContinue,
  };
}

/** Names and values as pairs. */
export function pairFields(rawHeaders: readonly string[]): HeaderPair[] {
  const fields: HeaderPair[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    fields.push([rawHeaders[at] ?? "", rawHeaders[at + 1] ?? ""]);
  return fields;
}

type Found = { hosts: string[]; lengths: string[]; codings: string[]; expectations: string[] };

function collect(rawHeaders: readonly string[]): Found {
  const found: Found = { hosts: [], lengths: [], codings: [], expectations: [] };
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const list = listFor(found, rawHeaders[at] ?? "");
    list?.push(rawHeaders[at + 1] ?? "");
  }
  return found;
}

function listFor(found: Found, name: string): string[] | undefined {
  switch (name.length) {
    case 4:
      return name.toLowerCase() === "host" ? found.hosts : undefined;
    case 6:
      return name.toLowerCase() === "expect" ? found.expectations : undefined;
    case 14:
      return name.toLowerCase() === "content-length" ? found.lengths : undefined;
    case 17:
      return name.toLowerCase() === "transfer-encoding" ? found.codings : undefined;
    default:
      return undefined;
  }
}

/** Where the body ends. Anything two readers could understand differently is refused (RFC 9112 6.1, 11.2). */
function readFraming(version: string, found: Found): number | undefined | HttpError {
  const [coding] = found.codings;
  if (coding !== undefined) {
    if (version === "1.0") return new HttpError(400, "HTTP/1.0 has no transfer codings");
    if (found.lengths.length > 0)
      return new HttpError(400, "Content-Length and Transfer-Encoding exclude each other");
    if (found.codings.length > 1 || coding.toLowerCase() !== "chunked")
      return new HttpError(400, 'The only transfer coding here is "chunked", once');
    return undefined;
  }
  const [length] = found.lengths;
  if (length === undefined) return 0;
  if (found.lengths.length > 1 || !LENGTH.test(length))
    return new HttpError(400, "Content-Length is not one number");
  return Number(length);
}

function readHost(version: string, hosts: readonly string[]): Authority | undefined | HttpError {
  const [host] = hosts;
  if (host === undefined)
    return version === "1.0" ? undefined : new HttpError(400, "The Host field is missing");
  if (hosts.length > 1) return new HttpError(400, "There is more than one Host field");
  return parseAuthority(host) ?? new HttpError(400, "The Host field is malformed");
}

/** "*" is a target of OPTIONS alone (RFC 9112 3.2.4). */
export function readTarget(method: string, url: ByteString): ReturnType<typeof parseTarget> {
  if (method === "OPTIONS" && url === WHOLE_SERVER)
    return { target: url, path: url, query: undefined, authority: undefined };
  return parseTarget(url);
}

/** RFC 9110 10.1.1. HTTP/1.0 clients do not wait, so theirs is ignored. */
function readExpectation(version: string, expectations: readonly string[]): boolean | HttpError {
  if (version === "1.0" || expectations.length === 0) return false;
  if (expectations.every((value) => value.toLowerCase() === "100-continue")) return true;
  return new HttpError(417, 'The only expectation here is "100-continue"');
}
