// The page that says what went wrong. Nothing of the request is ever repeated in it.

import { http } from "./lean-http.ts";

/** A short HTML page for a status; `message` adds a sentence where it helps. */
export function errorPage(status: number, message: string): string {
  const title = `${status} ${http.STATUS_CODES[status] ?? "Error"}`;
  const sentence = message === "" ? "" : `\n<p>${escapeHtml(message)}</p>`;
  return `<!doctype html>\n<title>${title}</title>\n<h1>${title}</h1>${sentence}\n`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
