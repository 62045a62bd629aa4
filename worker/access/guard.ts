// Who may ask: rules about the client that are decided at once, and a password whose check may take a thread and a while.
// A guard stands before one mount, or before a vhost where no mount matches; nothing behind it happens until it lets a request in.

import type { ByteString, HttpError } from "../http/exchange.ts";

/** What a guard sees of a request. */
export type Asker = {
  readonly remoteAddress: string;
  /** As Exchange.header. */
  header(name: string): string | undefined;
};

/** Lets a request in; `user` is whose password was right, undefined where none was asked for. */
export type Admission = { readonly user: ByteString | undefined };

export type Verdict = Admission | HttpError;

/** Refuses a client, or has nothing against it. */
export type Rule = (asker: Asker) => HttpError | undefined;

/** Asks for a password. */
export type PasswordGate = (asker: Asker) => Verdict | Promise<Verdict>;

export type Guard = {
  /** All of them are heard, in this order. */
  readonly rules: readonly Rule[];
  /** Asked last, so that a client that is refused anyway costs nothing. */
  readonly password: PasswordGate | undefined;
};

/** Nobody was asked who it is. */
export const ANYBODY: Admission = { user: undefined };

/** Asks the guard, where there is one. */
export function admit(guard: Guard | undefined, asker: Asker): Verdict | Promise<Verdict> {
  if (!guard) return ANYBODY;
  for (const rule of guard.rules) {
    const refusal = rule(asker);
    if (refusal) return refusal;
  }
  return guard.password?.(asker) ?? ANYBODY;
}
