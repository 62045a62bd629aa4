// Counts up, 20 times a second, for each connection from 0. The protocol of lws's first test page.
// "reset\n" starts the count again, "closeme\n" asks for a close from the server's side.

import { defineProtocol, type Peer } from "../worker/protocol.ts";

const STEP_MS = 50;

export default defineProtocol({
  name: "dumb-increment-protocol",
  maxMessageBytes: 64 * 1024,
  start(context) {
    const counts = new Map<Peer, number>();
    let stopCounting: (() => void) | undefined;

    function step(): void {
      for (const [peer, count] of counts) {
        peer.send(String(count));
        counts.set(peer, count + 1);
      }
    }

    return {
      open(peer) {
        counts.set(peer, 0);
        stopCounting ??= context.every(STEP_MS, step);
      },
      message(peer, message) {
        const command = message.toString("latin1");
        if (command === "reset\n") counts.set(peer, 0);
        if (command === "closeme\n") peer.close(1001, "seeya");
      },
      close(peer) {
        counts.delete(peer);
        if (counts.size > 0) return;
        stopCounting?.();
        stopCounting = undefined;
      },
    };
  },
});
