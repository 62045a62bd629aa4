// The end of a connection that no answer is lost by: closing with bytes unread makes the kernel send a reset, and a
// reset destroys the answer that is still on its way (RFC 9112 9.6).

import type { Socket } from "node:net";

/** So much is thrown away of what the client goes on sending; then it is cut. */
const DISCARD_BYTES = 4 * 1024 * 1024;

/** Closes our side once everything is written, and reads on until the client closes its own. The caller limits the time. */
export function discardRest(socket: Socket): void {
  let discarded = 0;
  // Takes the connection away from Node's parser.
  socket.removeAllListeners("data");
  socket.on("data", (chunk: Buffer) => {
    discarded += chunk.length;
    if (discarded > DISCARD_BYTES) socket.destroy();
  });
  socket.end();
  socket.resume();
}
