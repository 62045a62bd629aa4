// "sts" of a vhost: HTTP Strict Transport Security (RFC 6797), as a flag or in detail. Pure.

import { anything, convert, flagPattern, readFlag, shown, type Refuse } from "./shape.ts";

export type StsPolicy = {
  readonly maxAgeSecs: number;
  readonly includeSubDomains: boolean;
  readonly preload: boolean;
};

/** What "sts": "1" stands for: half a year and all subdomains, the value of lwsws in valid syntax. */
const USUAL: StsPolicy = { maxAgeSecs: 15_768_000, includeSubDomains: true, preload: false };
/** What https://hstspreload.org asks of a site before browsers ship it in their lists. */
const PRELOAD_MIN_SECS = 31_536_000;

const MEMBERS = ["max-age", "includeSubDomains", "preload"];

/** The shape of "sts"; false sends nothing. */
export function sts() {
  const written = {
    title: "flag or policy",
    type: ["boolean", "number", "string", "object"],
    pattern: flagPattern(),
  };
  return convert(anything().meta(written), readPolicy).default(false);
}

/** Value of the header field. */
export function formatSts({ maxAgeSecs, includeSubDomains, preload }: StsPolicy): string {
  const flags = [includeSubDomains && "includeSubDomains", preload && "preload"];
  return [`max-age=${maxAgeSecs}`, ...flags.filter((flag) => flag !== false)].join("; ");
}

/** Why browsers would not take the site into their lists although the policy asks them to; undefined when they would. */
export function preloadFault({
  maxAgeSecs,
  includeSubDomains,
  preload,
}: StsPolicy): string | undefined {
  if (!preload) return undefined;
  const missing = [
    maxAgeSecs < PRELOAD_MIN_SECS && `a "max-age" of at least ${PRELOAD_MIN_SECS}`,
    !includeSubDomains && '"includeSubDomains"',
  ].filter((part) => part !== false);
  return missing.length === 0
    ? undefined
    : `"preload" has no effect: browsers' lists take sites with ${missing.join(" and ")} only`;
}

function readPolicy(value: unknown, refuse: Refuse): StsPolicy | false | undefined {
  const flag = readFlag(value);
  if (flag !== undefined) return flag && USUAL;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return refuse(`Expected a flag such as "1", or an object with "max-age", got ${shown(value)}`);
  const members = new Map<string, unknown>(Object.entries(value));
  const unknown = [...members.keys()].filter((name) => !MEMBERS.includes(name));
  for (const name of unknown)
    refuse(`Unknown key ${shown(name)}, expected ${MEMBERS.map(shown).join(", ")}`, [name]);
  const maxAgeSecs = readSeconds(members.get("max-age"));
  if (maxAgeSecs === undefined)
    refuse(
      `Expected a whole number of seconds, got ${shown(members.get("max-age"))}`,
      members.has("max-age") ? ["max-age"] : [],
    );
  const flagOf = (name: string): boolean => {
    const found = readFlag(members.get(name) ?? false);
    if (found === undefined) refuse(`Expected a flag such as "1" or "0"`, [name]);
    return found ?? false;
  };
  const includeSubDomains = flagOf("includeSubDomains");
  const preload = flagOf("preload");
  return maxAgeSecs === undefined || unknown.length > 0
    ? undefined
    : { maxAgeSecs, includeSubDomains, preload };
}

function readSeconds(value: unknown): number | undefined {
  const digits = typeof value === "number" ? String(value) : value;
  if (typeof digits !== "string" || !/^\d{1,10}$/.test(digits)) return undefined;
  return Number(digits);
}
