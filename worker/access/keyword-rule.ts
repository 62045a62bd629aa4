// "reject-service-keywords": clients that say by a word in their User-Agent what they are.

import type { KeywordRefusal } from "../../config/access.ts";
import { toByteString } from "../../config/pairs.ts";
import { HttpError } from "../http/exchange.ts";
import type { Rule } from "./guard.ts";

/** Refuses clients by their User-Agent and closes; undefined where there are no words. */
export function createKeywordRule(
  keywords: readonly (readonly [keyword: string, refusal: KeywordRefusal])[],
): Rule | undefined {
  if (keywords.length === 0) return undefined;
  const refusals = keywords.map(([keyword, { status, message }]) => ({
    keyword: toByteString(keyword),
    refusal: new HttpError(status, message, { closes: true }),
  }));
  return (asker) => {
    const userAgent = asker.header("user-agent");
    if (userAgent === undefined) return undefined;
    return refusals.find(({ keyword }) => userAgent.includes(keyword))?.refusal;
  };
}
