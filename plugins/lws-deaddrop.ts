// A file drop: files are left by POST below a callback:// mount and got from there, a WebSocket tells what there is, and whoever left
// a file may take it away. Names never leave the directory: each is one path segment that begins with its user, encoded.

import { randomUUID } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { lstat, open, opendir, rename, rm, type FileHandle } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { flag, integer, object, path as pathOption, size as sizeOption } from "../config/shape.ts";
import {
  defineProtocol,
  HttpError,
  readForm,
  type Exchange,
  type Peer,
  type ProtocolContext,
} from "../worker/protocol.ts";

/** A multipart body beside its file. */
const FORM_BYTES = 64 * 1024;
/** Uploads at a time, in each worker. */
const MAX_UPLOADS = 16;
/** Of a name as stored, with its user; what file systems take. */
const MAX_NAME_BYTES = 255;
/** No user encoded begins like this. */
const UNFINISHED = "~";
/** What an upload of a worker that was killed left behind is of no use to anybody. */
const UNFINISHED_MS = 24 * 60 * 60 * 1000;
/** Changes closer together than this are told once. */
const QUIET_MS = 100;
const TOPIC = "changed";
const MAX_MESSAGE_BYTES = 4096;

const shape = object({
  "upload-dir": pathOption().meta({
    description:
      "Directory of the files, which the workers' user must be able to write. Relative to the configuration directory.",
  }),
  "max-size": sizeOption()
    .default(20 * 1024 * 1024)
    .meta({ description: "Largest file." }),
  "max-total-size": sizeOption()
    .default(1024 * 1024 * 1024)
    .meta({
      description: "Of all files together; uploads of other workers under way are not known.",
    }),
  "max-files": integer({ min: 1, max: 10_000 })
    .default(1_000)
    .meta({ description: "Files there may be." }),
  anonymous: flag().meta({
    description:
      "Takes files from anybody, also where no password was asked for. Nobody can take such a file away.",
  }),
});

type Options = ReturnType<typeof shape.parse>;

type Stored = {
  /** Its path segment. */
  readonly id: string;
  readonly name: string;
  readonly uploader: string;
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
};

export default defineProtocol({
  name: "lws-deaddrop",
  options: shape,
  maxMessageBytes: MAX_MESSAGE_BYTES,
  sendQueue: { whenFull: "newest" },
  start: (context: ProtocolContext, options: Options) => new Drop(context, options),
});

class Drop {
  readonly #context: ProtocolContext;
  readonly #options: Options;
  readonly #directory: string;
  readonly #peers = new Set<Peer>();
  readonly #unsubscribe: () => void;
  #uploads = 0;
  /** What they may still write. */
  #reservedBytes = 0;
  #listed: Promise<readonly Stored[]> | undefined;
  #pause: (() => void) | undefined;
  #isOutdated = false;

