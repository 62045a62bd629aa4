// The fields of an HTTP/2 request -> its checked head (RFC 9113 8.3). Malformed ones are told from those that deserve an answer: the
// same as HTTP/1.1 gives.

import type { HeaderPair } from "../../config/vhost.ts";
import { SERVER_METHODS } from "../http/dispatch.ts";
import { HttpError, type ByteString } from "../http/exchange.ts";
import { http } from "../http/lean-http.ts";
import { parseAuthority, type Authority } from "../http/host.ts";
import { LENGTH, readTarget, type RequestHead } from "../http/request-head.ts";
import type { RequestLimits } from "../limits.ts";
import { parsePriority, DEFAULT_PRIORITY, type Priority } from "./priority.ts";
import type { Field } from "./field.ts";
import type { DecodedFields } from "./hpack-decoder.ts";

export type Http2Head = {
  readonly head: RequestHead;
  /** With Host made of the authority, for whoever knows HTTP/1.1 only. */
  readonly fields: readonly HeaderPair[];
  /** "GET /x HTTP/2.0", for the log. */
  readonly requestLine: ByteString;
  readonly priority: Priority;
  /** Of an extended CONNECT (RFC 8441). */
  readonly protocol: ByteString | undefined;
};

export type HeadVerdict =
  | { readonly kind: "request"; readonly request: Http2Head }
  /** Answered with a status. */
  | {
      readonly kind: "refused";
      readonly refusal: HttpError;
      readonly requestLine: ByteString;
      readonly method: string;
    }
  /** The stream is reset (RFC 9113 8.1.1). */
  | { readonly kind: "malformed"; readonly reason: string };

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Methods that HTTP/1.1 requests can have here; the others have the same answer. */
const KNOWN_METHODS: ReadonlySet<string> = new Set(http.METHODS);
const SCHEME = /^https?$/i;

const NO_PROXY = new HttpError(405, "This server is no proxy", {
  headers: [["Allow", SERVER_METHODS]],
});

type Collected = {
  method?: ByteString;
  scheme?: ByteString;
  path?: ByteString;
  authority?: ByteString;
  protocol?: ByteString;
  length?: ByteString;
  priority?: ByteString;
  hosts: number;
  host?: ByteString;
  expects?: ByteString;
};

/** Checks a decoded block; `endsStream` tells that no body follows. */
export function readRequest(
  decoded: DecodedFields,
  endsStream: boolean,
  limits: RequestLimits,
): HeadVerdict {
  const found: Collected = { hosts: 0 };
  const regular: HeaderPair[] = [];
  const reason = collect(decoded.fields, found, regular);
  if (reason !== undefined) return malformed(reason);
  const { method, scheme, path, protocol } = found;
  if (method === undefined) return malformed(":method is missing");
  const isTunnel = method === "CONNECT" && protocol === undefined;
  if (isTunnel) {
    if (scheme !== undefined || path !== undefined || found.authority === undefined)
      return malformed("CONNECT has :authority alone");
  } else if (scheme === undefined || path === undefined || path === "")
    return malformed(":scheme or :path is missing");
  if (protocol !== undefined && method !== "CONNECT") return malformed(":protocol needs CONNECT");
  if (path !== undefined && !path.startsWith("/") && !(path === "*" && method === "OPTIONS"))
    return malformed(":path is no path");
  if (found.length !== undefined && !LENGTH.test(found.length))
    return malformed("Content-Length is not one number");
  if (endsStream && Number(found.length ?? 0) > 0)
    return malformed("The body that Content-Length announces is missing");

  const shown = isTunnel ? found.authority : path;
  const requestLine = `${method} ${shown} HTTP/2.0`;
  const head = isTunnel ? NO_PROXY : readHead(decoded, found, endsStream, limits);
  if (head instanceof HttpError) return { kind: "refused", refusal: head, requestLine, method };
  const fields: HeaderPair[] =
    head.authority === undefined ? regular : [["host", head.authority.text], ...regular];
  const priority = found.priority === undefined ? DEFAULT_PRIORITY : parsePriority(found.priority);
  return { kind: "request", request: { head, fields, requestLine, priority, protocol } };
}

