// The page that says what went wrong. Nothing of the request is ever repeated in it.

import type { HeaderPair } from "../../config/vhost.ts";
import type { ByteString, HttpError } from "./exchange.ts";
import { http } from "./lean-http.ts";

/** The answer to a request that failed. */
export type ErrorAnswer = {
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array | string;
};

/** What of a request decides about its error page. */
export type Failed = { readonly method: string; readonly path: ByteString };

/** The pages of a vhost or mount; they come from memory. */
export type ErrorPages = {
  /** Undefined where there is no page of its own for this status. */
  answer(status: number, failed: Failed): ErrorAnswer | undefined;
  /** Whether a path is that of the page for what is not found: itself it is "not found" too. */
  isDocument(path: ByteString): boolean;
};

/** What a refusal is answered with: a configured page or the built-in one, and the fields that the refusal brings. */
export function answerFor(
  refusal: HttpError,
  failed: Failed,
  pages: ErrorPages | undefined,
): ErrorAnswer {
  const { status, message, headers } = refusal;
  const own = pages?.answer(status, failed);
  if (own) return { ...own, headers: [...own.headers, ...headers] };
  const type: HeaderPair = ["Content-Type", "text/html; charset=utf-8"];
  // What went wrong in here is no business of a client's.
  const body = errorPage(status, status < 500 ? message : "");
  return { status, headers: [type, ...headers], body };
}

/** A short HTML page for a status; `message` adds a sentence where it helps. */
export function errorPage(status: number, message: string): string {
  const title = `${status} ${http.STATUS_CODES[status] ?? "Error"}`;
  const sentence = message === "" ? "" : `\n<p>${escapeHtml(message)}</p>`;
  return `<!doctype html>\n<title>${title}</title>\n<h1>${title}</h1>${sentence}\n`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