  constructor(context: ProtocolContext, options: Options) {
    this.#context = context;
    this.#options = options;
    this.#directory = resolve(context.directory, options["upload-dir"]);
    // Every upload would fail.
    accessSync(this.#directory, constants.R_OK | constants.W_OK | constants.X_OK);
    this.#unsubscribe = context.bus.subscribe(TOPIC, () => this.#tellSoon());
    this.#tidy().catch((error: unknown) => context.log.warn({ err: error }, "Cannot tidy up"));
  }

  stop(): void {
    this.#unsubscribe();
  }

  open(peer: Peer): Promise<void> {
    this.#peers.add(peer);
    return this.#tell([peer]);
  }

  close(peer: Peer): void {
    this.#peers.delete(peer);
  }

  /** {"del": "name"} takes away a file that the same user has left. */
  async message(peer: Peer, message: Buffer): Promise<void> {
    const name = nameToDelete(message);
    if (name === undefined || peer.user === undefined) return;
    const id = storedName(peer.user, name);
    if (typeof id !== "string") return;
    await rm(join(this.#directory, id), { force: true });
    this.#changed();
  }

  async request(exchange: Exchange, rest: string): Promise<void> {
    const [, place, name, more] = rest.split("/");
    if (more !== undefined || name === undefined || name === "") throw new HttpError(404, "");
    if (place === "upload") {
      allow(exchange, ["POST"]);
      await this.#take(exchange, characters(name));
    } else if (place === "get") {
      allow(exchange, ["GET", "HEAD"]);
      await this.#give(exchange, characters(name));
    } else throw new HttpError(404, "");
  }

  /** Stores what is sent: a form with a file, or anything else as it is. */
  async #take(exchange: Exchange, name: string): Promise<void> {
    const { user } = exchange;
    if (user === undefined && !this.#options.anonymous)
      throw new HttpError(403, "Files are taken from users only");
    if (isForeign(exchange))
      throw new HttpError(403, "Files are taken from pages of this host only");
    const id = storedName(user ?? "", name);
    if (typeof id !== "string") throw id;
    if (this.#uploads >= MAX_UPLOADS)
      throw new HttpError(503, "Too many uploads", { headers: [["Retry-After", "5"]] });
    this.#uploads += 1;
    try {
      await this.#write(exchange, id);
    } catch (error) {
      throw refusalOf(error);
    } finally {
      this.#uploads -= 1;
    }
    exchange.send(201, [["Content-Type", "text/plain"]], "Stored\n");
    this.#changed();
  }

  async #write(exchange: Exchange, id: string): Promise<void> {
    const maxBytes = await this.#room(id);
    if ((exchange.bodyBytes ?? 0) > maxBytes + FORM_BYTES) throw tooLarge(maxBytes);
    const unfinished = join(this.#directory, `${UNFINISHED}${randomUUID()}`);
    this.#reservedBytes += maxBytes;
    try {
      await this.#receive(exchange, unfinished, maxBytes);
      await rename(unfinished, join(this.#directory, id));
    } finally {
      this.#reservedBytes -= maxBytes;
      await rm(unfinished, { force: true });
    }
  }

  /** Bytes that may come now; one of the same name makes room. */
  async #room(id: string): Promise<number> {
    const others = (await this.#read()).filter((one) => one.id !== id);
    if (others.length >= this.#options["max-files"]) throw noRoom();
    const taken = others.reduce((sum, { size: bytes }) => sum + bytes, this.#reservedBytes);
    const left = this.#options["max-total-size"] - taken;
    if (left <= 0) throw noRoom();
    return Math.min(this.#options["max-size"], left);
  }

  async #receive(exchange: Exchange, path: string, maxBytes: number): Promise<void> {
    const file = await open(path, "wx", 0o640);
    try {
      if (!/^multipart\/form-data\b/i.test(exchange.header("content-type") ?? ""))
        return await store(exchange.body, file, maxBytes);
      const limits = { maxFileBytes: maxBytes, maxBodyBytes: maxBytes + FORM_BYTES };
      let isThere = false;
      await readForm(exchange, limits, ({ bytes: pieces }) => {
        isThere = true;
        return store(pieces, file, maxBytes);
      });
      if (!isThere) throw new HttpError(400, "The form holds no file");
    } finally {
      await file.close();
    }
  }

  /** Never shown as what it says it is: it may be a page of whoever left it. */
  async #give(exchange: Exchange, id: string): Promise<void> {
    const file = parseStored(id) && (await openFile(join(this.#directory, id)));
    if (!file) throw new HttpError(404, "");
    try {
      const { size } = await file.stat();
      const fields = [
        ["Content-Type", "application/octet-stream"],
        ["Content-Length", String(size)],
        ["Content-Disposition", "attachment"],
        ["Content-Security-Policy", "sandbox; default-src 'none'"],
        ["X-Content-Type-Options", "nosniff"],
        ["Cache-Control", "no-cache"],
      ] as const;
      const sink = exchange.stream(200, fields);
      if (exchange.method === "HEAD" || size === 0) sink.end();
      // A client that goes is told by the exchange.
      else await pipeline(file.createReadStream({ end: size - 1 }), sink).catch(() => {});
    } finally {
      await file.close();
    }
  }

  #changed(): void {
    this.#listed = undefined;
    this.#context.bus.publish(TOPIC, "");
    this.#tellSoon();
  }

  #tellSoon(): void {
    this.#isOutdated = true;
    this.#pause ??= this.#context.every(QUIET_MS, () => {
      if (!this.#isOutdated) {
        this.#pause?.();
        return void (this.#pause = undefined);
      }
      this.#isOutdated = false;
      this.#listed = undefined;
      this.#tell(this.#peers).catch((error: unknown) =>
        this.#context.log.warn({ err: error }, `Cannot read "${this.#directory}"`),
      );
    });
  }

  async #tell(peers: Iterable<Peer>): Promise<void> {
    const listed = (this.#listed ??= this.#read());
    listed.catch(() => (this.#listed = undefined));
    const files = await listed;
    const texts = new Map<string | undefined, string>();
    for (const peer of peers) {
      const { user } = peer;
      const known = texts.get(user) ?? this.#describe(files, user);
      texts.set(user, known);
      peer.send(known);
    }
  }

  /** As lws says it, with the path segment to get a file by. */
  #describe(files: readonly Stored[], user: string | undefined): string {
    return JSON.stringify({
      max_size: this.#options["max-size"],
      user: user === undefined ? "" : characters(user),
      files: files.map(({ uploader, ...file }) => ({
        ...file,
        uploader: characters(uploader),
        yours: user !== undefined && uploader === user ? 1 : 0,
      })),
    });
  }

  /** What is there. For those who connect, what was there when it last changed. */
  async #read(): Promise<Stored[]> {
    const files: Stored[] = [];
    for await (const { name: id } of await opendir(this.#directory)) {
      const what = parseStored(id);
      // One that has gone meanwhile is none.
      const facts = what && (await lstat(join(this.#directory, id)).catch(() => undefined));
      if (!what || !facts?.isFile()) continue;
      files.push({ id, ...what, size: facts.size, mtime: Math.floor(facts.mtimeMs / 1000) });
      if (files.length >= this.#options["max-files"]) break;
    }
    return files.toSorted((one, other) => other.mtime - one.mtime || (one.id < other.id ? -1 : 1));
  }

  /** Removes what uploads of long ago left unfinished. */
  async #tidy(): Promise<void> {
    for await (const { name } of await opendir(this.#directory)) {
      if (!name.startsWith(UNFINISHED)) continue;
      const path = join(this.#directory, name);
      const facts = await lstat(path).catch(() => undefined);
      if (facts && Date.now() - facts.mtimeMs > UNFINISHED_MS) await rm(path, { force: true });
    }
  }
}

/**
 * The path segment for a file of that user, who is in bytes, or why there is none. The user is encoded so that the first "_" ends it
 * and that nothing begins with "." or UNFINISHED.
 */
function storedName(user: string, name: string): string | HttpError {
  if (
    name === "" ||
    name.startsWith(".") ||
    /[/\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\ufffd]/u.test(name)
  )
    return new HttpError(400, "A name has no slash, no leading dot and no control characters");
  const encoded = user.replace(
    /[^0-9A-Za-z-]/g,
    (character) => `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  const id = `${encoded}_${name}`;
  return Buffer.byteLength(id) > MAX_NAME_BYTES ? new HttpError(400, "The name is too long") : id;
}

/** Undefined for what storedName() does not make. */
function parseStored(id: string): Pick<Stored, "name" | "uploader"> | undefined {
  const [, encoded, name = ""] = /^([^_]*)_(.*)$/s.exec(id) ?? [];
  const uploader = encoded?.replace(/%([0-9a-f]{2})/g, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  if (uploader === undefined) return undefined;
  return storedName(uploader, name) === id ? { name, uploader } : undefined;
}

async function store(
  pieces: AsyncIterable<Buffer>,
  file: FileHandle,
  maxBytes: number,
): Promise<void> {
  let written = 0;
  await pipeline(
    pieces,
    async function* bounded(source: AsyncIterable<Buffer>) {
      for await (const piece of source) {
        written += piece.length;
        if (written > maxBytes) throw tooLarge(maxBytes);
        yield piece;
      }
    },
    // Gathers small pieces: a client may send single bytes.
    file.createWriteStream(),
  );
}

/** A file and nothing that stands for one. */
async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch {
    // Not there, or not to be had.
  }
  return undefined;
}

function tooLarge(maxBytes: number): HttpError {
  return new HttpError(413, `There is room for ${maxBytes} bytes`);
}

function noRoom(): HttpError {
  return new HttpError(507, "There is no room for more files");
}

function refusalOf(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOSPC" || code === "EDQUOT"
    ? noRoom()
    : new HttpError(500, "", { cause: error });
}

/** A page of another site must not leave files with its visitor's password. */
function isForeign(exchange: Exchange): boolean {
  const origin = exchange.header("origin");
  if (origin === undefined) return false;
  const from = URL.parse(origin);
  const to = from && URL.parse(`${from.protocol}//${exchange.authority ?? ""}`);
  return !from || from.host === "" || from.host !== to?.host;
}

function allow(exchange: Exchange, methods: readonly string[]): void {
  if (methods.includes(exchange.method)) return;
  throw new HttpError(405, "", { headers: [["Allow", methods.join(", ")]] });
}

/** Of bytes. */
function characters(segment: string): string {
  return Buffer.from(segment, "latin1").toString("utf8");
}

function nameToDelete(message: Buffer): string | undefined {
  try {
    const { del } = JSON.parse(message.toString("utf8"));
    return typeof del === "string" ? del : undefined;
  } catch {
    return undefined;
  }
}
