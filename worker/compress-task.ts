// What the threads of the compressor do: encode one file. Levels beyond these cost ten times as much for a hundredth less.

import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from "node:zlib";
import type { Coding } from "./http/representation.ts";

export type CompressInput = { readonly bytes: Uint8Array; readonly coding: Coding };

const GZIP_LEVEL = 6;
const BROTLI_QUALITY = 5;
const ZSTD_LEVEL = 9;

export default function compress({ bytes, coding }: CompressInput): Uint8Array {
  switch (coding) {
    case "br":
      return brotliCompressSync(bytes, {
        params: {
          [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
          [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
        },
      });
    case "zstd":
      return zstdCompressSync(bytes, {
        params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL },
      });
    case "gzip":
      return gzipSync(bytes, { level: GZIP_LEVEL });
  }
}
