// What clients and caches may do with an answer, in lwsws's keys.

import type { MountConfig } from "../../../config/mount.ts";

export type CacheKeys = Pick<
  MountConfig,
  "cache-max-age" | "cache-reuse" | "cache-revalidate" | "cache-intermediaries" | "cache-no"
>;

/** What Cache-Control says under lwsws's five keys. */
export function cachePolicy(config: CacheKeys): string {
  if (config["cache-no"]) return "no-cache";
  const maxAge = config["cache-max-age"];
  if (maxAge <= 0 || !config["cache-reuse"]) return "no-store";
  const audience = config["cache-intermediaries"] ? "public" : "private";
  const revalidate = config["cache-revalidate"] ? "must-revalidate, " : "";
  return `${revalidate}${audience}, max-age=${maxAge}`;
}
