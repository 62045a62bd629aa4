// What a file mount has in memory, by path: files with their prepared replies, and what is answered where there is no file.
// Once a second, when somebody asks, everything is found anew the ordinary way: through symlinks, index files and copies beside
// the file, with all checks. If that comes to the same entity tag the bytes stay, else they go. So nothing is ever older than a second.

import { performance } from "node:perf_hooks";
import type { FileCache, Kept } from "../../file-cache.ts";
import { decide } from "../../http/decide.ts";
import { HttpError, type ByteString } from "../../http/exchange.ts";
import { formatHttpDate } from "../../http/http-date.ts";
import type { ReadyRequest } from "../../http/lane-head.ts";
import { acceptedCodings } from "../../http/negotiate.ts";
import { prepareError, PreparedReply } from "../../http/prepared.ts";
import type { Representation } from "../../http/representation.ts";
import type { Mount } from "../../mount.ts";
import { release, type FileFinder } from "./find.ts";
import { readWhole } from "./read.ts";

/** What was found stays true for so long, ms. */
const FRESH_MS = 1_000;
/** A file that was written a moment ago may be written again within the same tick of the file system's clock, and look the same. */
const SETTLED_MS = 2_000;
/** What an entry takes beside its file: replies, fields, names. */
const ENTRY_BYTES = 2 * 1024;
/** Values of Accept-Encoding that are remembered; there are about ten in the world. */
const MAX_VALUES = 64;

type Entry = Kept & {
  readonly content: Content;
  /** performance.now() of the moment before it was found. */
  checkedAt: number;
};

type Content =
  | {
      readonly kind: "file";
      readonly representation: Representation;
      readonly whole: PreparedReply;
      readonly unchanged: PreparedReply;
      /** As in Last-Modified, but for a file from the future, whose date is not told. */
      readonly modified: string;
      /** Fields that say that the client has it, as ReadyRequest has them. */
      knownBy: object | undefined;
    }
  | { readonly kind: "error"; readonly reply: PreparedReply }
  /** A directory that was asked for without its slash. */
  | { readonly kind: "slash" }
  /** Nothing that is kept: a large file, a listing, something that depends on more of the request. */
  | { readonly kind: "other" };

type Table = Map<string, Kept>;

export type KeptFiles = {
  /** As Mount.ready. */
  readonly ready: NonNullable<Mount["ready"]>;
  /** The file, if it is in memory or can be put there; undefined where only the finder can tell. */
  fetch(rest: ByteString, acceptEncoding: string | undefined): Promise<Representation | undefined>;
};

export type KeptOptions = {
  readonly cache: FileCache;
  readonly finder: FileFinder;
  /** Whether the coding is chosen by Accept-Encoding. */
  readonly encodes: boolean;
  readonly redirect: (path: ByteString, query: ByteString | undefined) => PreparedReply;
};

