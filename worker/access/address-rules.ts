// "allow" and "deny": the most specific network that holds the client decides, deny where both name the same one; nobody else
// may come once "allow" is given.

import { ALL_CLIENTS, UNIX_CLIENTS } from "../../config/networks.ts";
import { HttpError } from "../http/exchange.ts";
import { createNetworks, type Networks } from "../networks.ts";
import type { Rule } from "./guard.ts";

export type AddressRules = {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
};

/** Clients whose decision is remembered; then all are forgotten. */
const MAX_REMEMBERED = 1_000;

/** Refuses clients by their address; undefined where there are no rules. */
export function createAddressRule({ allow, deny }: AddressRules): Rule | undefined {
  if (!allow && !deny) return undefined;
  const levels = levelsOf(allow ?? [], deny ?? []);
  const decide = (address: string): boolean => {
    for (const { allowed, denied } of levels) {
      if (denied.has(address)) return false;
      if (allowed.has(address)) return true;
    }
    return allow === undefined;
  };
  const refusal = new HttpError(403, "");
  const decisions = new Map<string, boolean>();
  return ({ remoteAddress }) => {
    let mayCome = decisions.get(remoteAddress);
    if (mayCome === undefined) {
      if (decisions.size >= MAX_REMEMBERED) decisions.clear();
      decisions.set(remoteAddress, (mayCome = decide(remoteAddress)));
    }
    return mayCome ? undefined : refusal;
  };
}

type Level = { readonly allowed: Networks; readonly denied: Networks };

/** The rules by the length of their prefix, the longest first. No address is in networks of both families, so these may share a level. */
function levelsOf(allow: readonly string[], deny: readonly string[]): readonly Level[] {
  const allowed = Map.groupBy(allow, bitsOf);
  const denied = Map.groupBy(deny, bitsOf);
  const all = new Set([...allowed.keys(), ...denied.keys()]);
  return [...all]
    .toSorted((a, b) => b - a)
    .map((bits) => ({
      allowed: networksOf(allowed.get(bits)),
      denied: networksOf(denied.get(bits)),
    }));
}

/** "all" comes after everything else. */
function bitsOf(entry: string): number {
  if (entry === ALL_CLIENTS) return -1;
  if (entry === UNIX_CLIENTS) return 0;
  const [address = "", bits] = entry.split("/");
  return Number(bits ?? (address.includes(":") ? 128 : 32));
}

function networksOf(entries: readonly string[] = []): Networks {
  return entries.includes(ALL_CLIENTS) ? { has: () => true } : createNetworks(entries);
}
