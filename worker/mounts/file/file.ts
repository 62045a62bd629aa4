// Serves files below a directory: `"origin": "file:///srv/www"`. GET and HEAD only; a directory answers with its index file.
// Finding, deciding and sending are apart: worker/http/representation.ts says how they meet.

import type { MountConfig } from "../../../config/mount.ts";
import type { HeaderPair } from "../../../config/vhost.ts";
import type { Compressor } from "../../compressor.ts";
import type { Docroot } from "../../docroot.ts";
import type { FileCache } from "../../file-cache.ts";
import { decide } from "../../http/decide.ts";
import { HttpError, type ByteString, type Exchange } from "../../http/exchange.ts";
import { PreparedReply } from "../../http/prepared.ts";
import { encodePath } from "../../http/target.ts";
import { createMediaTypes } from "../../media-types.ts";
import { defineMount, type Mount, type MountContext } from "../../mount.ts";
import { cachePolicy } from "./cache-policy.ts";
import { sendListing } from "./autoindex.ts";
import { createFinder, release, type Place } from "./find.ts";
import { createKeptFiles } from "./kept.ts";
import { createLister } from "./list.ts";
import { FileChanged, readWhole } from "./read.ts";
import { sendDecision } from "./send.ts";

const METHODS: HeaderPair = ["Allow", "GET, HEAD, OPTIONS"];

/** A file that is written to all the time is given up after so many openings. */
const MAX_TRIES = 4;

/** Error pages stay in memory; what is larger is none. */
const MAX_PAGE_BYTES = 256 * 1024;

/** `file://` mounts. */
export const file = defineMount({
  scheme: "file",
  provision({ origin, config, docroots, compressor, fileCache, pageCache, refuse }) {
    const root = docroots(origin.directory, config.symlinks);
    if (typeof root === "string") {
      refuse("origin", root);
      return { handle: (exchange) => exchange.fail(new HttpError(503, "This mount was refused")) };
    }
    return openedOnUse(fileCache.maxFileBytes >= 0, () =>
      createFileMount(root, config, compressor, fileCache, pageCache),
    );
  },
});

/** Of ten thousand mounts most are asked for nothing for a long time: what each needs to answer is made when it is. */
function openedOnUse(keepsFiles: boolean, create: () => Mount): Mount {
  let opened: Mount | undefined;
  const open = (): Mount => (opened ??= create());
  return {
    readPage: async (rest) => open().readPage?.(rest),
    ...(keepsFiles && { ready: (request, rest) => open().ready?.(request, rest) }),
    handle: (exchange, rest) => open().handle(exchange, rest),
  };
}

function createFileMount(
  root: Docroot,
  config: MountConfig,
  compressor: Compressor,
  cache: FileCache,
  pageCache: MountContext["pageCache"],
): Mount {
  const cacheControl = cachePolicy(config);
  const finder = createFinder({
    root,
    mediaTypes: createMediaTypes(config["extra-mimetypes"]),
    index: toBytes(config.default),
    fallback: config.fallback === undefined ? undefined : `/${toBytes(config.fallback)}`,
    listsDirectories: config.autoindex,
    isRoot: config.mountpoint === "/",
    cacheControl,
    precompressed: config.precompressed,
    compressor: config.compress ? compressor : undefined,
  });
  const list = createLister(root);
  const kept =
    cache.maxFileBytes < 0
      ? undefined
      : createKeptFiles({
          cache,
          finder,
          encodes: config.precompressed || config.compress,
          redirect: (path, query) => new PreparedReply(301, [directoryLocation(path, query)]),
        });

  async function tryToAnswer(exchange: Exchange, rest: ByteString): Promise<void> {
    const header = (name: string): string | undefined => exchange.header(name);
    const known = await kept?.fetch(rest, header("accept-encoding"));
    const place: Place = known
      ? { kind: "file", representation: known }
      : await finder.find(rest, header);
    if (place.kind === "directory without slash") {
      exchange.send(301, [directoryLocation(exchange.path, exchange.query)]);
      return;
    }
    if (place.kind === "directory") return sendListing(exchange, await list(rest), cacheControl);
    const { representation } = place;
    if (!known) cache.counts.cacheMisses += 1;
    try {
      const decision = decide({ method: exchange.method, header }, representation);
      await sendDecision(exchange, representation, decision, pageCache);
    } finally {
      release(representation);
    }
  }

  return {
    async readPage(rest) {
      const place = await finder.find(rest, () => undefined);
      if (place.kind !== "file") return undefined;
      const { content, size, type } = place.representation;
      try {
        if (size > MAX_PAGE_BYTES) return undefined;
        return { type, bytes: await readWhole(content, [{ start: 0, end: size }], size) };
      } finally {
        release(place.representation);
      }
    },
    ...(kept && { ready: (request, rest) => kept.ready(request, rest) }),
    async handle(exchange, rest) {
      const { method } = exchange;
      if (method === "OPTIONS") return exchange.send(204, [METHODS]);
      if (method !== "GET" && method !== "HEAD")
        throw new HttpError(405, "Files answer to GET and HEAD", { headers: [METHODS] });
      for (let tries = 1; ; tries += 1) {
        try {
          return await tryToAnswer(exchange, rest);
        } catch (error) {
          if (!(error instanceof FileChanged)) throw error;
          if (tries >= MAX_TRIES)
            throw new HttpError(503, error.message, { headers: [["Retry-After", "1"]] });
        }
      }
    },
  };
}

/** Paths are bytes, configured names are text. */
function toBytes(name: string): ByteString {
  return Buffer.from(name, "utf8").toString("latin1");
}

/** The path has no empty segments, so this never starts with "//"; a backslash leaves escaped. */
function directoryLocation(path: ByteString, query: ByteString | undefined): HeaderPair {
  return ["Location", `${encodePath(path)}/${query === undefined ? "" : `?${query}`}`];
}
