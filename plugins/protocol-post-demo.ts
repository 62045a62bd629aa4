// What a form sent, shown back as a table: the target of a callback:// mount. Takes urlencoded and multipart POSTs.
// An upload goes to a file whose name is gone once it is open, so nothing is left whatever happens.

import { open, mkdtemp, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineProtocol, HttpError, readForm, type Exchange } from "../worker/protocol.ts";

const FIELDS = ["text", "send", "file", "upload"] as const;
const FILE_FIELD = "file";
const LIMITS = { maxFileBytes: 100_000, maxBodyBytes: 256 * 1024 };
const BLOCK_BYTES = 64 * 1024;

type Form = {
  readonly fields: ReadonlyMap<string, string>;
  readonly filename: string;
  readonly fileBytes: number;
};

export default defineProtocol({
  name: "protocol-post-demo",
  start() {
    return {
      async request(exchange) {
        if (exchange.method !== "POST")
          throw new HttpError(405, "This form is sent by POST", { headers: [["Allow", "POST"]] });
        const form = await receive(exchange);
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

async function receive(exchange: Exchange): Promise<Form> {
  let filename = "";
  let fileBytes = 0;
  const fields = await readForm(exchange, LIMITS, ({ field, name, bytes }) => {
    if (field !== FILE_FIELD) return undefined;
    filename = name;
    return storeUpload(bytes).then((stored) => void (fileBytes = stored));
  });
  return { fields, filename, fileBytes };
}

/** Writes an upload to disk and tells its size there. */
async function storeUpload(file: AsyncIterable<Buffer>): Promise<number> {
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
