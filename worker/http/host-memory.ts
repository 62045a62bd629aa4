// Host fields that were asked for lately: connections come with the same few names over and over, so a name is taken apart once,
// and all connections keep the one copy of its text.

import { parseAuthority, type Authority } from "./host.ts";

/** Names that are remembered; with one more, all are forgotten. */
const MAX_NAMES = 256;

export class HostMemory {
  readonly #known = new Map<string, Authority>();
  #last: Authority | undefined;

  /** As parseAuthority; the text of what it returns is part of no longer string. */
  find(text: string): Authority | undefined {
    if (this.#last?.text === text) return this.#last;
    const found = this.#known.get(text) ?? this.#parse(text);
    if (found) this.#last = found;
    return found;
  }

  #parse(text: string): Authority | undefined {
    // The string at hand is a slice of a whole head, which would be kept with it.
    const authority = parseAuthority(Buffer.from(text, "latin1").toString("latin1"));
    if (!authority) return undefined;
    if (this.#known.size >= MAX_NAMES) this.#known.clear();
    this.#known.set(authority.text, authority);
    return authority;
  }
}
