// Configured error pages: files that are read beforehand, so that a page can be shown at once, from memory, whatever has failed.
// A page is looked at again when it was shown and a while has passed; nobody waits for that.

import type { MountConfig } from "../config/mount.ts";
import type { VhostConfig } from "../config/vhost.ts";
import type { Logger } from "../log/logger.ts";
import type { ErrorAnswer, ErrorPages } from "./http/error-page.ts";
import { HttpError, type ByteString } from "./http/exchange.ts";
import { encodePath } from "./http/target.ts";
import type { Mount, Page } from "./mount.ts";

/** How long a page is shown before its file is looked at again. */
const FRESH_MS = 1_000;

const NOT_FOUND = 404;

/** The mount that a path leads to, and what is left of the path there. */
export type Find = (
  path: ByteString,
) => { readonly mount: Mount; readonly rest: ByteString } | undefined;

export type VhostErrorPages = {
  /** Those of a mount, or those for answers that no mount gives. */
  of(mount?: MountConfig): ErrorPages | undefined;
  /** Reads all pages; `refuse` hears of those that no file mount serves. A page that is not there yet may come later. */
  load(find: Find, refuse: (key: string, message: string) => void): Promise<void>;
};

type Kept = {
  readonly path: ByteString;
  page: Page | undefined;
  checkedAt: number;
  /** Said once, not once a second. */
  isMissed: boolean;
};

/** Undefined where neither the vhost nor any of its mounts has pages. */
export function createErrorPages(vhost: VhostConfig, log: Logger): VhostErrorPages | undefined {
  const document = vhost["error-document-404"];
  const own = vhost["error-pages"];
  const withPages = vhost.mounts.filter((mount) => Object.keys(mount["error-pages"]).length > 0);
  if (document === undefined && Object.keys(own).length === 0 && withPages.length === 0)
    return undefined;

  const kept = new Map<string, Kept>();
  let find: Find = () => undefined;

  function keep(path: string): Kept {
    const known = kept.get(path);
    if (known) return known;
    const bytes = Buffer.from(path, "utf8").toString("latin1");
    const entry: Kept = { path: bytes, page: undefined, checkedAt: 0, isMissed: false };
    kept.set(path, entry);
    return entry;
  }

  /** What is there stays until something else is there: a page that is being replaced does not vanish. */
  async function read(entry: Kept): Promise<void> {
    entry.checkedAt = performance.now();
    try {
      const match = find(entry.path);
      const page = await match?.mount.readPage?.(match.rest);
      entry.page = page ?? entry.page;
      entry.isMissed = false;
    } catch (error) {
      if (entry.isMissed) return;
      entry.isMissed = true;
      const path = Buffer.from(entry.path, "latin1").toString("utf8");
      const why = error instanceof HttpError && error.status === 404 ? "no such file" : error;
      log.warn(
        typeof why === "string" ? {} : { err: why },
        `Vhost ${vhost.name}: cannot read the error page "${path}"${typeof why === "string" ? `: ${why}` : ""}`,
      );
    }
  }

  function current(path: string): Page | undefined {
    const entry = keep(path);
    if (performance.now() - entry.checkedAt > FRESH_MS) void read(entry);
    return entry.page;
  }

  function pagesOf(mount?: MountConfig): ErrorPages {
    const pages: Readonly<Record<string, string>> = { ...own, ...mount?.["error-pages"] };
    const documentPath = document === undefined ? undefined : keep(document).path;
    return {
      answer(status, { method, path }) {
        const configured = pages[status];
        if (configured !== undefined) return show(status, current(configured));
        if (status !== NOT_FOUND || document === undefined || documentPath === undefined)
          return undefined;
        if (path === documentPath) return show(status, current(document));
        // As lwsws does: links in the page are relative to where it lies.
        if (method !== "GET" && method !== "HEAD") return undefined;
        return { status: 302, headers: [["Location", encodePath(documentPath)]], body: "" };
      },
      isDocument: (path) =>
        document !== undefined && path === documentPath && current(document) !== undefined,
    };
  }

  const vhostPages = pagesOf();
  return {
    of: (mount) =>
      mount && Object.keys(mount["error-pages"]).length > 0 ? pagesOf(mount) : vhostPages,
    async load(finder, refuse) {
      find = finder;
      const wanted = [
        ...Object.entries(own).map(([status, path]) => [`error-pages.${status}`, path] as const),
        ...withPages.flatMap((mount) =>
          Object.entries(mount["error-pages"]).map(
            ([status, path]) => [`${mount.path}.error-pages.${status}`, path] as const,
          ),
        ),
      ];
      for (const [key, path] of wanted) {
        const entry = keep(path);
        if (find(entry.path)?.mount.readPage === undefined)
          refuse(key, `No file mount serves ${JSON.stringify(path)}`);
        else if (!entry.page) await read(entry);
      }
      // It may be anything, also a program: who is sent there gets what it answers.
      if (document !== undefined) await read(keep(document));
    },
  };
}

function show(status: number, page: Page | undefined): ErrorAnswer | undefined {
  if (!page) return undefined;
  const { type, bytes } = page;
  return { status, headers: type === undefined ? [] : [["Content-Type", type]], body: bytes };
}
