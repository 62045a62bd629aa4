// Priorities of answers (RFC 9218): the "priority" field and PRIORITY_UPDATE, as urgency and whether pieces help.

export type Priority = {
  /** 0 goes first, 7 last. */
  readonly urgency: number;
  /** Answers of one urgency share the connection instead of following each other. */
  readonly incremental: boolean;
};

export const URGENCIES = 8;
export const DEFAULT_PRIORITY: Priority = { urgency: 3, incremental: false };

/** A member of a dictionary (RFC 8941 3.2): a key, perhaps a value, perhaps parameters. */
const MEMBER = /^[\t ]*([*a-z][\w*.-]*)(?:=([^;]*))?(?:;.*)?$/;

/** What does not parse counts as absent: no request fails for its priority. */
export function parsePriority(text: string): Priority {
  let { urgency, incremental } = DEFAULT_PRIORITY;
  for (const member of text.split(",")) {
    const [, key, value = "?1"] = MEMBER.exec(member.trimEnd()) ?? [];
    if (key === "u" && /^[0-7]$/.test(value)) urgency = Number(value);
    if (key === "i" && /^\?[01]$/.test(value)) incremental = value === "?1";
  }
  return { urgency, incremental };
}
