// Protocol plugins of the vhost and its mounts: `"origin": "callback://protocol-post-demo"` hands requests to one, and as
// a second origin, or behind an "interceptor-path", it sees them before the first one serves.

import { findInterceptor } from "../../config/access-rules.ts";
import type { MountConfig } from "../../config/mount.ts";
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

/** The mount behind the protocols that are to see its requests first, or just the mount where there are none. */
export function intercepted(mount: Mount, context: Omit<MountContext, "origin">): Mount {
  const { config } = context;
  const asked = interceptorsOf(config, context);
  if (config.before !== undefined)
    asked.push({ ask: interceptOf(config.before, "origin", context), pmo: config.pmo });
  if (asked.length === 0) return mount;
  return {
    async handle(exchange, rest) {
      for (const { ask, pmo } of asked) {
        if (!ask) throw new HttpError(503, "This mount was refused");
        if (await ask(exchange, rest, pmo)) return;
      }
      await mount.handle(exchange, rest);
    },
    // The protocol sees requests; this is none.
    readPage: mount.readPage,
    stop: () => mount.stop?.(),
  };
}

type Intercept = NonNullable<ProtocolInstance["intercept"]>;
type Interceptor = {
  /** Undefined where it was refused. */
  readonly ask: Intercept | undefined;
  readonly pmo: MountConfig["pmo"];
};

/** Those that "interceptor-path" leads to; one that has an interceptor itself comes after it. The configuration has no circles. */
function interceptorsOf(
  { "interceptor-path": path }: MountConfig,
  context: Omit<MountContext, "origin">,
): Interceptor[] {
  if (path === undefined) return [];
  const found = findInterceptor(context.vhost.mounts, path);
  if (!found) {
    context.refuse("interceptor-path", `No callback:// mount has the mountpoint "${path}"`);
    return [{ ask: undefined, pmo: {} }];
  }
  const ask = interceptOf(found.origin.protocol, "interceptor-path", context);
  return [...interceptorsOf(found, context), { ask, pmo: found.pmo }];
}

function interceptOf(
  name: string,
  key: string,
  context: Omit<MountContext, "origin">,
): Intercept | undefined {
  const instance = instanceOf(name, context, key);
  if (instance && !instance.intercept)
    context.refuse(key, `The protocol "${name}" cannot see requests before they are served`);
  return instance?.intercept?.bind(instance);
}

function instanceOf(
  name: string,
  { vhost, protocol, refuse }: Omit<MountContext, "origin">,
  key = "origin",
): ProtocolInstance | undefined {
  const host = protocol(name);
  if (host) return host.instance;
  const enabled = vhost["ws-protocols"].map((one) => one.name);
  const near = suggest(name, enabled);
  // One that is enabled and could not start has been refused by itself.
  if (!enabled.includes(name))
    refuse(key, `The protocol "${name}" is not among the ws-protocols of this vhost${near}`);
  return undefined;
}
