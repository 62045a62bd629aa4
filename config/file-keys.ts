// The keys of a mount that say how files are served.

import { flag } from "./shape.ts";

export const fileKeys = {
  compress: flag(true).meta({
    description:
      "Send text, scripts, fonts and the like compressed (br, zstd, gzip) to clients that accept it: files of 1 KiB to 8 MiB, compressed in a thread of its own and kept, 32 MiB in each worker. On, unlike in nginx: files hold no secrets beside a visitor's own words, and the work is done once.",
  }),
  precompressed: flag(true).meta({
    description:
      "Send page.html.br, page.html.zst or page.html.gz for page.html to clients that accept it, if it is not older than page.html.",
  }),
};

export const fileKeyNames = Object.keys(fileKeys);
