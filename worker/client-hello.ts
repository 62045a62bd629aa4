// The first bytes of a connection on a TLS port -> the name its client asks for. Pure, incremental, bounded; it decides
// which TLS server gets the connection and checks no more than that needs: OpenSSL reads the same bytes again and answers
// what is wrong with them. RFC 8446 4.1.2 and 5.1, RFC 6066 3.

/** What a connection turned out to be. */
export type Opening =
  /** A TLS client, or nothing known: OpenSSL has the right alert for whatever it is. */
  | { readonly kind: "tls"; readonly serverName: string | undefined }
  /** Text, so most likely a request in clear. */
  | { readonly kind: "text" };

/** Larger than any hello with post-quantum keys and a full list of everything. */
export const MAX_HELLO_BYTES = 64 * 1024;
/** RFC 8446 5.1. */
const MAX_RECORD_BYTES = 16 * 1024;

const RECORD_HEADER_BYTES = 5;
const HANDSHAKE_RECORD = 22;
const HANDSHAKE_HEADER_BYTES = 4;
const CLIENT_HELLO = 1;
/** legacy_version and random. */
const FIXED_BYTES = 2 + 32;
const SERVER_NAME = 0;
const HOST_NAME = 0;

export type OpeningReader = {
  /** Feeds the next bytes; undefined until it is decided. Not to be called after that. */
  push(chunk: Buffer): Opening | undefined;
};

/** As a reader that is given all of it at once; nearly always the whole hello is one record in one piece. */
export function readWholeOpening(bytes: Buffer): Opening | undefined {
  const recordBytes = bytes.length < RECORD_HEADER_BYTES ? 0 : bytes.readUInt16BE(3);
  const isOneRecord =
    bytes[0] === HANDSHAKE_RECORD &&
    bytes.length === RECORD_HEADER_BYTES + recordBytes &&
    recordBytes > HANDSHAKE_HEADER_BYTES &&
    bytes[RECORD_HEADER_BYTES] === CLIENT_HELLO &&
    HANDSHAKE_HEADER_BYTES + bytes.readUIntBE(RECORD_HEADER_BYTES + 1, 3) === recordBytes;
  if (!isOneRecord || recordBytes > MAX_RECORD_BYTES) return createOpeningReader().push(bytes);
  const hello = bytes.subarray(RECORD_HEADER_BYTES + HANDSHAKE_HEADER_BYTES);
  return { kind: "tls", serverName: findServerName(hello) };
}

/** Reads one connection. Work and memory are linear in what arrives, in whatever pieces and records. */
export function createOpeningReader(): OpeningReader {
  const header = Buffer.alloc(RECORD_HEADER_BYTES);
  let headerBytes = 0;
  /** Of the current record, still to come. */
  let recordBytes = 0;
  const message: Buffer[] = [];
  let messageBytes = 0;
  /** Of the whole handshake message with its header, once that is known. */
  let wantedBytes = HANDSHAKE_HEADER_BYTES;
  let isLengthKnown = false;
  let seenBytes = 0;

  function push(chunk: Buffer): Opening | undefined {
    if (seenBytes === 0 && isText(chunk[0])) return { kind: "text" };
    seenBytes += chunk.length;
    let at = 0;
    while (at < chunk.length) {
      if (recordBytes === 0) {
        header[headerBytes] = chunk[at] ?? 0;
        headerBytes += 1;
        at += 1;
        if (headerBytes < RECORD_HEADER_BYTES) continue;
        headerBytes = 0;
        recordBytes = header.readUInt16BE(3);
        const isPossible = recordBytes > 0 && recordBytes <= MAX_RECORD_BYTES;
        if (header[0] !== HANDSHAKE_RECORD || !isPossible) return NAMELESS;
        continue;
      }
      const piece = chunk.subarray(at, at + recordBytes);
      at += piece.length;
      recordBytes -= piece.length;
      message.push(piece);
      messageBytes += piece.length;
      const opening = look();
      if (opening) return opening;
    }
    return seenBytes > MAX_HELLO_BYTES ? NAMELESS : undefined;
  }

  function look(): Opening | undefined {
    if (messageBytes < wantedBytes) return undefined;
    // Nearly always it comes in one piece, and need not be copied.
    const [first] = message;
    const whole = message.length === 1 && first ? first : Buffer.concat(message, messageBytes);
    if (!isLengthKnown) {
      if (whole[0] !== CLIENT_HELLO) return NAMELESS;
      isLengthKnown = true;
      wantedBytes = HANDSHAKE_HEADER_BYTES + whole.readUIntBE(1, 3);
      if (wantedBytes > MAX_HELLO_BYTES) return NAMELESS;
      if (messageBytes < wantedBytes) return undefined;
    }
    const hello = whole.subarray(HANDSHAKE_HEADER_BYTES, wantedBytes);
    return { kind: "tls", serverName: findServerName(hello) };
  }

  return { push };
}

const NAMELESS: Opening = { kind: "tls", serverName: undefined };

/** TLS begins with 22, and nothing else that is binary with a printable character or a line break. */
function isText(first: number | undefined): boolean {
  return (
    first !== undefined && ((first >= 0x20 && first < 0x7f) || first === 0x0d || first === 0x0a)
  );
}

/** The host_name of a ClientHello's body; undefined where there is none or the hello is malformed. */
function findServerName(hello: Buffer): string | undefined {
  const cursor = new Cursor(hello, FIXED_BYTES);
  cursor.skip(cursor.length(1)); // legacy_session_id
  cursor.skip(cursor.length(2)); // cipher_suites
  cursor.skip(cursor.length(1)); // legacy_compression_methods
  const end = cursor.length(2) + cursor.at;
  while (!cursor.isSpent && cursor.at < end) {
    const type = cursor.length(2);
    const bytes = cursor.length(2);
    if (type === SERVER_NAME && !cursor.isSpent)
      return readServerName(hello.subarray(cursor.at, cursor.at + bytes));
    cursor.skip(bytes);
  }
  return undefined;
}

function readServerName(extension: Buffer): string | undefined {
  const cursor = new Cursor(extension, 0);
  cursor.skip(2); // length of the list
  while (!cursor.isSpent) {
    const type = cursor.length(1);
    const bytes = cursor.length(2);
    const start = cursor.at;
    cursor.skip(bytes);
    if (type === HOST_NAME)
      return cursor.hasOverrun || bytes === 0
        ? undefined
        : extension.toString("latin1", start, start + bytes);
  }
  return undefined;
}

/** Steps over fields whose lengths an attacker chose: past the end everything is 0 and spent. */
class Cursor {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, start: number) {
    this.#bytes = bytes;
    this.at = start;
  }

  get isSpent(): boolean {
    return this.at >= this.#bytes.length;
  }

  get hasOverrun(): boolean {
    return this.at > this.#bytes.length;
  }

  skip(count: number): void {
    this.at += count;
  }

  /** Reads a number of one or two bytes and steps over it. */
  length(size: 1 | 2): number {
    const { at } = this;
    this.at = at + size;
    if (this.at > this.#bytes.length) return 0;
    const first = this.#bytes[at] ?? 0;
    return size === 1 ? first : (first << 8) | (this.#bytes[at + 1] ?? 0);
  }
}
