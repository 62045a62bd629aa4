// Dates of HTTP fields (RFC 9110 5.6.7): all three forms are read, each of them exactly. Date.parse would take "1" for a date.

const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";
const IMF_FIXDATE = /^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
const FIXDATE_LENGTH = "Sun, 06 Nov 1994 08:49:37 GMT".length;
const RFC850 = /^\w{6,9}, (\d{2})-(\w{3})-(\d{2}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
const ASCTIME = /^\w{3} (\w{3}) ([ \d]\d) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/;

/** Seconds since the epoch, undefined for what is not a date. */
export function parseHttpDate(text: string, now = Date.now()): number | undefined {
  // Nearly every date, and its parts stand where they always do: to take them out by themselves costs most of it.
  if (text.length === FIXDATE_LENGTH && IMF_FIXDATE.test(text)) {
    const time = [text.slice(17, 19), text.slice(20, 22), text.slice(23, 25)];
    return seconds(Number(text.slice(12, 16)), text.slice(8, 11), text.slice(5, 7), time);
  }
  const old = RFC850.exec(text);
  if (old) {
    const [, day, month, year, ...time] = old;
    return seconds(fullYear(Number(year), now), month, day, time);
  }
  const asctime = ASCTIME.exec(text);
  if (asctime) {
    const [, month, day, hour = "", minute = "", second = "", year] = asctime;
    return seconds(Number(year), month, day, [hour, minute, second]);
  }
  return undefined;
}

/** Seconds since the epoch as an IMF-fixdate. */
export function formatHttpDate(epochSeconds: number): string {
  return new Date(epochSeconds * 1000).toUTCString();
}

/** Two digits stand for the last year with them that is not more than 50 years ahead. */
function fullYear(digits: number, now: number): number {
  const thisYear = new Date(now).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + digits;
  return year > thisYear + 50 ? year - 100 : year;
}

function seconds(
  year: number,
  monthName = "",
  day = "",
  time: readonly string[] = [],
): number | undefined {
  const month = MONTHS.indexOf(monthName) / 3;
  const [hour = 0, minute = 0, second = 0] = time.map(Number);
  if (!Number.isInteger(month) || month < 0) return undefined;
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(Date.UTC(year, month, Number(day), hour, minute, second));
  // Date.UTC rolls 31 February over into March.
  return date.getUTCMonth() === month ? date.getTime() / 1000 : undefined;
}
