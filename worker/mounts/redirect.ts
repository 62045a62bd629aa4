// Sends the client elsewhere: `"origin": ">https://example.com"`. What the location is made of is decided when it is provisioned.

import { encodePath } from "../http/target.ts";
import { defineMount } from "../mount.ts";

/** `>http://` and `>https://` mounts. */
export const redirect = defineMount({
  scheme: "redirect",
  provision({ origin: { location }, config, refuse }) {
    if (!config["append-path"])
      return { handle: (exchange) => exchange.send(301, [["Location", location]]) };
    if (/[?#]/.test(location))
      refuse("origin", "A location that paths are appended to cannot have a query or a fragment");
    const base = location.replace(/\/+$/, "");
    return {
      handle(exchange, rest) {
        // One slash between the two, however many either side brings.
        const path = rest === "" ? location : base + encodePath(rest);
        const query = exchange.query === undefined ? "" : `?${exchange.query}`;
        exchange.send(301, [["Location", path + query]]);
      },
    };
  },
});
