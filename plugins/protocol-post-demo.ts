// What a form sent, shown back as a table: the target of a callback:// mount. Takes urlencoded and multipart POSTs.
// An upload goes to a file whose name is gone once it is open, so nothing is left whatever happens.

import { open, mkdtemp, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Busboy, type BusboyFileStream, type BusboyInstance } from "@fastify/busboy";
import { defineProtocol, HttpError, type Exchange } from "../worker/protocol.ts";

const FIELDS = ["text", "send", "file", "upload"] as const;
const FILE_FIELD = "file";
const MAX_FILE_BYTES = 100_000;
const MAX_BODY_BYTES = 256 * 1024;
const MAX_FIELDS = 32;
const MAX_FIELD_BYTES = 64 * 1024;
const BLOCK_BYTES = 64 * 1024;
const MAX_PART_HEADERS = 20;
const MAX_PART_HEADER_BYTES = 8 * 1024;

type Form = {
  readonly fields: Map<string, string>;
  filename: string;
  fileBytes: number;
};

export default defineProtocol({
  name: "protocol-post-demo",
  start() {
    return {
      async request(exchange) {
        if (exchange.method !== "POST")
          throw new HttpError(405, "This form is sent by POST", { headers: [["Allow", "POST"]] });
        const form = await readForm(exchange);
        exchange.send(
          200,
          [
            ["Content-Type", "text/html; charset=utf-8"],
            ["X-Content-Type-Options", "nosniff"],
          ],
          render(form),
        );
      },
    };
  },
});

async function readForm(exchange: Exchange): Promise<Form> {
  if ((exchange.bodyBytes ?? 0) > MAX_BODY_BYTES) throw tooLarge("form", MAX_BODY_BYTES);
  const parser = createParser(exchange.header("content-type") ?? "");
  const form: Form = { fields: new Map(), filename: "", fileBytes: 0 };
  const { promise: parsed, resolve, reject } = Promise.withResolvers<void>();
  const files: BusboyFileStream[] = [];
  let upload: Promise<void> | undefined;
  let fieldCount = 0;
  let bodyBytes = 0;

  parser.on("field", (name, value, nameCut, valueCut) => {
    fieldCount += 1;
    if (fieldCount > MAX_FIELDS)
      reject(new HttpError(413, `A form has at most ${MAX_FIELDS} fields`));
    else if (nameCut || valueCut) reject(tooLarge("field", MAX_FIELD_BYTES));
    else form.fields.set(name, value);
  });
  parser.on("file", (name, file, filename) => {
    files.push(file);
    file.on("limit", () => reject(tooLarge("file", MAX_FILE_BYTES)));
    file.on("error", (cause) => reject(malformed(cause)));
    if (name !== FILE_FIELD) {
      file.resume();
      return;
    }
    // Without a name of its own it is still an upload, if its type says so: then there is none, whatever the types say.
    form.filename = filename ?? "";
    upload = storeUpload(file).then((bytes) => void (form.fileBytes = bytes));
    upload.catch(reject);
  });
  parser.on("filesLimit", () => reject(new HttpError(413, "A form has at most one file")));
  parser.on("partsLimit", () =>
    reject(new HttpError(413, `A form has at most ${MAX_FIELDS} fields`)),
  );
  parser.on("error", (cause) => reject(malformed(cause)));
  parser.on("finish", resolve);

  function count(chunk: Buffer): void {
    bodyBytes += chunk.length;
    if (bodyBytes > MAX_BODY_BYTES) reject(tooLarge("form", MAX_BODY_BYTES));
  }

  const { body } = exchange;
  exchange.onAbort(() => reject(new HttpError(400, "The form broke off")));
  body.on("error", reject);
  body.on("data", count);
  body.pipe(parser);
  try {
    await parsed;
    await upload;
    return form;
  } finally {
    body.off("data", count);
    body.unpipe(parser);
    parser.destroy();
    for (const file of files) file.destroy();
    await Promise.allSettled([upload]); // nothing of it is left when the answer goes out
  }
}

function createParser(type: string): BusboyInstance {
  if (!/^(?:multipart\/form-data|application\/x-www-form-urlencoded)\s*(?:;|$)/i.test(type))
    throw new HttpError(
      415,
      "Send the form as multipart/form-data or application/x-www-form-urlencoded",
    );
  try {
    return new Busboy({
      headers: { "content-type": type },
      limits: {
        fieldSize: MAX_FIELD_BYTES,
        fields: MAX_FIELDS + 1, // at its own limit the parser drops fields without a word
        files: 1,
        fileSize: MAX_FILE_BYTES,
        parts: MAX_FIELDS + 2,
        headerPairs: MAX_PART_HEADERS,
        headerSize: MAX_PART_HEADER_BYTES,
      },
    });
  } catch (cause) {
    throw malformed(cause);
  }
}

/** Writes an upload to disk and tells its size there. */
async function storeUpload(file: BusboyFileStream): Promise<number> {
  const stored = await openUnnamedFile();
  try {
    for await (const block of inBlocks(file)) await stored.appendFile(block);
    return (await stored.stat()).size;
  } finally {
    await stored.close();
  }
}

/** A client may cut an upload into single bytes, and a write costs the same for one of them. Each block is valid until the next. */
async function* inBlocks(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  let filled = 0;
  for await (const piece of pieces)
    for (let taken = 0; taken < piece.length;) {
      const copied = piece.copy(block, filled, taken);
      taken += copied;
      filled += copied;
      if (filled < block.length) continue;
      yield block;
      filled = 0;
    }
  yield block.subarray(0, filled);
}

async function openUnnamedFile(): Promise<FileHandle> {
  const directory = await mkdtemp(join(tmpdir(), "portico-post-"));
  try {
    return await open(join(directory, "upload"), "wx", 0o600);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function tooLarge(what: string, limit: number): HttpError {
  return new HttpError(413, `A ${what} has at most ${limit} bytes`);
}

function malformed(cause: unknown): HttpError {
  return new HttpError(400, "The form is not well-formed", { cause });
}

/** The page of lws's demo: its four fields in its order. */
function render({ fields, filename, fileBytes }: Form): string {
  const rows = FIELDS.map((name) => {
    const value = fields.get(name);
    const cells = [
      `<b>${name}</b>`,
      String(Buffer.byteLength(value ?? "")),
      escape(value ?? "NULL"),
    ];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  return (
    "<html><body><h1>Form results (after urldecoding)</h1>" +
    `<table><tr><td>Name</td><td>Length</td><td>Value</td></tr>${rows.join("")}</table>` +
    `<br><b>filename:</b> ${escape(filename)}, <b>length</b> ${fileBytes}</body></html>`
  );
}

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}
