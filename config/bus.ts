// The key "bus" of "global": over which server plugins of several machines share one bus. No message here quotes a URL, because
// it may hold a password.

import { anything, convert, object, type Refuse } from "./shape.ts";

const SCHEMES: ReadonlySet<string> = new Set(["nats:", "tls:"]);
const WANTED = 'Expected a URL such as "nats://host:4222" or "tls://user:password@host"';
const MAX_URLS = 16;

/** One URL, or several of one cluster. */
function natsUrls() {
  return convert(anything(), (value, refuse): readonly string[] | undefined => {
    const urls: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (urls.length === 0 || urls.length > MAX_URLS)
      return refuse(`Expected one URL or up to ${MAX_URLS}, got ${urls.length}`);
    return urls.every((url, index) => isNatsUrl(url, Array.isArray(value) ? [index] : [], refuse))
      ? urls
      : undefined;
  }).meta({ title: "URL, or an array of URLs" });
}

function isNatsUrl(value: unknown, at: (string | number)[], refuse: Refuse): value is string {
  const url = typeof value === "string" ? URL.parse(value) : null;
  const isBare =
    url && ["", "/"].includes(url.pathname) && url.search === "" && url.hash === "" && url.hostname;
  if (isBare && SCHEMES.has(url.protocol)) return true;
  refuse(WANTED, at);
  return false;
}

/** What "bus" may hold. */
export const busShape = object({ nats: natsUrls() }).meta({ title: "names and values" });

/** How a URL is shown: without whoever it names. */
export function natsAddress(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port === "" ? DEFAULT_PORT : port}`;
}

const DEFAULT_PORT = "4222";
