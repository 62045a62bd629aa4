// Hands requests to a protocol plugin of the same vhost: `"origin": "callback://protocol-post-demo"`.

import { HttpError } from "../http/exchange.ts";
import { defineMount } from "../mount.ts";

/** `callback://` mounts. */
export const callback = defineMount({
  scheme: "callback",
  provision({ origin, config, protocol, refuse }) {
    const instance = protocol(origin.protocol)?.instance;
    if (!instance)
      refuse(
        "origin",
        `The protocol "${origin.protocol}" is not among the ws-protocols of this vhost`,
      );
    else if (!instance.request)
      refuse("origin", `The protocol "${origin.protocol}" takes WebSockets only, no requests`);
    return {
      handle(exchange, rest) {
        if (!instance?.request) throw new HttpError(503, "This mount was refused");
        return instance.request(exchange, rest, config.pmo);
      },
    };
  },
});
