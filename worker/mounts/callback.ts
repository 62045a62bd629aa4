// Protocol plugins of the vhost and its mounts: `"origin": "callback://protocol-post-demo"` hands requests to one, and as
// a second origin it sees them before the first one serves.

import { suggest } from "../../config/suggest.ts";
import { HttpError } from "../http/exchange.ts";
import { defineMount, type Mount, type MountContext } from "../mount.ts";
import type { ProtocolInstance } from "../protocol.ts";

/** `callback://` mounts. */
export const callback = defineMount({
  scheme: "callback",
  provision(context) {
    const { origin, config, refuse } = context;
    const instance = instanceOf(origin.protocol, context);
    if (instance && !instance.request)
      refuse("origin", `The protocol "${origin.protocol}" takes WebSockets only, no requests`);
    return {
      handle(exchange, rest) {
        if (!instance?.request) throw new HttpError(503, "This mount was refused");
        return instance.request(exchange, rest, config.pmo);
      },
    };
  },
});

/** The mount behind the protocol that is to see its requests first, or just the mount where there is none. */
export function intercepted(mount: Mount, context: Omit<MountContext, "origin">): Mount {
  const { config, refuse } = context;
  if (config.before === undefined) return mount;
  const instance = instanceOf(config.before, context);
  if (instance && !instance.intercept)
    refuse("origin", `The protocol "${config.before}" cannot see requests before they are served`);
  return {
    async handle(exchange, rest) {
      if (!instance?.intercept) throw new HttpError(503, "This mount was refused");
      const isAnswered = await instance.intercept(exchange, rest, config.pmo);
      if (!isAnswered) await mount.handle(exchange, rest);
    },
    // The protocol sees requests; this is none.
    readPage: mount.readPage,
    stop: () => mount.stop?.(),
  };
}

function instanceOf(
  name: string,
  { vhost, protocol, refuse }: Omit<MountContext, "origin">,
): ProtocolInstance | undefined {
  const host = protocol(name);
  if (host) return host.instance;
  const enabled = vhost["ws-protocols"].map((one) => one.name);
  const near = suggest(name, enabled);
  // One that is enabled and could not start has been refused by itself.
  if (!enabled.includes(name))
    refuse("origin", `The protocol "${name}" is not among the ws-protocols of this vhost${near}`);
  return undefined;
}
