// The key-value map that all workers share, as it travels: one change at a time.

/** A value set or, with `isGone`, a key forgotten. `scope` names the vhost and the protocol. */
export type StoreChange = {
  readonly scope: string;
  readonly key: string;
  readonly data: Uint8Array;
  readonly isGone: boolean;
};

/** Keys one protocol on one vhost may have. */
export const MAX_STORE_KEYS = 1_000;
/** Longest key, bytes in UTF-8. */
export const MAX_STORE_KEY_BYTES = 256;
/** Largest value. */
export const MAX_STORE_VALUE_BYTES = 64 * 1024;
/** Keys and values of all protocols of a server. */
export const MAX_STORE_BYTES = 16 * 1024 * 1024;
