// The end of a connection that no answer is lost by: closing with bytes unread makes the kernel send a reset, and a
// reset destroys the answer that is still on its way (RFC 9112 9.6).

import type { Socket } from "node:net";

/** A client that sends nothing more for so long has read its answer, or never will. */
export const SILENT_MS = 5_000;

/**
 * Closes our side once everything is written, and reads on until the client closes its own. However much it goes on
 * sending: it reads the answer only when it comes to that. The caller limits the time, which limits the bytes.
 */
export function discardRest(socket: Socket): void {
  // Takes the connection away from Node's parser.
  socket.removeAllListeners("data");
  socket.end();
  socket.resume();
  socket.setTimeout(SILENT_MS, () => socket.destroy());
}
