// The access log: one line for each request, in Apache's formats byte for byte, or as JSON. Escaped so that a client can forge
// neither a line nor a field. The lane writes one for each of its requests, so a line must cost about a microsecond.

import type { VhostConfig } from "../config/vhost.ts";
import type { AppendFile } from "../log/append-file.ts";
import type { ByteString } from "./http/exchange.ts";

export type AccessEntry = {
  readonly remoteAddress: string;
  /** Whose password was checked; a space in it would shift the fields behind. */
  readonly user?: ByteString | undefined;
  /** "GET /x HTTP/1.1" as sent; undefined where none could be read. */
  readonly requestLine: ByteString | undefined;
  readonly status: number;
  /** Bytes of the body that were sent. */
  readonly bytes: number;
  readonly referer?: ByteString | undefined;
  readonly userAgent?: ByteString | undefined;
  readonly requestId?: string | undefined;
};

export type AccessLog = {
  /**
   * `durationMs` from the end of the request's head to the end of its answer; `times` for so many requests that are alike;
   * `endedAt` is performance.now(), if it is known already.
   */
  log(entry: AccessEntry, durationMs?: number, times?: number, endedAt?: number): void;
};

export type AccessLogOptions = {
  readonly format: VhostConfig["access-log-format"];
  /** "name:port" */
  readonly vhost: string;
  readonly now?: () => number;
};

/** How the lines of one vhost look; `stamp` as from formatTime or formatInstant. */
type Format = (entry: AccessEntry, stamp: string, durationMs?: number) => string;

const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";
const MS_PER_SEC = 1_000;
/** GoAccess takes the rest of a longer line for another one. Nothing that people ask for is as long. */
const MAX_LINE_BYTES = 4_095;
/** Of a referer or a user agent in a line that is too long; the request line has what is left. */
const MAX_FIELD_BYTES = 1_000;

/** Writes entries to a file that may be shared by several vhosts. */
export function createAccessLog(
  file: Pick<AppendFile, "write">,
  { format, vhost, now = Date.now }: AccessLogOptions,
): AccessLog {
  const write = formatOf(format, vhost);
  const stampOf = format === "json" ? formatInstant : formatTime;
  let second = Number.NaN;
  let stamp = "";
  /** performance.now() when the second of `stamp` is over. */
  let until = Number.NEGATIVE_INFINITY;

  function look(endedAt: number | undefined): void {
    const ms = now();
    const time = Math.floor(ms / MS_PER_SEC);
    if (endedAt !== undefined) until = endedAt + (time + 1) * MS_PER_SEC - ms;
    if (time === second) return;
    second = time;
    stamp = stampOf(new Date(time * MS_PER_SEC));
  }

  return {
    log(entry, durationMs, times = 1, endedAt?) {
      if (endedAt === undefined || endedAt >= until) look(endedAt);
      const line = write(entry, stamp, durationMs);
      for (let count = 0; count < times; count += 1) file.write(line);
    },
  };
}

function formatOf(format: AccessLogOptions["format"], vhost: string): Format {
  if (format === "json")
    return (entry, stamp, durationMs) => formatJson(entry, stamp, vhost, durationMs);
  const combined = createCombined();
  if (format === "combined") return rememberLine(combined);
  const prefix = `${escape(vhost)} `;
  const behind = createCombined(MAX_LINE_BYTES - prefix.length);
  return rememberLine((entry, stamp) => prefix + behind(entry, stamp));
}

/** Many requests of one second are alike in all that a line tells; the lane has the same strings for those. */
function rememberLine(write: Format): Format {
  let last: AccessEntry | undefined;
  let lastStamp = "";
  let line = "";
  return (entry, stamp) => {
    if (last === undefined || stamp !== lastStamp || !isAlike(entry, last)) {
      line = write(entry, stamp);
      last = entry;
      lastStamp = stamp;
    }
    return line;
  };
}

function isAlike(one: AccessEntry, other: AccessEntry): boolean {
  return (
    one.requestLine === other.requestLine &&
    one.remoteAddress === other.remoteAddress &&
    one.status === other.status &&
    one.bytes === other.bytes &&
    one.userAgent === other.userAgent &&
    one.referer === other.referer &&
    one.user === other.user &&
    one.requestId === other.requestId
  );
}

/** The combined format; an identifier of the request is one more field at its end. */
export function createCombined(maxBytes = MAX_LINE_BYTES): Format {
  const start = rememberLast(
    (address: string, user: ByteString | undefined, stamp: string) =>
      `${address} - ${userField(user)} [${stamp}] "`,
  );
  const middle = rememberLast(
    (status: number, bytes: number) => `" ${status} ${bytes === 0 ? "-" : bytes} "`,
  );
  const agents = rememberLast(
    (referer: ByteString | undefined, userAgent: ByteString | undefined) =>
      `${field(referer)}" "${field(userAgent)}`,
  );
  return (entry, stamp) => {
    const { user, requestLine, status, bytes, requestId } = entry;
    const end = requestId === undefined ? '"\n' : `" "${field(requestId)}"\n`;
    const line =
      start(entry.remoteAddress, user, stamp) +
      field(requestLine) +
      middle(status, bytes) +
      agents(entry.referer, entry.userAgent) +
      end;
    if (line.length <= maxBytes) return line;
    const referer = shorten(entry.referer, MAX_FIELD_BYTES);
    const userAgent = shorten(entry.userAgent, MAX_FIELD_BYTES);
    const others =
      line.length - [requestLine, entry.referer, entry.userAgent].map(field).join("").length;
    const room = maxBytes - others - field(referer).length - field(userAgent).length;
    return (
      `${entry.remoteAddress} - ${userField(user)} [${stamp}] "${field(shortenMiddle(requestLine, room))}" ` +
      `${status} ${bytes === 0 ? "-" : bytes} "${field(referer)}" "${field(userAgent)}${end}`
    );
  };
}

