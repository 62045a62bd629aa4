// A list of a directory as a page for people, or as JSON in nginx's form. Names are hostile: they are escaped in text and in links.

import { setImmediate } from "node:timers/promises";
import type { HeaderPair } from "../../../config/vhost.ts";
import type { ByteString, Exchange } from "../../http/exchange.ts";
import { preferredType } from "../../http/negotiate.ts";
import { encodePath } from "../../http/target.ts";
import { MAX_ENTRIES, type Entry, type Listing } from "./list.ts";

const HTML = "text/html";
const JSON_TYPE = "application/json";

/** No script runs in it, whatever a name may smuggle in. */
const POLICY: HeaderPair = [
  "Content-Security-Policy",
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
];

/** Sends a list in the form that the client asks for: by "?format=json" or "?format=html", else by its Accept field. */
export async function sendListing(
  exchange: Exchange,
  listing: Listing,
  cacheControl: string,
): Promise<void> {
  const type = chooseType(exchange);
  const headers: HeaderPair[] = [
    ["Content-Type", type === HTML ? "text/html; charset=utf-8" : type],
    // It has no date and no tag, so it cannot be kept for a while as files can.
    ["Cache-Control", cacheControl === "no-store" ? cacheControl : "no-cache"],
    ["Vary", "Accept"],
  ];
  if (type === HTML) {
    const rows = await renderInSlices(listing.entries, renderRow);
    exchange.send(200, [...headers, POLICY], renderPage(exchange.path, rows, listing.isComplete));
  } else {
    const rows = await renderInSlices(listing.entries, renderJson);
    exchange.send(200, headers, `[\n${rows.slice(0, -",\n".length)}\n]\n`);
  }
}

/** Rows written before others get their turn: ten thousand at once would take 30 ms. */
const SLICE = 250;

async function renderInSlices(
  entries: readonly Entry[],
  render: (entry: Entry) => string,
): Promise<string> {
  let rows = "";
  for (let at = 0; at < entries.length; at += SLICE) {
    if (at > 0) await setImmediate();
    for (const entry of entries.slice(at, at + SLICE)) rows += render(entry);
  }
  return rows;
}

function chooseType(exchange: Exchange): string {
  const [, format] = /(?:^|&)format=(json|html)(?:&|$)/.exec(exchange.query ?? "") ?? [];
  if (format !== undefined) return format === "json" ? JSON_TYPE : HTML;
  return preferredType(exchange.header("accept"), [HTML, JSON_TYPE]) ?? HTML;
}

function renderJson({ name, kind, size, modified }: Entry): string {
  const mtime = new Date(modified).toUTCString();
  const row = { name: asText(name), type: kind, mtime, ...(kind === "file" && { size }) };
  return `${JSON.stringify(row)},\n`;
}

const STYLE = `:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}
body{margin:2rem auto;max-width:60rem;padding:0 1rem}
h1{font-size:1.4rem;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
th,td{padding:.15rem 1rem .15rem 0;text-align:left;font-weight:400}
th{border-bottom:1px solid;opacity:.7}
td:first-child{overflow-wrap:anywhere}
td:nth-child(n+2){white-space:nowrap;font-variant-numeric:tabular-nums}
.size{text-align:right}`;

function renderPage(path: ByteString, rows: string, isComplete: boolean): string {
  const title = `Index of ${escapeHtml(asText(path))}`;
  const up = path === "/" ? "" : '<tr><td><a href="../">../</a></td><td></td><td></td></tr>\n';
  const more = isComplete ? "" : `<p>Only ${MAX_ENTRIES} names are shown; there are more.</p>\n`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
${STYLE}
</style>
<h1>${title}</h1>
<table>
<tr><th>Name</th><th class="size">Size</th><th>Last change (UTC)</th></tr>
${up}${rows}</table>
${more}</html>
`;
}

function renderRow({ name, kind, size, modified }: Entry): string {
  const slash = kind === "directory" ? "/" : "";
  // The dot keeps "a:b" from being a link to the scheme "a".
  const link = escapeHtml(`./${encodePath(name)}${slash}`);
  const when = new Date(modified).toISOString().slice(0, 16).replace("T", " ");
  const bytes = kind === "directory" ? "" : formatBytes(size);
  return `<tr><td><a href="${link}">${escapeHtml(asText(name))}${slash}</a></td><td class="size">${bytes}</td><td>${when}</td></tr>\n`;
}

function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), 5);
  return `${(bytes / 1024 ** power).toFixed(1)} ${"KMGTP"[power - 1]}iB`;
}

/** Names are bytes; what is no UTF-8 cannot be shown, but its link works. */
function asText(name: ByteString): string {
  return Buffer.from(name, "latin1").toString("utf8");
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
