// One line that everybody sees and anybody may change: whoever is connected, to whichever worker, gets the new one, and a
// reload of the server does not lose it.

import { defineProtocol, type Peer } from "portico/protocol";
import { integer, object } from "portico/shape";

const LINE = "line";

export default defineProtocol({
  name: "headline",
  // What the configuration may say of it: "headline": { "max-length": "80" }.
  options: object({ "max-length": integer({ min: 1, max: 1000 }).default(200) }),
  maxMessageBytes: 4096,
  // Once for each vhost and worker. What it returns are the hooks.
  start({ store }, options) {
    const peers = new Set<Peer>();
    const line = (): string => store.get(LINE)?.toString() ?? "";

    // Also when a client of another worker has changed it.
    store.onChange(() => {
      for (const peer of peers) peer.send(line());
    });

    return {
      open(peer) {
        peers.add(peer);
        peer.send(line());
      },
      message(peer, message) {
        const text = message.toString();
        if (text.length <= options["max-length"]) store.set(LINE, text);
        else peer.close(1008, `At most ${options["max-length"]} characters`);
      },
      close(peer) {
        peers.delete(peer);
      },
      // For a mount with "origin": "callback://headline".
      request(exchange) {
        exchange.send(200, [["Content-Type", "text/plain; charset=utf-8"]], `${line()}\n`);
      },
    };
  },
});
