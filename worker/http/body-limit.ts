// The longest body a mount takes. A length that is announced is looked at before anything else; one that is not, as it arrives.

import type { Readable } from "node:stream";
import type { SiteVhost } from "../router.ts";
import type { MountMatch } from "../router.ts";
import { HttpError } from "./exchange.ts";

/** In bytes; Infinity for none. */
export function bodyLimit(vhost: SiteVhost, match: MountMatch | undefined): number {
  const bytes = match?.config["max-body-bytes"] ?? vhost.config["max-body-bytes"];
  return bytes === 0 ? Infinity : bytes;
}

/** The refusal of a body that is announced to be too long. */
export function refuseLength(bodyBytes: number | undefined, limit: number): HttpError | undefined {
  return (bodyBytes ?? 0) > limit ? tooLong(limit) : undefined;
}

/** Calls back once when more than `limit` bytes of a body have come; nothing more of it is passed on then. */
export function limitBody(
  body: Readable,
  limit: number,
  onExceeded: (refusal: HttpError) => void,
): void {
  if (limit === Infinity) return;
  let left = limit;
  const push = body.push.bind(body);
  // Counts without reading: a listener would set the stream flowing, a pipe would hide who waits for whom.
  body.push = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
    if (chunk === null) return push(chunk);
    if (left < 0) return false;
    left -= chunk.length;
    if (left >= 0) return push(chunk, encoding);
    onExceeded(tooLong(limit));
    return false;
  };
}

function tooLong(limit: number): HttpError {
  return new HttpError(413, `The longest request body here has ${limit} bytes`);
}
