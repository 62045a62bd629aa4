// The asking half of an Exchange on Node's HTTP/1.1 parser: what the checked head, the raw fields and the connection say.

import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { HeaderPair } from "../../config/vhost.ts";
import type { SiteVhost } from "../router.ts";
import type { Connection } from "./connection.ts";
import type { ByteString } from "./exchange.ts";
import { pairFields, type RequestHead } from "./request-head.ts";

export type RequestParts = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: RequestHead;
  readonly vhost: SiteVhost;
  readonly connection: Connection;
};

export class Http1Request {
  readonly #parts: RequestParts;
  #body: Readable | undefined;
  #fields: readonly HeaderPair[] | undefined;
  #values: Map<string, string> | undefined;

  constructor(parts: RequestParts) {
    this.#parts = parts;
  }

  get method(): string {
    return this.#parts.head.method;
  }
  get target(): ByteString {
    return this.#parts.head.target;
  }
  get path(): ByteString {
    return this.#parts.head.path;
  }
  get query(): ByteString | undefined {
    return this.#parts.head.query;
  }
  get version(): "1.0" | "1.1" {
    return this.#parts.head.version;
  }
  get authority(): string | undefined {
    return this.#parts.head.authority?.text;
  }
  get host(): string {
    return this.#parts.head.authority?.host ?? this.#parts.vhost.config.name;
  }
  get secure(): boolean {
    return this.#parts.connection.secure;
  }
  get remoteAddress(): string {
    return this.#parts.connection.remoteAddress;
  }
  get remotePort(): number {
    return this.#parts.connection.remotePort;
  }
  get localAddress(): string {
    return this.#parts.connection.localAddress;
  }
  get localPort(): number {
    return this.#parts.connection.localPort;
  }
  get bodyBytes(): number | undefined {
    return this.#parts.head.bodyBytes;
  }

  get fields(): readonly HeaderPair[] {
    return (this.#fields ??= pairFields(this.#parts.request.rawHeaders));
  }

  get body(): Readable {
    if (this.#body) return this.#body;
    const { request, response, head } = this.#parts;
    if (head.bodyBytes === 0) return (this.#body = Readable.from([]));
    if (head.expectsContinue && !response.headersSent && !response.destroyed)
      response.writeContinue();
    return (this.#body = request);
  }

  header(name: string): string | undefined {
    this.#values ??= joinFields(this.fields);
    return this.#values.get(name);
  }

  /** Whether the whole request has been read off the connection. */
  get isRead(): boolean {
    return this.#parts.request.complete;
  }

  /** Whether somebody reads the body and the client does not send it. */
  get awaitsBody(): boolean {
    const { request } = this.#parts;
    if (this.#body !== request || request.complete) return false;
    return request.readableLength < request.readableHighWaterMark;
  }
}

/** The first line of a request as it was sent. */
export function requestLine(request: IncomingMessage): ByteString {
  return `${request.method} ${request.url} HTTP/${request.httpVersion}`;
}

function joinFields(fields: readonly HeaderPair[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    const before = values.get(lower);
    // RFC 9110 5.3, and RFC 9113 8.2.3 for cookies.
    const separator = lower === "cookie" ? "; " : ", ";
    values.set(lower, before === undefined ? value : before + separator + value);
  }
  return values;
}
