// The text of a password file, a line `user:secret` for each user -> users, or what is wrong with which line. Pure. No message
// repeats a part of a line: whatever stands in the wrong place may be a password.

import type { Severity } from "./problems.ts";

/** How a secret is written; "plain" is the password itself. */
export type Scheme = "bcrypt" | "sha-crypt" | "apr1" | "sha1" | "salted-sha1" | "plain";

export type PasswordEntry = {
  readonly name: string;
  readonly scheme: Scheme;
  /** As in the file, for "sha1" and "salted-sha1" the base64 behind the braces. */
  readonly secret: string;
};

/** What workers get of a file. */
export type PasswordFile = {
  /** Absolute; by this name mounts and protocols ask for it. */
  readonly path: string;
  readonly users: readonly PasswordEntry[];
};

export type LineFault = {
  /** Counts from 1. */
  readonly line: number;
  readonly severity: Severity;
  readonly message: string;
};

export const MAX_PASSWORD_FILE_BYTES = 4 * 1024 * 1024;
/** Longer ones are refused without a look: what a hash costs grows with the password. htpasswd takes no longer ones either. */
export const MAX_PASSWORD_BYTES = 255;
const MAX_USERS = 50_000;
const MAX_NAME_BYTES = 255;
/** About a second of a processor for each check, either of them. */
const MAX_BCRYPT_COST = 14;
const MAX_ROUNDS = 200_000;

const HASH_IT = "write it with htpasswd -B";

/** Reads `user:secret` lines. Empty ones and those that begin with "#" are passed over. */
export function parsePasswordFile(text: string): {
  readonly users: readonly PasswordEntry[];
  readonly faults: readonly LineFault[];
} {
  const users = new Map<string, PasswordEntry>();
  const lineOf = new Map<string, number>();
  const faults: LineFault[] = [];
  let firstPlain: number | undefined;
  for (const [index, raw] of text
    .replace(/^\ufeff/, "")
    .split("\n")
    .entries()) {
    const line = index + 1;
    const content = raw.replace(/\r$/, "");
    if (content.trim() === "" || content.startsWith("#")) continue;
    const say = (severity: Severity, message: string): void =>
      void faults.push({ line, severity, message });
    const read = readLine(content);
    if (typeof read === "string") {
      say("error", read);
      continue;
    }
    const earlier = lineOf.get(read.name);
    if (earlier !== undefined) {
      say("warning", `Has no effect: line ${earlier} names the same user`);
      continue;
    }
    if (users.size === MAX_USERS) {
      say("error", `More than ${MAX_USERS} users`);
      break;
    }
    if (read.scheme === "plain") firstPlain ??= line;
    lineOf.set(read.name, line);
    users.set(read.name, read);
  }
  if (firstPlain !== undefined) {
    const message = `Holds passwords that everybody can read who can read the file; ${HASH_IT}`;
    faults.push({ line: firstPlain, severity: "warning", message });
  }
  return { users: [...users.values()], faults };
}

/** The user of a line, or what is wrong with it. */
function readLine(content: string): PasswordEntry | string {
  const colon = content.indexOf(":");
  if (colon === -1) return 'Expected "user:password"';
  const name = content.slice(0, colon);
  if (name === "") return "Expected the name of a user before the colon";
  // oxlint-disable-next-line no-control-regex -- they would reach the environment of programs and the log
  if (/[\u0000-\u001f\u007f\ufffd]/.test(content))
    return "Holds a control character, or bytes that are not UTF-8";
  if (Buffer.byteLength(name) > MAX_NAME_BYTES)
    return `A user name can have ${MAX_NAME_BYTES} bytes`;
  const secret = readSecret(content.slice(colon + 1));
  return typeof secret === "string" ? secret : { name, ...secret };
}

type Secret = Omit<PasswordEntry, "name">;

/** In a hash no colon occurs: what follows one is a comment, as in Apache's files. A plain password goes to the end of the line, as lwsws reads it. */
function readSecret(rest: string): Secret | string {
  const [hash = ""] = rest.split(":", 1);
  if (rest === "") return "Expected a password behind the colon";
  const [, marker, base64 = ""] = /^\{([^}]*)\}(.*)$/.exec(rest) ?? [];
  if (marker?.toUpperCase() === "PLAIN") return readPlain(base64);
  if (marker !== undefined) return readDigest(marker.toUpperCase(), hash.slice(marker.length + 2));
  // "$name$": a password that only looks like it can be written behind {PLAIN}.
  const id = /^\$([^$]*)\$/.exec(hash)?.[1];
  if (id !== undefined) return readCrypt(id, hash);
  if (/^(?:[./0-9A-Za-z]{13}|_[./0-9A-Za-z]{19})$/.test(hash))
    return `Looks like DES crypt, which is not taken, it holds 8 characters only; ${HASH_IT}. If it is the password itself, write {PLAIN} before it`;
  return readPlain(rest);
}

function readPlain(password: string): Secret | string {
  if (password === "") return "Expected a password behind {PLAIN}";
  return Buffer.byteLength(password) > MAX_PASSWORD_BYTES
    ? `A password can have ${MAX_PASSWORD_BYTES} bytes`
    : { scheme: "plain", secret: password };
}

function readDigest(marker: string, base64: string): Secret | string {
  const bytes = /^[+/0-9A-Za-z]+={0,2}$/.test(base64) ? Buffer.from(base64, "base64").length : 0;
  if (marker === "SHA")
    return bytes === 20
      ? { scheme: "sha1", secret: base64 }
      : "Expected 20 bytes in base64 behind {SHA}";
  if (marker === "SSHA")
    return bytes > 20
      ? { scheme: "salted-sha1", secret: base64 }
      : "Expected more than 20 bytes in base64 behind {SSHA}";
  return `Expected {SHA}, {SSHA} or {PLAIN} in braces; ${HASH_IT}`;
}

function readCrypt(id: string, hash: string): Secret | string {
  if (/^2[aby]$/.test(id)) {
    const cost = /^\$..\$(\d\d)\$[./0-9A-Za-z]{53}$/.exec(hash)?.[1];
    if (cost === undefined || Number(cost) < 4) return "Is cut short, or no bcrypt hash";
    if (Number(cost) <= MAX_BCRYPT_COST) return { scheme: "bcrypt", secret: hash };
    return `A bcrypt cost of ${Number(cost)} takes seconds for each check; at most ${MAX_BCRYPT_COST} is taken`;
  }
  if (id === "5" || id === "6") {
    const shape = /^\$.\$(?:rounds=(\d{1,9})\$)?[./0-9A-Za-z]{0,16}\$([./0-9A-Za-z]*)$/.exec(hash);
    if (shape?.[2]?.length !== (id === "5" ? 43 : 86)) return "Is cut short, or no SHA crypt hash";
    const rounds = Number(shape[1] ?? 0);
    if (rounds <= MAX_ROUNDS) return { scheme: "sha-crypt", secret: hash };
    return `${rounds} rounds take seconds for each check; at most ${MAX_ROUNDS} are taken`;
  }
  if (id === "apr1")
    return /^\$apr1\$[./0-9A-Za-z]{1,8}\$[./0-9A-Za-z]{22}$/.test(hash)
      ? { scheme: "apr1", secret: hash }
      : "Is cut short, or no apr1 hash";
  return `Is hashed in a way that is not known here; ${HASH_IT}. If it is the password itself, write {PLAIN} before it`;
}
