// A protocol that runs on a vhost, with what the server keeps its connections to: decided here, once.

import type { ProtocolKeys } from "../config/protocol.ts";
import type { Activity } from "./activity.ts";
import type { ProtocolDefinition, ProtocolInstance, SendQueue } from "./protocol.ts";

/** Largest message of a protocol that names no size of its own. */
const DEFAULT_MESSAGE_BYTES = 1024 * 1024;
/** Bytes that may wait for a slow peer of a protocol that names no limit of its own. */
const DEFAULT_QUEUE_BYTES = 1024 * 1024;

/** What a connection of the protocol may do. */
export type PeerLimits = {
  readonly maxMessageBytes: number;
  /** 0 for no limit. */
  readonly maxMessagesPerSec: number;
  readonly queue: Required<SendQueue>;
};

export type ProtocolHost = {
  readonly definition: ProtocolDefinition;
  readonly instance: ProtocolInstance;
  /** Serves clients that name no protocol. */
  readonly isDefault: boolean;
  readonly limits: PeerLimits;
  readonly isCompressed: boolean;
  /** Whether pages of this origin (RFC 6454 7) may open WebSockets beside those of the host itself. */
  admits(origin: string): boolean;
};

type Noted = ReturnType<Activity["named"]>;

/** The same hooks, noted while they run. */
function watchHooks(plugin: ProtocolInstance, noted: Noted): ProtocolInstance {
  return {
    ...(plugin.open && { open: noted(plugin.open.bind(plugin)) }),
    ...(plugin.message && { message: noted(plugin.message.bind(plugin)) }),
    ...(plugin.close && { close: noted(plugin.close.bind(plugin)) }),
    ...(plugin.request && { request: noted(plugin.request.bind(plugin)) }),
    ...(plugin.intercept && { intercept: noted(plugin.intercept.bind(plugin)) }),
    ...(plugin.raw && { raw: noted(plugin.raw.bind(plugin)) }),
    ...(plugin.stop && { stop: noted(plugin.stop.bind(plugin)) }),
  };
}

/** Puts a started protocol and its configuration together. */
export function createProtocolHost(
  definition: ProtocolDefinition,
  instance: ProtocolInstance,
  keys: ProtocolKeys,
  isDefault: boolean,
  noted: Noted = (hook) => hook,
): ProtocolHost {
  const origins = new Set(keys.origins?.map((origin) => origin.toLowerCase()));
  return {
    definition,
    instance: watchHooks(instance, noted),
    isDefault,
    limits: {
      maxMessageBytes:
        keys["max-message-bytes"] ?? definition.maxMessageBytes ?? DEFAULT_MESSAGE_BYTES,
      maxMessagesPerSec: keys["max-messages-per-sec"],
      queue: {
        maxBytes: definition.sendQueue?.maxBytes ?? DEFAULT_QUEUE_BYTES,
        whenFull: definition.sendQueue?.whenFull ?? "close",
      },
    },
    isCompressed: keys["permessage-deflate"],
    admits: (origin) => origins.has("*") || origins.has(origin),
  };
}
