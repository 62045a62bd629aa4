// Serves files below a directory: `"origin": "file:///srv/www"`. GET and HEAD only; a directory answers with its index file.

import { closeSync, createReadStream, read } from "node:fs";
import { pipeline } from "node:stream";
import { promisify } from "node:util";
import type { MountConfig } from "../../config/mount.ts";
import type { HeaderPair } from "../../config/vhost.ts";
import type { Docroot, Found } from "../docroot.ts";
import { evaluateConditions, type Verdict } from "../http/conditional.ts";
import { HttpError, type ByteString, type Exchange } from "../http/exchange.ts";
import { formatHttpDate } from "../http/http-date.ts";
import { encodePath } from "../http/target.ts";
import { createMediaTypes, type MediaTypes } from "../media-types.ts";
import { defineMount, type Mount } from "../mount.ts";

/** A file up to this size is read whole and leaves in one write; a larger one is streamed in pieces of this size. */
const WHOLE_BYTES = 64 * 1024;
const METHODS: HeaderPair = ["Allow", "GET, HEAD, OPTIONS"];

/** Causes are for `portico explain`; the client learns nothing of them. */
const HIDDEN = "names that start with a dot are not served";
const NO_FILE = "its default file is a directory";

const readAsync = promisify(read);

/** `file://` mounts. */
export const file = defineMount({
  scheme: "file",
  provision({ origin, config, docroots, refuse }) {
    const root = docroots(origin.directory);
    if (typeof root === "string") {
      refuse("origin", root);
      return { handle: (exchange) => exchange.fail(new HttpError(503, "This mount was refused")) };
    }
    return createFileMount(root, config);
  },
});

type OpenFile = Extract<Found, { kind: "file" }>;

/** What Cache-Control says under lwsws's five keys. */
export function cachePolicy(
  config: Pick<
    MountConfig,
    "cache-max-age" | "cache-reuse" | "cache-revalidate" | "cache-intermediaries" | "cache-no"
  >,
): string {
  if (config["cache-no"]) return "no-cache";
  const maxAge = config["cache-max-age"];
  if (maxAge <= 0 || !config["cache-reuse"]) return "no-store";
  const audience = config["cache-intermediaries"] ? "public" : "private";
  const revalidate = config["cache-revalidate"] ? "must-revalidate, " : "";
  return `${revalidate}${audience}, max-age=${maxAge}`;
}

function createFileMount(root: Docroot, config: MountConfig): Mount {
  const mediaTypes = createMediaTypes(config["extra-mimetypes"]);
  const caching: HeaderPair = ["Cache-Control", cachePolicy(config)];
  const index = Buffer.from(config.default, "utf8").toString("latin1");
  const isRoot = config.mountpoint === "/";

  return {
    async handle(exchange, rest) {
      const { method } = exchange;
      if (method === "OPTIONS") return exchange.send(204, [METHODS]);
      if (method !== "GET" && method !== "HEAD")
        throw new HttpError(405, "Files answer to GET and HEAD", { headers: [METHODS] });
      if (isHidden(rest, isRoot)) throw new HttpError(404, "", { cause: HIDDEN });
      let name = rest;
      let found = await root.open(name);
      if (found.kind === "directory") {
        if (!name.endsWith("/")) return redirectToDirectory(exchange);
        name += index;
        found = await root.open(name);
      }
      if (found.kind === "directory") throw new HttpError(404, "", { cause: NO_FILE });
      await answer(exchange, found, describe(found, name, mediaTypes, caching));
    },
  };
}

/** Names with a leading dot are nobody's business (".git", ".env", ".htaccess"), but for /.well-known/ (RFC 8615). */
function isHidden(rest: ByteString, isRoot: boolean): boolean {
  const from = isRoot && rest.startsWith("/.well-known/") ? "/.well-known".length : 0;
  return rest.includes("/.", from);
}

/** Relative links need the slash. The path has no empty segments, so this never starts with "//"; a backslash leaves escaped. */
function redirectToDirectory(exchange: Exchange): void {
  const query = exchange.query === undefined ? "" : `?${exchange.query}`;
  exchange.send(301, [["Location", `${encodePath(exchange.path)}/${query}`]]);
}

type Description = {
  /** For 200. */
  readonly headers: readonly HeaderPair[];
  /** For 304: those that a cache updates (RFC 9110 15.4.5). */
  readonly validators: readonly HeaderPair[];
  readonly etag: string;
  readonly lastModified: number;
};

function describe(
  { stat }: OpenFile,
  name: ByteString,
  mediaTypes: MediaTypes,
  caching: HeaderPair,
): Description {
  const etag = `"${[stat.ino, stat.size, stat.mtimeNs].map((part) => part.toString(36)).join("-")}"`;
  const lastModified = Number(stat.mtimeNs / 1_000_000_000n);
  // A date in the future would make every later answer look older (RFC 9110 8.8.2.1).
  const shown = Math.min(lastModified, Math.floor(Date.now() / 1000));
  const validators: HeaderPair[] = [
    ["ETag", etag],
    ["Last-Modified", formatHttpDate(shown)],
    caching,
  ];
  const type = mediaTypes(name);
  const headers: HeaderPair[] =
    type === undefined ? validators : [["Content-Type", type], ...validators];
  return { headers, validators, etag, lastModified };
}

/** Answers with an open file and closes it. */
async function answer(exchange: Exchange, found: OpenFile, about: Description): Promise<void> {
  const { fd, stat } = found;
  const size = Number(stat.size);
  const headers: HeaderPair[] = [...about.headers, ["Content-Length", String(size)]];
  let verdict: Verdict | "send-whole" = evaluateConditions((name) => exchange.header(name), about);
  let body: Buffer | undefined;
  if (verdict === "send" && exchange.method === "GET") {
    if (size > WHOLE_BYTES) return sendInPieces(exchange, fd, size, headers);
    verdict = "send-whole";
  }
  // The inode is in memory and was only read from: closing it does not touch the disk.
  try {
    if (verdict === "send-whole") body = await readWhole(fd, size);
  } finally {
    closeSync(fd);
  }
  if (verdict === "failed") throw new HttpError(412, "");
  if (verdict === "not-modified") exchange.send(304, about.validators);
  else if (body) exchange.send(200, about.headers, body);
  else exchange.stream(200, headers).end();
}

/** Never reads more than `size`, so a file that grows keeps its length; one that shrinks is cut by the exchange. Closes `fd`. */
function sendInPieces(
  exchange: Exchange,
  fd: number,
  size: number,
  headers: readonly HeaderPair[],
): Promise<void> {
  const source = createReadStream("", { fd, end: size - 1, start: 0, highWaterMark: WHOLE_BYTES });
  return new Promise((resolve) => {
    pipeline(source, exchange.stream(200, headers), (error) => {
      // A read error must not look like the end of the file; where the client is gone this changes nothing.
      if (error) exchange.abort(`Cannot send the whole file: ${error.message}`);
      resolve();
    });
  });
}

async function readWhole(fd: number, size: number): Promise<Buffer> {
  const body = Buffer.allocUnsafe(size);
  let filled = 0;
  while (filled < size) {
    const { bytesRead } = await readAsync(fd, body, filled, size - filled, filled);
    if (bytesRead === 0)
      throw new HttpError(503, "The file changed while it was read", {
        headers: [["Retry-After", "1"]],
      });
    filled += bytesRead;
  }
  return body;
}
