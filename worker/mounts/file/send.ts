// Sends what was decided through an exchange, at the client's pace. Whoever found the representation closes it afterwards.

import type { Writable } from "node:stream";
import type { HeaderPair } from "../../../config/vhost.ts";
import type { Decision } from "../../http/decide.ts";
import { HttpError, type Exchange } from "../../http/exchange.ts";
import type { Representation } from "../../http/representation.ts";
import { FileChanged, PIECE_BYTES, readPieces, readWhole } from "./read.ts";

/** Answers. Throws HttpError for a refusal, FileChanged when nothing was sent and another try may do better. */
export async function sendDecision(
  exchange: Exchange,
  { content }: Representation,
  { status, fields, length, pieces }: Decision,
): Promise<void> {
  if (status >= 400) throw new HttpError(status, "", { headers: fields });
  if (status === 304) return exchange.send(status, fields);
  const withLength: HeaderPair[] = [...fields, ["Content-Length", String(length)]];
  if (exchange.method === "HEAD") return void exchange.stream(status, withLength).end();
  if (content.kind === "memory" || length <= PIECE_BYTES)
    return exchange.send(status, fields, await readWhole(content, pieces, length));

  const source = readPieces(content, pieces);
  // Before the head: until then a file that changed can be opened again.
  const first = await source.next();
  const body = exchange.stream(status, withLength);
  try {
    for (let next = first; !next.done && !body.destroyed; next = await source.next())
      if (!body.write(next.value)) await drained(body);
    body.end();
  } catch (error) {
    // Half of it must not look like the whole of it.
    if (!(error instanceof FileChanged)) exchange.fail(error);
    exchange.abort(`Cannot send the whole file: ${String(error)}`);
  }
}

function drained(body: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (body.destroyed) return resolve();
    const go = (): void => {
      body.off("drain", go);
      body.off("close", go);
      resolve();
    };
    body.on("drain", go);
    body.on("close", go);
  });
}
