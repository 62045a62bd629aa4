// What a mount sees of one request and the ways it can answer, whatever carried it (HTTP/1.1 today).
// Every exchange ends exactly once, in a response or in an abort, and is counted and logged when it does.

import type { Readable, Writable } from "node:stream";
import type { HeaderPair } from "../../config/vhost.ts";
import type { ClientCertificate } from "./connection.ts";

/** A string with one character per byte (latin1): what came off the wire, or a decoded path. */
export type ByteString = string;

export interface Exchange {
  /** As sent, case-sensitive. */
  readonly method: string;
  /** Path and query as sent, in origin form: starts with "/". */
  readonly target: ByteString;
  /** Percent-decoded once, dot segments and repeated slashes gone; starts with "/". No NUL, CR or LF. */
  readonly path: ByteString;
  /** Raw text after the "?", undefined without one. */
  readonly query: ByteString | undefined;
  readonly version: "1.0" | "1.1" | "2.0";
  /** Header fields in order, names as sent. */
  readonly fields: readonly HeaderPair[];
  /** Host with port as sent, or undefined (HTTP/1.0 only). */
  readonly authority: string | undefined;
  /** Lower-case host without port; the vhost's name where the client named none. */
  readonly host: string;
  readonly secure: boolean;
  /** Undefined unless the vhost has "client-cert-required". */
  readonly client: ClientCertificate | undefined;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Content-Length, 0 for no body, undefined when chunked. Bytes. */
  readonly bodyBytes: number | undefined;
  /** Whose password was checked before the mount was asked; undefined where none was. Set by whoever checked it: dispatch(), and a mount of repositories for pushes. */
  user: ByteString | undefined;
  /** The request body, decoded of its transfer coding. The first use of this property sends 100-continue where the client waits for it. */
  readonly body: Readable;

  /** Value of a request header by lower-case name; several are joined by ", " (RFC 9110 5.3), cookies by "; ". */
  header(name: string): string | undefined;
  /** Answers whole. Content-Length, Date, Server, Connection and configured headers are added, and replace those in `headers`; HEAD, 204 and 304 send no body. */
  send(status: number, headers: readonly HeaderPair[], body?: Uint8Array | string): void;
  /** Starts an answer whose body follows. Without Content-Length in `headers` it is chunked (HTTP/1.0: until close); a body of another length, or destroyed before its end, aborts. Emits no errors. */
  stream(status: number, headers: readonly HeaderPair[]): Writable;
  /** Answers with a short HTML error page, or aborts when an answer has begun. */
  fail(error: unknown): void;
  /** Cuts the connection: the answer that has begun cannot be completed. */
  abort(reason: string): void;
  /** Calls back once if the client goes, or the answer is cut, before the answer was complete. */
  onAbort(callback: () => void): void;
  /** Calls back once if the client closes its sending side behind the whole request. It may still read, or may have left: only writing to it tells. */
  onClientEnd(callback: () => void): void;
}

/** A refusal with a status. Thrown in a mount, turned into a reply by Exchange.fail and nowhere else. Clients see the message where the status is below 500. */
export class HttpError extends Error {
  readonly code = "HTTP";
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  /** Where requests share a connection one after the other, this is the last answer on it. */
  readonly closes: boolean;
  constructor(
    status: number,
    message: string,
    options: { headers?: readonly HeaderPair[]; cause?: unknown; closes?: true } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = "HttpError";
    this.status = status;
    this.headers = options.headers ?? [];
    this.closes = options.closes ?? false;
  }
}
