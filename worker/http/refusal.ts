// A refusal as bytes, for requests that Node's parser has no response object for: malformed ones, CONNECT, upgrades.

import { answerFor } from "./error-page.ts";
import type { HttpError } from "./exchange.ts";
import { http } from "./lean-http.ts";
import { composeFields, type ConfiguredFields } from "./response-head.ts";

export type RenderedRefusal = {
  /** One character per byte. */
  readonly head: string;
  readonly page: Buffer;
};

/** Nobody is sent elsewhere who has asked for nothing. */
export const NO_REQUEST = { method: "", path: "" };

/** The last answer of a connection. */
export function renderRefusal(
  refusal: HttpError,
  configured: ConfiguredFields,
  serverString: string | undefined,
): RenderedRefusal {
  const { status, headers, body } = answerFor(refusal, NO_REQUEST, configured.pages);
  const page = Buffer.from(body);
  const fields = composeFields({
    status,
    headers,
    configured,
    serverString,
    version: "1.1",
    length: page.length,
    closes: true,
    keepAliveSecs: 0,
  });
  return { head: renderHead(status, fields), page };
}

function renderHead(status: number, fields: readonly string[]): string {
  const reason = http.STATUS_CODES[status] ?? "Unknown";
  let head = `HTTP/1.1 ${status} ${reason}\r\nDate: ${new Date().toUTCString()}\r\n`;
  for (let at = 0; at + 1 < fields.length; at += 2) head += `${fields[at]}: ${fields[at + 1]}\r\n`;
  return `${head}\r\n`;
}
