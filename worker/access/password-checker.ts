// Whether a password is that of a user. Slow hashes go to a thread; what was right is remembered for a while, by a keyed hash and
// never as it was sent; who guesses is slowed down before anything is hashed. A user that does not exist costs what one does that exists.

import { createHash, createHmac, hash, randomBytes, timingSafeEqual } from "node:crypto";
import type { PasswordEntry, PasswordFile } from "../../config/password-file.ts";
import { toByteString } from "../../config/pairs.ts";
import type { Logger } from "../../log/logger.ts";
import { HttpError } from "../http/exchange.ts";
import { createPool, type Pool } from "../pool.ts";
import { attemptLimits, createAttemptLimiter, type AttemptLimits } from "./attempt-limiter.ts";
import type { Verdict } from "./guard.ts";
import type { HashJob } from "./hash-task.ts";

/** Of each worker: a flood of guesses gets no more of the processors than this. */
const HASH_THREADS = 1;
/** Hashes running or waiting; at 50 ms each the last one waits three seconds. */
const MAX_HASHES = 64;
const BUSY_RETRY_SECS = 5;
/** Passwords known to be right. A new generation of workers begins with none, so a changed file counts at once. */
const MAX_REMEMBERED = 10_000;
const REMEMBERED_MS = 10 * 60_000;
/** A password is guessed by the thousand: one line in so long a time says so. */
const COMPLAINT_MS = 60_000;
const KEY_BYTES = 32;

export type PasswordCheckerOptions = {
  readonly log: Logger;
  readonly limits?: AttemptLimits;
  readonly maxHashes?: number;
  /** Milliseconds. */
  readonly now?: () => number;
};

export interface PasswordChecker {
  /** Opens one password file; the users of each are their own. */
  open(file: PasswordFile): PasswordBook;
  /** Hashes made, by thread or at once. */
  readonly hashed: number;
  stop(): void;
}

export interface PasswordBook {
  /** The user, or why not: undefined for a wrong name or password, an HttpError where it is not looked at now. */
  check(name: string, password: string, address: string): Outcome | Promise<Outcome>;
}

type Outcome = Verdict | undefined;

/** Makes the checker of one worker. */
export function createPasswordChecker(options: PasswordCheckerOptions): PasswordChecker {
  const { log, now = () => performance.now() } = options;
  const key = randomBytes(KEY_BYTES);
  const limiter = createAttemptLimiter(options.limits ?? attemptLimits, now);
  const remembered = new Map<string, number>();
  const pending = new Map<string, Promise<Outcome>>();
  const pool: Pool<HashJob, boolean> = createPool({
    task: new URL("hash-task.ts", import.meta.url),
    threads: HASH_THREADS,
    maxTasks: options.maxHashes ?? MAX_HASHES,
    log,
  });
  let complainedAt = -COMPLAINT_MS;
  let hashed = 0;
  let books = 0;

  function remember(id: string): void {
    const [oldest] = remembered.keys();
    if (remembered.size >= MAX_REMEMBERED && oldest !== undefined) remembered.delete(oldest);
    remembered.set(id, now() + REMEMBERED_MS);
  }

  function isRemembered(id: string): boolean {
    const until = remembered.get(id);
    if (until !== undefined && until > now()) return true;
    remembered.delete(id);
    return false;
  }

  function slowDown(address: string, waitMs: number): HttpError {
    if (now() - complainedAt >= COMPLAINT_MS) {
      complainedAt = now();
      log.warn(`Too many wrong passwords from ${address}: it has to wait`);
    }
    const headers = [["Retry-After", String(Math.ceil(waitMs / 1000))]] as const;
    return new HttpError(429, "Too many wrong passwords", { headers });
  }

  /** Undefined where too many wait already. */
  function compare(entry: PasswordEntry, password: string): boolean | Promise<boolean> | undefined {
    const { scheme, secret } = entry;
    switch (scheme) {
      case "plain":
        return areEqual(hash("sha256", password, "buffer"), hash("sha256", secret, "buffer"));
      case "sha1":
        return areEqual(hash("sha1", password, "buffer"), Buffer.from(secret, "base64"));
      case "salted-sha1": {
        const bytes = Buffer.from(secret, "base64");
        const salted = createHash("sha1").update(password).update(bytes.subarray(20)).digest();
        return areEqual(salted, bytes.subarray(0, 20));
      }
      default:
        return pool.run({ scheme, secret, password });
    }
  }

  function createBook({ users }: PasswordFile, book: number): PasswordBook {
    const byName = new Map(users.map((entry) => [entry.name, entry]));

    /** The line that is hashed for a name that is in none: always the same one, so that nobody can tell it from its own. */
    function standIn(name: string): PasswordEntry | undefined {
      const number = createHmac("sha256", key).update(name).digest().readUInt32BE(0);
      return users[number % users.length];
    }

    return {
      check(name, password, address) {
        const id = createHmac("sha256", key)
          .update(`${book}\0${name}\0${password}`)
          .digest("base64");
        const user = toByteString(name);
        if (isRemembered(id)) return { user };
        // A browser asks for a page and all that is in it at once.
        const same = pending.get(id);
        if (same) return same;
        const waitMs = limiter.take(address);
        if (waitMs > 0) return slowDown(address, waitMs);
        const known = byName.get(name);
        const entry = known ?? standIn(name);
        if (!entry) return undefined;
        const compared = compare(entry, password);
        if (compared === undefined) {
          limiter.giveBack(address);
          const headers = [["Retry-After", String(BUSY_RETRY_SECS)]] as const;
          return new HttpError(503, "Too many passwords are being checked", { headers });
        }
        hashed += 1;
        const conclude = (isEqual: boolean): Outcome => {
          if (!isEqual || !known) return undefined;
          limiter.giveBack(address);
          remember(id);
          return { user };
        };
        if (typeof compared === "boolean") return conclude(compared);
        const outcome = compared.then(conclude).finally(() => pending.delete(id));
        pending.set(id, outcome);
        return outcome;
      },
    };
  }

  return {
    open: (file) => createBook(file, (books += 1)),
    get hashed() {
      return hashed;
    },
    stop: () => pool.close(),
  };
}

function areEqual(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
