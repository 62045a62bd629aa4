// The secret from which all workers make the keys of TLS session tickets, so that any of them resumes what another began,
// also over reloads. It lives in memory only and is replaced now and then: whoever learns one reads no older sessions.

import { randomBytes } from "node:crypto";

const SECRET_BYTES = 32;

export type TicketSecret = {
  readonly current: Uint8Array;
  /** Replaces a secret that is older than `maxAgeMs`; true when it did, and workers have to be told. */
  renew(maxAgeMs: number): boolean;
};

/** Makes a secret. */
export function createTicketSecret(): TicketSecret {
  let current = randomBytes(SECRET_BYTES);
  let madeAt = performance.now();
  return {
    get current() {
      return current;
    },
    renew(maxAgeMs) {
      if (performance.now() - madeAt < maxAgeMs) return false;
      current = randomBytes(SECRET_BYTES);
      madeAt = performance.now();
      return true;
    },
  };
}