/** Whether a block may end a request (RFC 9113 8.1): what is wrong with it, or undefined. */
export function checkTrailers(decoded: DecodedFields): string | undefined {
  for (const { kind } of decoded.fields)
    if (kind === "malformed" || kind.startsWith(":")) return "The trailers are malformed";
  return undefined;
}

/** Sorts the fields; returns what makes them malformed. */
function collect(
  fields: readonly Field[],
  found: Collected,
  regular: HeaderPair[],
): string | undefined {
  for (const { name, value, kind } of fields) {
    switch (kind) {
      case ":method":
      case ":scheme":
      case ":path":
      case ":authority":
      case ":protocol": {
        const key = kind.slice(1) as "method" | "scheme" | "path" | "authority" | "protocol";
        if (regular.length > 0 || found.hosts > 0) return `${kind} stands behind other fields`;
        if (found[key] !== undefined) return `${kind} is there twice`;
        found[key] = value;
        break;
      }
      case "malformed":
        return "A field is malformed";
      case "host":
        // :authority is told to the mount instead, or this, but never both.
        found.hosts += 1;
        found.host = value;
        break;
      case "content-length":
        if (found.length !== undefined) return "There is more than one Content-Length";
        found.length = value;
        regular.push([name, value]);
        break;
      case "expect":
        found.expects = found.expects === undefined ? value : `${found.expects}, ${value}`;
        regular.push([name, value]);
        break;
      case "priority":
        found.priority = found.priority === undefined ? value : `${found.priority}, ${value}`;
        regular.push([name, value]);
        break;
      default:
        regular.push([name, value]);
    }
  }
  return undefined;
}

/** What HTTP/1.1 would answer with a status is answered with it here too. */
function readHead(
  decoded: DecodedFields,
  found: Collected,
  endsStream: boolean,
  { maxHeaderFields, maxTargetBytes }: RequestLimits,
): RequestHead | HttpError {
  const { method = "", path = "/", scheme = "https" } = found;
  if (decoded.isTooLarge) return new HttpError(431, "The header fields are too large");
  if (decoded.fields.length > maxHeaderFields)
    return new HttpError(431, `The request has more than ${maxHeaderFields} header fields`);
  if (path.length > maxTargetBytes) return new HttpError(414, "The request target is too long");
  if (!TOKEN.test(method)) return new HttpError(400, "The method is malformed");
  if (!KNOWN_METHODS.has(method)) return new HttpError(501, "This method is not known here");
  if (!SCHEME.test(scheme)) return new HttpError(400, "The scheme is not one of HTTP");
  const authority = readAuthority(found);
  if (authority instanceof HttpError) return authority;
  const target = readTarget(method, path);
  if (!target) return new HttpError(400, "The request target is malformed");
  const expects = found.expects?.toLowerCase();
  if (expects !== undefined && expects !== "100-continue")
    return new HttpError(417, 'The only expectation here is "100-continue"');
  return {
    method,
    target: target.target,
    path: target.path,
    query: target.query,
    version: "2.0",
    authority,
    bodyBytes: bodyBytes(found, endsStream),
    expectsContinue: expects !== undefined,
  };
}

function bodyBytes({ length }: Collected, endsStream: boolean): number | undefined {
  if (endsStream) return 0;
  return length === undefined ? undefined : Number(length);
}

/** :authority goes before Host, which a client may send in its place (RFC 9113 8.3.1). */
function readAuthority(found: Collected): Authority | HttpError {
  if (found.authority !== undefined)
    return (
      parseAuthority(found.authority) ?? new HttpError(400, "The :authority field is malformed")
    );
  if (found.host === undefined) return new HttpError(400, "The :authority field is missing");
  if (found.hosts > 1) return new HttpError(400, "There is more than one Host field");
  return parseAuthority(found.host) ?? new HttpError(400, "The Host field is malformed");
}

function malformed(reason: string): HeadVerdict {
  return { kind: "malformed", reason };
}
