// The asking half of an Exchange that every front shares: what the checked head, the vhost and the connection say.

import type { HeaderPair } from "../../config/vhost.ts";
import type { SiteVhost } from "../router.ts";
import type { Client, ClientCertificate } from "./connection.ts";
import type { ByteString } from "./exchange.ts";
import type { RequestHead } from "./request-head.ts";

export type ServedParts = {
  readonly head: RequestHead;
  readonly vhost: SiteVhost;
  readonly connection: Client;
};

export abstract class ServedRequest {
  readonly #parts: ServedParts;
  #values: Map<string, string> | undefined;
  /** As Exchange.user. */
  user: ByteString | undefined;

  /** Header fields in order, names as sent. */
  abstract readonly fields: readonly HeaderPair[];

  constructor(parts: ServedParts) {
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
  get version(): RequestHead["version"] {
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
  get client(): ClientCertificate | undefined {
    return this.#parts.connection.tls?.client;
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

  header(name: string): string | undefined {
    this.#values ??= joinFields(this.fields);
    return this.#values.get(name);
  }
}

/** Values by lower-case name. */
export function joinFields(fields: readonly HeaderPair[]): Map<string, string> {
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
