// Sends what was decided through an exchange, at the client's pace. Whoever found the representation closes it afterwards.

import type { BigIntStats } from "node:fs";
import type { Writable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { HeaderPair } from "../../../config/vhost.ts";
import type { PageCache, Sightings } from "../../../posix/page-cache.ts";
import { AnswerBody } from "../../http/answer-body.ts";
import type { Decision } from "../../http/decide.ts";
import { HttpError, type Exchange } from "../../http/exchange.ts";
import type { Representation } from "../../http/representation.ts";
import {
  FileChanged,
  PIECE_BYTES,
  readPieces,
  readWhole,
  type OpenFile,
  type Shortcuts,
} from "./read.ts";

/** A file that was written more recently is copied. */
const QUIET_MS = 60_000;
/** What sendfile(2) is asked for at once. */
const WINDOW_BYTES = 1024 * 1024;
/** What one client gets before others have their turn. */
const TURN_BYTES = 4 * 1024 * 1024;

/** Answers. Throws HttpError for a refusal, FileChanged when nothing was sent and another try may do better. */
export async function sendDecision(
  exchange: Exchange,
  { content }: Representation,
  { status, fields, length, pieces }: Decision,
  openPageCache?: () => Promise<PageCache | undefined>,
): Promise<void> {
  if (status >= 400) throw new HttpError(status, "", { headers: fields });
  if (status === 304) return exchange.send(status, fields);
  const withLength: HeaderPair[] = [...fields, ["Content-Length", String(length)]];
  if (exchange.method === "HEAD") return void exchange.stream(status, withLength).end();
  if (content.kind === "memory" || length <= PIECE_BYTES)
    return exchange.send(status, fields, await readWhole(content, pieces, length));

  const shortcuts =
    content.kind === "descriptor" && isQuiet(content.stat)
      ? shortcutsFor(content, await openPageCache?.())
      : undefined;
  const source = readPieces(content, pieces, shortcuts);
  // Before the head: until then a file that changed can be opened again.
  const first = await source.next();
  const body = exchange.stream(status, withLength);
  if (body instanceof AnswerBody) shortcuts?.into(body);
  try {
    for (let next = first; !next.done && !body.destroyed; next = await source.next())
      await taken(body, next.value);
    body.end();
  } catch (error) {
    // Half of it must not look like the whole of it.
    if (!(error instanceof FileChanged)) exchange.fail(error);
    exchange.abort(`Cannot send the whole file: ${String(error)}`);
  }
}

/** Resolves when the kernel has the bytes, or nobody will take them any more. */
function taken(body: Writable, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      body.off("close", go);
      resolve();
    };
    if (body.destroyed) return resolve();
    body.on("close", go);
    body.write(bytes, go);
  });
}

/**
 * Pages that the kernel has not sent yet change with their file, which no later look can undo. So only files are sent this way
 * that have rested for a while: one that is being written is copied. A change that comes nevertheless cuts the answer as ever.
 */
function isQuiet({ mtimeNs }: BigIntStats): boolean {
  return Date.now() - Number(mtimeNs / 1_000_000n) > QUIET_MS;
}

/** What the page cache makes possible; sending past this process only once it is known into which body. */
function shortcutsFor(
  { fd, stat }: OpenFile,
  pageCache: PageCache | undefined,
): (Shortcuts & { into(body: AnswerBody): void }) | undefined {
  if (!pageCache) return undefined;
  let sightings: Sightings | undefined;
  let body: AnswerBody | undefined;
  let isSupported = true;
  return {
    into(known) {
      body = known;
    },
    isCached: (at) => pageCache.holds(fd, at),
    get canPass() {
      return isSupported && body?.descriptor !== undefined;
    },
    /** Sends from the page cache as long as the client takes it, in turns, for others wait too. */
    async pass(at, most) {
      let bytes = 0;
      for (let turnBytes = 0; isSupported && bytes < most;) {
        const descriptor = body?.descriptor;
        if (descriptor === undefined) break;
        sightings ??= pageCache.sightings(stat);
        const sent = pageCache.send(
          descriptor,
          fd,
          at + bytes,
          Math.min(WINDOW_BYTES, most - bytes),
          sightings,
        );
        if (sent === "unsupported") isSupported = false;
        if (typeof sent !== "number") break;
        body?.passed(sent);
        bytes += sent;
        turnBytes += sent;
        if (turnBytes < TURN_BYTES) continue;
        // Whether the file is still the same is looked at again, too.
        await nextTurn();
        break;
      }
      return bytes;
    },
  };
}
