// The keys of a mount that say how files are served.

import { check, choice, convert, flag, shown, text } from "./shape.ts";

export const fileKeys = {
  compress: flag(true).meta({
    description:
      "Send text, scripts, fonts and the like compressed (br, zstd, gzip) to clients that accept it: files of 1 KiB to 8 MiB, compressed in a thread of its own and kept, 32 MiB in each worker. On, unlike in nginx: files hold no secrets beside a visitor's own words, and the work is done once.",
  }),
  precompressed: flag(true).meta({
    description:
      "Send page.html.br, page.html.zst or page.html.gz for page.html to clients that accept it, if it is not older than page.html.",
  }),
  autoindex: flag().meta({
    description:
      "List directories that have no default file: names, sizes and dates of up to 10000 files, without hidden ones. As JSON where Accept prefers it, or with ?format=json.",
  }),
  fallback: convert(check(text(), fileFault), (value) => value.replace(/^\/+/, ""))
    .exactOptional()
    .meta({
      description:
        "File below the directory that is served, with 200, for paths where there is none: for applications that route in the browser. Only for GET and HEAD that accept HTML; a missing name with a suffix, such as /app.js, stays 404 unless Accept names text/html.",
      examples: ["index.html"],
    }),
  symlinks: choice("inside", "anywhere", "none").default("inside").meta({
    description:
      "Which symlinks below the directory are followed: those that end inside of it, those that lead anywhere, or none.",
  }),
};

/** Only a file mount needs it to name a file: lwsws files give CGI mounts the default "/". */
export function fileFault(value: string): string | undefined {
  const isInside = !value.includes("\0") && !value.split("/").includes("..");
  return isInside ? undefined : `Expected a file name below the directory, got ${shown(value)}`;
}

export const fileKeyNames = Object.keys(fileKeys);
