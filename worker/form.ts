// The form that a request sends, urlencoded or multipart, within limits. The only importer of the parser, which is loaded with the
// first form. Whatever is wrong with a form is an HttpError; nothing of it waits longer than its reader.

import type { BusboyFileStream, BusboyInstance } from "@fastify/busboy";
import { HttpError, type Exchange } from "./http/exchange.ts";

const MAX_FIELDS = 32;
const MAX_FIELD_BYTES = 64 * 1024;
const MAX_PART_HEADERS = 20;
const MAX_PART_HEADER_BYTES = 8 * 1024;

/** What a form may hold beside 32 fields of 64 KiB. */
export type FormLimits = {
  /** Of the whole, as it is sent. */
  readonly maxBodyBytes: number;
  readonly maxFileBytes: number;
};

/** The file of a form. */
export type FormFile = {
  /** Name of its field. */
  readonly field: string;
  /** As the client calls it, without directories; "" where it has none. */
  readonly name: string;
  /** Ends early where the file is too large, and fails where it breaks off: it is whole once readForm() has returned. */
  readonly bytes: AsyncIterable<Buffer>;
};

/**
 * Reads the form and returns its fields; of several of one name the last. `onFile` is called for the file, of which there may be
 * one, and has to read it, or returns undefined to have it passed over. Throws HttpError; then `onFile` has ended too.
 */
export async function readForm(
  exchange: Exchange,
  limits: FormLimits,
  onFile: (file: FormFile) => Promise<void> | undefined,
): Promise<ReadonlyMap<string, string>> {
  const { maxBodyBytes, maxFileBytes } = limits;
  if ((exchange.bodyBytes ?? 0) > maxBodyBytes) throw tooLarge("form", maxBodyBytes);
  const { promise: parsed, resolve, reject } = Promise.withResolvers<void>();
  // Whoever waits comes later.
  parsed.catch(() => undefined);
  exchange.onAbort(() => reject(new HttpError(400, "The form broke off")));
  const parser = await createParser(exchange.header("content-type") ?? "", maxFileBytes);
  const fields = new Map<string, string>();
  const files: BusboyFileStream[] = [];
  let reading: Promise<void> | undefined;
  let fieldCount = 0;
  let bodyBytes = 0;

  parser.on("field", (name, value, nameCut, valueCut) => {
    fieldCount += 1;
    if (fieldCount > MAX_FIELDS) reject(tooMany());
    else if (nameCut || valueCut) reject(tooLarge("field", MAX_FIELD_BYTES));
    else fields.set(name, value);
  });
  parser.on("file", (field, file, filename) => {
    files.push(file);
    file.on("limit", () => reject(tooLarge("file", maxFileBytes)));
    file.on("error", (cause) => reject(malformed(cause)));
    // Without a name of its own it is still a file, if its type says so: then there is none, whatever the types say.
    reading = onFile({ field, name: filename ?? "", bytes: file });
    if (reading) reading.catch(reject);
    else file.resume();
  });
  parser.on("filesLimit", () => reject(new HttpError(413, "A form has at most one file")));
  parser.on("partsLimit", () => reject(tooMany()));
  parser.on("error", (cause) => reject(malformed(cause)));
  parser.on("finish", resolve);

  function count(chunk: Buffer): void {
    bodyBytes += chunk.length;
    if (bodyBytes > maxBodyBytes) reject(tooLarge("form", maxBodyBytes));
  }

  const { body } = exchange;
  body.on("error", reject);
  body.on("data", count);
  body.pipe(parser);
  try {
    await parsed;
    await reading;
    return fields;
  } finally {
    body.off("data", count);
    body.unpipe(parser);
    parser.destroy();
    for (const file of files) file.destroy();
    await Promise.allSettled([reading]); // nothing of it is left when the answer goes out
  }
}

async function createParser(type: string, maxFileBytes: number): Promise<BusboyInstance> {
  if (!/^(?:multipart\/form-data|application\/x-www-form-urlencoded)\s*(?:;|$)/i.test(type))
    throw new HttpError(
      415,
      "Send the form as multipart/form-data or application/x-www-form-urlencoded",
    );
  const { Busboy } = await import("@fastify/busboy");
  try {
    return new Busboy({
      headers: { "content-type": type },
      limits: {
        fieldSize: MAX_FIELD_BYTES,
        fields: MAX_FIELDS + 1, // at its own limit the parser drops fields without a word
        files: 1,
        fileSize: maxFileBytes,
        parts: MAX_FIELDS + 2,
        headerPairs: MAX_PART_HEADERS,
        headerSize: MAX_PART_HEADER_BYTES,
      },
    });
  } catch (cause) {
    throw malformed(cause);
  }
}

function tooMany(): HttpError {
  return new HttpError(413, `A form has at most ${MAX_FIELDS} fields`);
}

function tooLarge(what: string, limit: number): HttpError {
  return new HttpError(413, `A ${what} has at most ${limit} bytes`);
}

function malformed(cause: unknown): HttpError {
  return new HttpError(400, "The form is not well-formed", { cause });
}
