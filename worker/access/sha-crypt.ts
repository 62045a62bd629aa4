// SHA-256 and SHA-512 crypt, "$5$" and "$6$", after Ulrich Drepper's specification (https://www.akkadia.org/drepper/SHA-crypt.txt).
// The package unixcrypt fails for passwords that are as long as a digest, or twice as long: 32 characters with "$5$".

import { hash as digestOf } from "node:crypto";

const DEFAULT_ROUNDS = 5_000;
const MIN_ROUNDS = 1_000;
const MAX_ROUNDS = 999_999_999;
const MAX_SALT = 16;
const ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const EMPTY = Buffer.alloc(0);

type Variant = {
  readonly algorithm: "sha256" | "sha512";
  /** Bytes of a digest. */
  readonly bytes: number;
  /** How far, modulo `bytes - bytes % 3`, each group of three bytes lies behind the one before it. */
  readonly step: number;
};

const VARIANTS: Readonly<Record<string, Variant>> = {
  "5": { algorithm: "sha256", bytes: 32, step: 21 },
  "6": { algorithm: "sha512", bytes: 64, step: 22 },
};

/** Hashes a password with the variant, rounds and salt of `settings`, which may be a whole hash. Undefined for settings that are none. */
export function shaCrypt(password: Uint8Array, settings: string): string | undefined {
  const [, id = "", prefix = "", digits, sent = ""] =
    /^\$([56])\$(rounds=(\d{1,9})\$)?([^$]*)/.exec(settings) ?? [];
  const variant = VARIANTS[id];
  if (!variant) return undefined;
  const wanted = digits === undefined ? DEFAULT_ROUNDS : Number(digits);
  const rounds = Math.min(Math.max(wanted, MIN_ROUNDS), MAX_ROUNDS);
  const salt = sent.slice(0, MAX_SALT);
  const digest = stretch(Buffer.from(password), Buffer.from(salt, "latin1"), rounds, variant);
  const written = prefix === "" ? "" : `rounds=${rounds}$`;
  return `$${id}$${written}${salt}$${encode(digest, variant)}`;
}

function stretch(
  password: Buffer,
  salt: Buffer,
  rounds: number,
  { algorithm, bytes }: Variant,
): Buffer {
  const hash = (...parts: readonly Buffer[]): Buffer =>
    digestOf(algorithm, Buffer.concat(parts), "buffer");
  const first = hash(password, salt, password);
  const parts = [password, salt, repeat(first, password.length)];
  for (let bits = password.length; bits > 0; bits >>= 1) parts.push(bits & 1 ? first : password);
  let digest: Buffer = hash(...parts);
  const p = repeat(hash(...Array<Buffer>(password.length).fill(password)), password.length);
  const s = repeat(hash(...Array<Buffer>(16 + (digest[0] ?? 0)).fill(salt)), salt.length);
  // All four parts of a round, in place: joining fresh buffers would take twice the time.
  const round = Buffer.alloc(2 * p.length + s.length + bytes);
  for (let count = 0; count < rounds; count += 1) {
    const isOdd = count % 2 === 1;
    let end = (isOdd ? p : digest).copy(round, 0);
    end += (count % 3 === 0 ? EMPTY : s).copy(round, end);
    end += (count % 7 === 0 ? EMPTY : p).copy(round, end);
    end += (isOdd ? digest : p).copy(round, end);
    digest = digestOf(algorithm, round.subarray(0, end), "buffer");
  }
  return digest;
}

/** `length` bytes of a digest that is repeated as often as that takes. */
function repeat(digest: Buffer, length: number): Buffer {
  return Buffer.alloc(length, digest);
}

/** The digest's own order of bytes: three at a time from a third of it each, in turns; the last one or two stand alone. */
function encode(digest: Buffer, { bytes, step }: Variant): string {
  const grouped = bytes - (bytes % 3);
  const third = grouped / 3;
  let text = "";
  for (let at = 0, group = 0; group < third; group += 1, at = (at + step) % grouped) {
    const byte = (offset: number): number => digest[(at + offset) % grouped] ?? 0;
    text += encodeBits((byte(0) << 16) | (byte(third) << 8) | byte(2 * third), 4);
  }
  return bytes === 32
    ? text + encodeBits(((digest[31] ?? 0) << 8) | (digest[30] ?? 0), 3)
    : text + encodeBits(digest[63] ?? 0, 2);
}

/** Six bits a character, the lowest first. */
function encodeBits(bits: number, count: number): string {
  let text = "";
  for (let index = 0; index < count; index += 1) text += ALPHABET[(bits >> (6 * index)) & 63] ?? "";
  return text;
}
