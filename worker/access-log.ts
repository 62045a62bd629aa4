// The access log in Apache's combined format, escaped byte for byte as Apache does, so that a client can forge neither a line nor a field.

import type { AppendFile } from "../log/append-file.ts";
import type { ByteString } from "./http/exchange.ts";

export type AccessEntry = {
  readonly remoteAddress: string;
  /** Whose password was checked. */
  readonly user: ByteString | undefined;
  /** "GET /x HTTP/1.1" as sent; undefined where none could be read. */
  readonly requestLine: ByteString | undefined;
  readonly status: number;
  /** Bytes of the body that were sent. */
  readonly bytes: number;
  readonly referer: ByteString | undefined;
  readonly userAgent: ByteString | undefined;
};

export type AccessLog = { log(entry: AccessEntry): void };

const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";

/** Writes entries to a file that may be shared by several vhosts. */
export function createAccessLog(
  file: Pick<AppendFile, "write">,
  now: () => number = Date.now,
): AccessLog {
  let second = Number.NaN;
  let stamp = "";
  return {
    log(entry) {
      const time = Math.floor(now() / 1000);
      if (time !== second) {
        second = time;
        stamp = formatTime(new Date(time * 1000));
      }
      file.write(formatEntry(entry, stamp));
    },
  };
}

/** One line. `stamp` as from formatTime. */
export function formatEntry(entry: AccessEntry, stamp: string): string {
  const bytes = entry.bytes === 0 ? "-" : entry.bytes;
  return (
    `${entry.remoteAddress} - ${field(entry.user)} [${stamp}] "${field(entry.requestLine)}" ` +
    `${entry.status} ${bytes} "${field(entry.referer)}" "${field(entry.userAgent)}"\n`
  );
}

/** Local time as in "10/Oct/2000:13:55:36 -0700". */
export function formatTime(date: Date): string {
  const month = MONTHS.slice(date.getMonth() * 3, date.getMonth() * 3 + 3);
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? "-" : "+";
  const zone = twoDigits(Math.trunc(Math.abs(offset) / 60)) + twoDigits(Math.abs(offset) % 60);
  return `${twoDigits(date.getDate())}/${month}/${date.getFullYear()}:${clock} ${sign}${zone}`;
}

/** As ap_escape_logitem: quotes and backslashes get a backslash, what does not print becomes \xHH or a C escape. */
function field(text: ByteString | undefined): string {
  if (text === undefined) return "-";
  // Space to "~" without the quote and the backslash: nearly every value ends here.
  if (/^[ !#-[\]-~]*$/.test(text)) return text;
  return text.replace(/[^ !#-[\]-~]/g, (character) => {
    const known = C_ESCAPES.get(character);
    if (known !== undefined) return known;
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

const C_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ["\\", "\\\\"],
  ["\b", "\\b"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\v", "\\v"],
]);

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
