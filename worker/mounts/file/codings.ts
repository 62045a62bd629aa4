// Chooses between a file, an encoded copy that lies beside it, and one that is made here.

import { closeSync } from "node:fs";
import type { Compressor } from "../../compressor.ts";
import { MAX_COMPRESS_BYTES, MIN_COMPRESS_BYTES } from "../../compressor.ts";
import type { Docroot } from "../../docroot.ts";
import { evaluateConditions } from "../../http/conditional.ts";
import { HttpError, type ByteString } from "../../http/exchange.ts";
import type { AcceptedCodings } from "../../http/negotiate.ts";
import type { Coding, Content, Representation } from "../../http/representation.ts";
import {
  describeEncoded,
  describeFile,
  fileIdentity,
  type About,
  type OpenFile,
} from "./describe.ts";
import { readWhole } from "./read.ts";

export type CodingOptions = {
  readonly root: Docroot;
  /** Undefined where nothing is compressed here. */
  readonly compressor: Compressor | undefined;
  /** Whether copies beside the file are looked for. */
  readonly precompressed: boolean;
};

const SUFFIXES: Readonly<Record<Coding, string>> = { br: ".br", zstd: ".zst", gzip: ".gz" };

/**
 * The best form of an open file for a client. A copy that is ready goes before one that has to be made, even if its coding is
 * the client's second choice: it is smaller, because somebody took the time. Takes the file over: what is returned holds what is open.
 */
export async function chooseCoding(
  file: OpenFile,
  name: ByteString,
  about: About,
  accepted: AcceptedCodings,
  header: (name: string) => string | undefined,
  options: CodingOptions,
): Promise<Representation> {
  const { precompressed, compressor, root } = options;
  try {
    if (precompressed)
      for (const coding of accepted.codings) {
        const copy = await openCopy(root, name + SUFFIXES[coding], file);
        if (!copy) continue;
        closeSync(file.fd);
        return describeFile(copy, about, coding);
      }
    const [coding] = accepted.codings;
    const least = accepted.identity ? MIN_COMPRESS_BYTES : 1;
    const { size } = file.stat;
    if (compressor && coding && size >= least && size <= MAX_COMPRESS_BYTES) {
      const encoded = await encode(file, coding, about, header, compressor);
      if (encoded) {
        closeSync(file.fd);
        return encoded;
      }
    }
  } catch (error) {
    closeSync(file.fd);
    throw error;
  }
  return describeFile(file, about);
}

/** A copy that is older than its file was made from something else. An empty one is none: every coding has a head. */
async function openCopy(
  root: Docroot,
  name: ByteString,
  { stat }: OpenFile,
): Promise<OpenFile | undefined> {
  try {
    const found = await root.open(name);
    if (found.kind !== "file") return undefined;
    if (found.stat.mtimeNs >= stat.mtimeNs && found.stat.size > 0n) return found;
    closeSync(found.fd);
    return undefined;
  } catch (error) {
    // Whatever is wrong with the copy, the file itself is there.
    if (error instanceof HttpError) return undefined;
    throw error;
  }
}

async function encode(
  file: OpenFile,
  coding: Coding,
  about: About,
  header: (name: string) => string | undefined,
  compressor: Compressor,
): Promise<Representation | undefined> {
  const { fd, stat } = file;
  const identity = `${stat.dev}-${fileIdentity(stat)}`;
  const known = compressor.known(identity, coding);
  if (known === "useless") return undefined;
  const describe = (content: Content, size: number): Representation =>
    describeEncoded(file, about, { coding, size, content });
  if (!known) {
    // The tag is known before the bytes are: who has them already does not make us encode them again.
    const promised = describe({ kind: "nothing" }, 0);
    if (evaluateConditions(header, promised) !== "send") return promised;
  }
  const size = Number(stat.size);
  const content: Content = { kind: "descriptor", fd, stat };
  const read = (): Promise<Uint8Array> => readWhole(content, [{ start: 0, end: size }], size);
  const bytes = known ?? (await compressor.compress({ identity, size, read }, coding));
  return bytes && describe({ kind: "memory", bytes }, bytes.length);
}