/** Prepares the memory of one mount. */
export function createKeptFiles(options: KeptOptions): KeptFiles {
  const { cache, finder, encodes, redirect } = options;
  /** What is the same whatever coding the client accepts. */
  const common: Table = new Map();
  const byCodings = new Map<string, Table>();
  const tableOfValue = new Map<string, Table>();
  const loads = new Map<string, Promise<void>>();

  function tableFor(acceptEncoding: string | undefined): Table {
    if (!encodes) return common;
    // Who says nothing about codings is a case of its own, not one of "all".
    const value = acceptEncoding ?? "";
    let table = tableOfValue.get(value);
    if (table) return table;
    const { codings, identity } = acceptedCodings(value);
    const name = `${codings.join()} ${identity}`;
    table = byCodings.get(name) ?? new Map<string, Kept>();
    byCodings.set(name, table);
    if (tableOfValue.size >= MAX_VALUES) tableOfValue.clear();
    tableOfValue.set(copyOf(value), table);
    return table;
  }

  /** Of the client's codings, or of all; what is too old too. */
  function lookUp(table: Table, rest: ByteString): Entry | undefined {
    return (table.get(rest) ?? (table === common ? undefined : common.get(rest))) as
      | Entry
      | undefined;
  }

  function isFresh(entry: Entry, now: number): boolean {
    return now - entry.checkedAt < FRESH_MS;
  }

  /** Finds out what stands at a path. Many may wait for one. */
  function load(table: Table, rest: ByteString, acceptEncoding: string | undefined): Promise<void> {
    const name = `${table === common ? "" : acceptEncoding}\n${rest}`;
    const running = loads.get(name);
    if (running) return running;
    const started = reload(table, rest, acceptEncoding).finally(() => loads.delete(name));
    loads.set(name, started);
    return started;
  }

  async function reload(
    table: Table,
    rest: ByteString,
    acceptEncoding: string | undefined,
  ): Promise<void> {
    const checkedAt = performance.now();
    const before = lookUp(table, rest);
    const etag = before?.content.kind === "file" ? before.content.representation.etag : undefined;
    let asksForMore = false;
    const header = (name: string): string | undefined => {
      if (name === "accept-encoding") return acceptEncoding;
      if (name === "accept") asksForMore = true;
      // Nobody has to encode again what is here already.
      return name === "if-none-match" ? etag : undefined;
    };
    const found = await find(rest, header, etag);
    if (found === "same" && before) {
      before.checkedAt = checkedAt;
      return;
    }
    if (before) cache.drop(before);
    const content: Content =
      found === undefined || found === "same" || asksForMore ? { kind: "other" } : found;
    const isCommon = content.kind !== "file" || !isNegotiated(content.representation);
    const size = content.kind === "file" ? content.representation.size : 0;
    cache.keep(
      {
        key: copyOf(rest),
        table: isCommon && !asksForMore ? common : table,
        bytes: ENTRY_BYTES + size,
        wasUsed: false,
        content,
        checkedAt,
      } as Entry,
      content.kind === "file" ? "file" : "note",
    );
  }

  async function find(
    rest: ByteString,
    header: (name: string) => string | undefined,
    etag: string | undefined,
  ): Promise<Content | "same" | undefined> {
    try {
      const place = await finder.find(rest, header);
      if (place.kind === "directory without slash") return { kind: "slash" };
      if (place.kind === "directory") return undefined;
      const { representation } = place;
      try {
        if (representation.etag === etag) return "same";
        return await take(representation);
      } finally {
        release(representation);
      }
    } catch (error) {
      if (error instanceof HttpError && error.status < 500)
        return { kind: "error", reply: prepareError(error) };
      return undefined;
    }
  }

  async function take(representation: Representation): Promise<Content | undefined> {
    const { size, content, lastModified } = representation;
    if (size > cache.maxFileBytes || content.kind === "nothing") return undefined;
    if (Math.abs(Date.now() - lastModified * 1000) < SETTLED_MS) return undefined;
    const pieces = size === 0 ? [] : [{ start: 0, end: size }];
    const bytes = Buffer.from(await readWhole(content, pieces, size));
    const { fields, validators } = representation;
    return {
      kind: "file",
      representation: { ...representation, content: { kind: "memory", bytes } },
      whole: new PreparedReply(200, fields, bytes),
      unchanged: new PreparedReply(304, validators),
      modified: formatHttpDate(lastModified),
      knownBy: undefined,
    };
  }

  return {
    ready(request, rest) {
      const acceptEncoding = encodes ? request.header("accept-encoding") : undefined;
      const table = tableFor(acceptEncoding);
      const entry = lookUp(table, rest);
      if (!entry || !isFresh(entry, request.now)) return load(table, rest, acceptEncoding);
      entry.wasUsed = true;
      const { content } = entry;
      switch (content.kind) {
        case "file":
          cache.counts.cacheHits += 1;
          return choose(request, content);
        case "error":
          return content.reply;
        case "slash":
          return redirect(request.path, request.query);
        default:
          return undefined;
      }
    },
    async fetch(rest, acceptEncoding) {
      const value = encodes ? acceptEncoding : undefined;
      const table = tableFor(value);
      let entry = lookUp(table, rest);
      if (!entry || !isFresh(entry, performance.now())) {
        await load(table, rest, value);
        entry = lookUp(table, rest);
      }
      if (entry?.content.kind !== "file" || !isFresh(entry, performance.now())) return undefined;
      entry.wasUsed = true;
      cache.counts.cacheHits += 1;
      return entry.content.representation;
    },
  };
}

/** A string at hand may be a part of a whole request, which would be kept with it. */
function copyOf(text: ByteString): ByteString {
  return Buffer.from(text, "latin1").toString("latin1");
}

/** Whether the client's codings had a say in it. */
function isNegotiated({ validators }: Representation): boolean {
  return validators.some(([name]) => name === "Vary");
}

/** What a browser asks that has the file, in the very words it was told: beside If-None-Match its date does not count (RFC 9110 13.2.2). */
function isUnchanged(request: ReadyRequest, etag: string, modified: string): boolean {
  // They are looked at first.
  if (request.header("if-match") !== undefined) return false;
  if (request.header("if-unmodified-since") !== undefined) return false;
  const known = request.header("if-none-match");
  if (known !== undefined) return known === etag;
  return request.header("if-modified-since") === modified;
}

function choose(
  request: ReadyRequest,
  content: Extract<Content, { kind: "file" }>,
): PreparedReply | undefined {
  const { representation, whole, unchanged, modified, knownBy } = content;
  if (!request.isConditional) return whole;
  const { fields } = request;
  if (fields !== undefined && fields === knownBy) return unchanged;
  if (isUnchanged(request, representation.etag, modified)) {
    content.knownBy = fields;
    return unchanged;
  }
  const { method } = request;
  const { status } = decide({ method, header: (name) => request.header(name) }, representation);
  if (status === 304) return unchanged;
  // Parts and refusals are rare: the other way knows them.
  return status === 200 ? whole : undefined;
}
