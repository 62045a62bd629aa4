// Apache's variant of MD5 crypt, "$apr1$": what htpasswd -m writes. A thousand rounds of MD5 hold up a guesser hardly at all,
// but such files are about.

import { hash as digestOf } from "node:crypto";

const MAGIC = "$apr1$";
const MAX_SALT = 8;
const ROUNDS = 1_000;
const BYTES = 16;
const ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** Which bytes of the digest make a group of characters, the highest first. */
const GROUPS = [
  [0, 6, 12],
  [1, 7, 13],
  [2, 8, 14],
  [3, 9, 15],
  [4, 10, 5],
] as const;

/** Hashes a password with the salt of `settings`, which may be a whole hash. */
export function apr1(password: Uint8Array, settings: string): string {
  const salt = (settings.slice(MAGIC.length).split("$", 1)[0] ?? "").slice(0, MAX_SALT);
  const digest = stretch(Buffer.from(password), Buffer.from(salt, "latin1"));
  let text = "";
  for (const group of GROUPS)
    text += encodeBits(
      group.reduce<number>((bits, at) => (bits << 8) | (digest[at] ?? 0), 0),
      4,
    );
  return `${MAGIC}${salt}$${text}${encodeBits(digest[11] ?? 0, 2)}`;
}

function stretch(password: Buffer, salt: Buffer): Buffer {
  const first = md5([password, salt, password]);
  const parts = [password, Buffer.from(MAGIC), salt, Buffer.alloc(password.length, first)];
  for (let bits = password.length; bits > 0; bits >>= 1)
    parts.push(bits & 1 ? Buffer.alloc(1) : password.subarray(0, 1));
  let digest = md5(parts);
  for (let count = 0; count < ROUNDS; count += 1) {
    const round = [count % 2 === 1 ? password : digest];
    if (count % 3 !== 0) round.push(salt);
    if (count % 7 !== 0) round.push(password);
    round.push(count % 2 === 1 ? digest : password);
    digest = md5(round);
  }
  return digest.subarray(0, BYTES);
}

function md5(parts: readonly Buffer[]): Buffer {
  return digestOf("md5", Buffer.concat(parts), "buffer");
}

/** Six bits a character, the lowest first. */
function encodeBits(bits: number, count: number): string {
  let text = "";
  for (let index = 0; index < count; index += 1) text += ALPHABET[(bits >> (6 * index)) & 63] ?? "";
  return text;
}
