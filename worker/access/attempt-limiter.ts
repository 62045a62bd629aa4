// How many passwords an address may try: a bucket of attempts that refills slowly. Bounded, whoever comes.

import { isIPv6 } from "node:net";

export type AttemptLimits = {
  /** Wrong passwords at once. */
  readonly burst: number;
  /** Time after which one more is allowed. */
  readonly refillMs: number;
  /** Addresses remembered; the one that was idle longest is forgotten first. */
  readonly maxAddresses: number;
};

/** A wrong password every two seconds costs a processor 3 % with bcrypt at cost 10, and finds nothing in a year. */
export const attemptLimits: AttemptLimits = { burst: 30, refillMs: 2_000, maxAddresses: 10_000 };

export interface AttemptLimiter {
  /** Takes one attempt, before it is made, so that many at once count too. Milliseconds to wait, 0 if it may be made. */
  take(address: string): number;
  /** The attempt was none: its password was right, or it was not looked at. */
  giveBack(address: string): void;
  /** Addresses remembered now. */
  readonly size: number;
}

type Bucket = { attempts: number; since: number };

/** Makes a limiter. `now` counts milliseconds. */
export function createAttemptLimiter(
  limits: AttemptLimits,
  now: () => number = () => performance.now(),
): AttemptLimiter {
  const { burst, refillMs, maxAddresses } = limits;
  const buckets = new Map<string, Bucket>();

  /** The bucket as it is now, moved to the end of the map; a full one is as good as none. */
  function find(key: string): Bucket {
    const found = buckets.get(key) ?? { attempts: burst, since: now() };
    const grown = Math.floor((now() - found.since) / refillMs);
    found.attempts = Math.min(burst, found.attempts + grown);
    found.since = found.attempts === burst ? now() : found.since + grown * refillMs;
    buckets.delete(key);
    return found;
  }

  function keep(key: string, bucket: Bucket): void {
    if (bucket.attempts >= burst) return;
    const [oldest] = buckets.keys();
    if (buckets.size >= maxAddresses && oldest !== undefined) buckets.delete(oldest);
    buckets.set(key, bucket);
  }

  return {
    get size() {
      return buckets.size;
    },
    take(address) {
      const key = networkOf(address);
      const bucket = find(key);
      const isAllowed = bucket.attempts > 0;
      if (isAllowed) bucket.attempts -= 1;
      keep(key, bucket);
      return isAllowed ? 0 : Math.max(1, bucket.since + refillMs - now());
    },
    giveBack(address) {
      const key = networkOf(address);
      const bucket = find(key);
      bucket.attempts = Math.min(burst, bucket.attempts + 1);
      keep(key, bucket);
    },
  };
}

/** One customer has 2^64 IPv6 addresses: they count as one. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  const behind = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = tail === undefined ? 0 : 8 - groups.length - behind.length;
  return [...groups, ...Array<string>(Math.max(0, missing)).fill("0"), ...behind]
    .slice(0, 4)
    .join(":");
}