const CUT = "...";

/** The longest beginning that fits when it is escaped, and the mark of a cut. */
function shorten(text: ByteString | undefined, maxBytes: number): ByteString | undefined {
  if (text === undefined || field(text).length <= maxBytes) return text;
  let kept = text.slice(0, maxBytes - CUT.length);
  // Every byte may have become four.
  while (kept !== "" && field(kept).length > maxBytes - CUT.length)
    kept = kept.slice(0, Math.floor((kept.length * 3) / 4));
  return kept + CUT;
}

/** The version stays at its end, by which readers know a request line. */
function shortenMiddle(line: ByteString | undefined, maxBytes: number): ByteString | undefined {
  if (line === undefined) return line;
  const version = / HTTP\/\d\.\d$/.exec(line)?.[0] ?? "";
  const start = line.slice(0, line.length - version.length);
  return (shorten(start, maxBytes - version.length) ?? "") + version;
}

/** Requests come in runs that differ in little; putting every part together anew is what a line costs most. */
function rememberLast<A, B>(write: (one: A, two: B) => string): (one: A, two: B) => string;
function rememberLast<A, B, C>(
  write: (one: A, two: B, three: C) => string,
): (one: A, two: B, three: C) => string;
function rememberLast(
  write: (one: unknown, two: unknown, three?: unknown) => string,
): (one: unknown, two: unknown, three?: unknown) => string {
  let written: string | undefined;
  let [lastOne, lastTwo, lastThree]: unknown[] = [];
  return (one, two, three) => {
    if (written === undefined || one !== lastOne || two !== lastTwo || three !== lastThree) {
      lastOne = one;
      lastTwo = two;
      lastThree = three;
      written = write(one, two, three);
    }
    return written;
  };
}

/** One line of JSON. Bytes above ASCII stand as the characters of the same number, so that nothing is lost whatever they mean. */
function formatJson(
  entry: AccessEntry,
  stamp: string,
  vhost: string,
  durationMs: number | undefined,
): string {
  const { remoteAddress, user, requestLine, status, bytes, referer, userAgent } = entry;
  const members = {
    time: stamp,
    vhost,
    client: remoteAddress,
    user,
    request: requestLine,
    status,
    bytes,
    ms: durationMs === undefined ? undefined : Math.round(durationMs * 1000) / 1000,
    referer,
    user_agent: userAgent,
    request_id: entry.requestId,
  };
  const line = JSON.stringify(members).replace(/[\u007f-\uffff]/g, (character) => {
    const code = character.charCodeAt(0).toString(16).padStart(4, "0");
    return `\\u${code}`;
  });
  return `${line}\n`;
}

/** Local time as in "10/Oct/2000:13:55:36 -0700". */
export function formatTime(date: Date): string {
  const month = MONTHS.slice(date.getMonth() * 3, date.getMonth() * 3 + 3);
  const day = `${twoDigits(date.getDate())}/${month}/${date.getFullYear()}`;
  return `${day}:${clockOf(date)} ${zoneOf(date, "")}`;
}

/** Local time as in "2000-10-10T13:55:36-07:00" (RFC 3339). */
export function formatInstant(date: Date): string {
  const day = [date.getFullYear(), twoDigits(date.getMonth() + 1), twoDigits(date.getDate())];
  return `${day.join("-")}T${clockOf(date)}${zoneOf(date, ":")}`;
}

function clockOf(date: Date): string {
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
}

function zoneOf(date: Date, separator: string): string {
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? "-" : "+";
  const hours = twoDigits(Math.trunc(Math.abs(offset) / 60));
  return sign + hours + separator + twoDigits(Math.abs(offset) % 60);
}

/** Space to "~" without the quote and the backslash. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** As Apache writes what the client sent: "-" where there is nothing. */
function field(text: ByteString | undefined): string {
  if (text === undefined) return "-";
  // Nearly every value ends here.
  return PLAIN.test(text) ? text : escape(text);
}

/** Stands between spaces, not quotes: a name with a space in it would be two fields to those who read the log. */
function userField(user: string | undefined): string {
  if (user === undefined) return "-";
  if (user === "") return '""';
  return field(user).replaceAll(" ", "\\x20");
}

/** As ap_escape_logitem: quotes and backslashes get a backslash, what does not print becomes \xHH or a C escape. */
function escape(text: ByteString): string {
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
