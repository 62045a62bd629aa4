// The keys of one protocol that are the server's, not the plugin's: who may come, how much, and where the plugin is.

import { passwordKeys, passwordPaths } from "./access.ts";
import { array, check, flag, integer, object, text, type Infer } from "./shape.ts";

const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

/** Every such key; the description is its manual entry. */
export const protocolShape = object({
  ...passwordKeys,
  plugin: check(text(), pluginFault)
    .exactOptional()
    .meta({
      description:
        "npm package or file that provides the protocol, looked for from the configuration directory. Bundled protocols and those of a plugin-dir need none.",
      examples: ["portico-plugin-chat", "./plugins/chat.ts"],
    }),
  origins: array(check(text(), originFault))
    .exactOptional()
    .meta({
      description:
        'Pages that may open WebSockets, by their origin, beside those of the host itself; "*" allows any page. May be given several times; all count. Clients that are no browsers send no Origin and are not asked.',
      examples: [["https://app.example.com"]],
    }),
  "max-message-bytes": integer({ min: 1, max: MAX_MESSAGE_BYTES }).exactOptional().meta({
    description:
      "Largest message taken from a client; a longer one ends the connection with 1009. By default what the plugin says, else 1 MiB.",
  }),
  "max-messages-per-sec": integer({ min: 0, max: 1_000_000 }).default(0).meta({
    description:
      "Messages a client may send per second, twice that in a burst; more ends the connection with 1008. 0 sets no limit.",
  }),
  "permessage-deflate": flag().meta({
    description:
      "Compress messages of 1 KiB and more for clients that offer it (RFC 7692). Costs processor time and some 100 KiB for each message in work.",
  }),
});

export const protocolPaths = passwordPaths;

export type ProtocolKeys = Readonly<Infer<typeof protocolShape>>;

/** One protocol, as a vhost enables it. */
export type ProtocolConfig = {
  readonly name: string;
  /** What the server itself keeps to. */
  readonly keys: ProtocolKeys;
  /** As written in the file; the plugin's own shape decodes them in the worker. An option given twice is an array. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Serves WebSocket clients that name no protocol. */
  readonly isDefault: boolean;
  /** Where it stands, for messages: "ws-protocols[0].lws-status". */
  readonly path: string;
};

function originFault(value: string): string | undefined {
  if (value === "*") return undefined;
  const parsed = URL.parse(value);
  // What a browser sends: scheme and authority, no path (RFC 6454 7).
  return parsed && parsed.origin === value.toLowerCase()
    ? undefined
    : `Expected an origin such as "https://app.example.com", or "*", got ${JSON.stringify(value)}`;
}

function pluginFault(value: string): string | undefined {
  return value === "" || value.includes("\0")
    ? "Expected the name of an npm package, or a path"
    : undefined;
}
