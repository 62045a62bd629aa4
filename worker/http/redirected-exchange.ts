// The request that a local redirect stands for (RFC 3875 6.2.2): the same client asks for another path of this vhost, by GET
// and without a body. What it is answered is the answer of the request it came from.

import { Readable, type Writable } from "node:stream";
import type { HeaderPair } from "../../config/vhost.ts";
import { HttpError, type ByteString, type Exchange } from "./exchange.ts";
import { parseTarget, type Target } from "./target.ts";

/** A chain of redirects this long leads nowhere. */
export const MAX_LOCAL_REDIRECTS = 10;

/** Fields about the body that the first request had, and about how it was sent. */
const ABOUT_BODY = /^(?:content-.*|expect|transfer-encoding|trailer|te)$/i;

/** The exchange to dispatch next; undefined where it was refused instead. */
export function redirectLocally(exchange: Exchange, location: ByteString): Exchange | undefined {
  const depth = exchange instanceof RedirectedExchange ? exchange.depth + 1 : 1;
  const target = parseTarget(location);
  if (target && depth <= MAX_LOCAL_REDIRECTS)
    return new RedirectedExchange(exchange, target, depth);
  const reason = target ? "Redirects lead in a circle" : "A redirect leads nowhere";
  exchange.fail(new HttpError(502, reason));
  return undefined;
}

class RedirectedExchange implements Exchange {
  readonly method = "GET";
  readonly bodyBytes = 0;
  readonly body = Readable.from([]);
  readonly depth: number;
  readonly fields: readonly HeaderPair[];
  readonly #origin: Exchange;
  readonly #target: Target;

  constructor(origin: Exchange, target: Target, depth: number) {
    this.#origin = origin;
    this.#target = target;
    this.depth = depth;
    this.fields = origin.fields.filter(([name]) => !ABOUT_BODY.test(name));
  }

  get target(): ByteString {
    return this.#target.target;
  }
  get path(): ByteString {
    return this.#target.path;
  }
  get query(): ByteString | undefined {
    return this.#target.query;
  }
  get version(): Exchange["version"] {
    return this.#origin.version;
  }
  get authority(): string | undefined {
    return this.#origin.authority;
  }
  get host(): string {
    return this.#origin.host;
  }
  get secure(): boolean {
    return this.#origin.secure;
  }
  get remoteAddress(): string {
    return this.#origin.remoteAddress;
  }
  get remotePort(): number {
    return this.#origin.remotePort;
  }
  get localAddress(): string {
    return this.#origin.localAddress;
  }
  get localPort(): number {
    return this.#origin.localPort;
  }
  get client(): Exchange["client"] {
    return this.#origin.client;
  }
  get user(): ByteString | undefined {
    return this.#origin.user;
  }
  set user(user: ByteString | undefined) {
    this.#origin.user = user;
  }

  header(name: string): string | undefined {
    return ABOUT_BODY.test(name) ? undefined : this.#origin.header(name);
  }
  send(status: number, headers: readonly HeaderPair[], body?: Uint8Array | string): void {
    this.#origin.send(status, headers, body);
  }
  stream(status: number, headers: readonly HeaderPair[]): Writable {
    return this.#origin.stream(status, headers);
  }
  fail(error: unknown): void {
    this.#origin.fail(error);
  }
  abort(reason: string): void {
    this.#origin.abort(reason);
  }
  onAbort(callback: () => void): void {
    this.#origin.onAbort(callback);
  }
  onClientEnd(callback: () => void): void {
    this.#origin.onClientEnd(callback);
  }
}
