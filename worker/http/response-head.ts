// The fields of an answer: what the mount says, what is configured, and what the server itself must say about framing.

import type { HeaderPair } from "../../config/vhost.ts";
import { REQUEST_ID_FIELD } from "../request-id.ts";
import type { ErrorPages } from "./error-page.ts";

/** Fields of a vhost and a mount, combined once. */
export type ConfiguredFields = {
  readonly fields: readonly HeaderPair[];
  /** Their names in lower case. */
  readonly names: ReadonlySet<string>;
  /** What is shown instead of the built-in error pages. */
  readonly pages?: ErrorPages | undefined;
};

export type ReplyHead = {
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  readonly configured: ConfiguredFields;
  readonly serverString: string | undefined;
  readonly version: "1.0" | "1.1" | "2.0";
  /** Bytes of the body that GET would bring, undefined when they are not known before. */
  readonly length: number | undefined;
  readonly closes: boolean;
  readonly keepAliveSecs: number;
};

/** Set for each answer by the server alone; a mount or a CGI program that names them is not heard. */
const FRAMING: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
]);

/** Configured for what is served, wrong about an error page. */
const ABOUT_CONTENT = /^(?:cache-control|content-.*|etag|expires|last-modified|pragma)$/;

/** Fields, or also names that nobody below may send. */
export type Layer =
  | readonly HeaderPair[]
  | { readonly fields: readonly HeaderPair[]; readonly withheld: readonly string[] };

/** Combines layers of configured fields; a later layer replaces names of the earlier ones. */
export function configureFields(...layers: readonly Layer[]): ConfiguredFields {
  let fields: HeaderPair[] = [];
  const names = new Set<string>();
  for (const layer of layers) {
    const [added, withheld] = "fields" in layer ? [layer.fields, layer.withheld] : [layer, []];
    const own = new Set(
      [...added.map(([name]) => name), ...withheld].map((name) => name.toLowerCase()),
    );
    fields = [...fields.filter(([name]) => !own.has(name.toLowerCase())), ...added];
    for (const name of own) names.add(name);
  }
  return { fields, names };
}

/** The fields of a vhost whose requests have identifiers, with the one of this request. */
export function withRequestId(
  configured: ConfiguredFields,
  id: string | undefined,
): ConfiguredFields {
  if (id === undefined) return configured;
  const { fields, names } = configureFields(configured.fields, [[REQUEST_ID_FIELD, id]]);
  // Withheld names are among those of before.
  return { ...configured, fields, names: configured.names.union(names) };
}

/** Whether a status brings a body (RFC 9110 6.4.1). */
export function hasBody(status: number): boolean {
  return status >= 200 && status !== 204 && status !== 304;
}

/** All fields of an answer but Date, names and values alternating. Configured ones replace those of the mount, but for cookies. */
export function composeFields(reply: ReplyHead): string[] {
  const { configured, status } = reply;
  const fields: string[] = [];
  let hasServer = reply.serverString === undefined;
  const isHttp2 = reply.version === "2.0";
  let upgrade = false;
  for (const [name, value] of reply.headers) {
    const lower = name.toLowerCase();
    if (FRAMING.has(lower)) continue;
    if (configured.names.has(lower) && lower !== "set-cookie" && applies(lower, status)) continue;
    if (lower === "server") hasServer = true;
    if (lower === "upgrade") {
      // HTTP/2 has no such field (RFC 9113 8.2.2), and a status that needs it means a protocol of HTTP/1.1.
      if (isHttp2) continue;
      upgrade = true;
    }
    fields.push(name, value);
  }
  for (const [name, value] of configured.fields) {
    const lower = name.toLowerCase();
    if (!applies(lower, status)) continue;
    if (lower === "server") hasServer = true;
    fields.push(name, value);
  }
  if (!hasServer) fields.push("Server", reply.serverString ?? "");
  frame(fields, reply);
  if (!isHttp2) persist(fields, reply, upgrade);
  return fields;
}

function applies(name: string, status: number): boolean {
  return status < 400 || !ABOUT_CONTENT.test(name);
}

function frame(fields: string[], { status, version, length }: ReplyHead): void {
  if (!hasBody(status)) return;
  if (length !== undefined) fields.push("Content-Length", String(length));
  // HTTP/1.0 knows no chunks: there the end of the connection ends the body.
  else if (version === "1.1") fields.push("Transfer-Encoding", "chunked");
}

function persist(fields: string[], reply: ReplyHead, upgrade: boolean): void {
  if (reply.closes) fields.push("Connection", upgrade ? "close, upgrade" : "close");
  else {
    // The client is told how long the connection lasts, so it does not write into one that is about to close.
    fields.push("Connection", upgrade ? "keep-alive, upgrade" : "keep-alive");
    fields.push("Keep-Alive", `timeout=${reply.keepAliveSecs}`);
  }
}
