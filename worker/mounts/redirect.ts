// Sends the client elsewhere: `"origin": ">https://example.com"`. What the location is made of is decided when it is provisioned.

import type { HeaderPair } from "../../config/vhost.ts";
import type { ByteString } from "../http/exchange.ts";
import { PreparedReply } from "../http/prepared.ts";
import { encodePath } from "../http/target.ts";
import { defineMount } from "../mount.ts";

/** `>http://` and `>https://` mounts. */
export const redirect = defineMount({
  scheme: "redirect",
  provision({ origin: { location }, config, refuse }) {
    if (!config["append-path"]) {
      const headers = [["Location", location]] as const;
      const reply = new PreparedReply(301, headers);
      return { handle: (exchange) => exchange.send(301, headers), ready: () => reply };
    }
    if (/[?#]/.test(location))
      refuse("origin", "A location that paths are appended to cannot have a query or a fragment");
    const base = location.replace(/\/+$/, "");
    const locate = (rest: ByteString, query: ByteString | undefined): HeaderPair => {
      // One slash between the two, however many either side brings.
      const path = rest === "" ? location : base + encodePath(rest);
      return ["Location", query === undefined ? path : `${path}?${query}`];
    };
    return {
      handle: (exchange, rest) => exchange.send(301, [locate(rest, exchange.query)]),
      ready: ({ query }, rest) => new PreparedReply(301, [locate(rest, query)]),
    };
  },
});
