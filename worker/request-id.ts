// The identifier of a request: one name for it in the answer, the access log and whatever answers it.

import { randomBytes } from "node:crypto";

export const REQUEST_ID_FIELD = "X-Request-Id";

const NAME = REQUEST_ID_FIELD.toLowerCase();
const ID_BYTES = 16;
/** What may stand in a header, a log line and an environment without being escaped. */
const ACCEPTABLE = /^[\w.~+/=:-]{1,128}$/;

/** Leaves exactly one X-Request-Id in the fields of a request: the one it came with, where that may be kept, else a new one. */
export function stampRequest(rawHeaders: string[], mayKeep: boolean): string {
  const sent: string[] = [];
  for (let at = rawHeaders.length - 2; at >= 0; at -= 2) {
    const name = rawHeaders[at] ?? "";
    if (name.length !== NAME.length || name.toLowerCase() !== NAME) continue;
    sent.push(...rawHeaders.splice(at, 2).slice(1));
  }
  const [only = ""] = sent;
  const isKept = mayKeep && sent.length === 1 && ACCEPTABLE.test(only);
  const id = isKept ? only : randomBytes(ID_BYTES).toString("hex");
  rawHeaders.push(REQUEST_ID_FIELD, id);
  return id;
}
