// The descriptor beneath a TCP socket, for bytes that go past Node's streams, and how many those were: Node does not know of them.

import type { Socket } from "node:net";
import { takenBytes } from "./pace.ts";

export class BareSocket {
  readonly #socket: Socket;
  readonly #isEncrypted: boolean;
  #passed = 0;

  constructor(socket: Socket, isEncrypted: boolean) {
    this.#socket = socket;
    this.#isEncrypted = isEncrypted;
  }

  /** Undefined over TLS, while bytes of the streams are still to be written, and when the socket has closed. */
  get descriptor(): number | undefined {
    const socket = this.#socket;
    if (this.#isEncrypted || socket.destroyed) return undefined;
    if (socket.writableLength > 0 || takenBytes(socket) < socket.bytesWritten) return undefined;
    // Undocumented, as all that lies beneath; -1 and undefined where there is none.
    const handle: unknown = Reflect.get(socket, "_handle");
    const fd: unknown = typeof handle === "object" && handle !== null && Reflect.get(handle, "fd");
    return typeof fd === "number" && fd >= 0 ? fd : undefined;
  }

  /** As Socket.bytesWritten, with those that went past it. */
  get writtenBytes(): number {
    return this.#socket.bytesWritten + this.#passed;
  }

  /** Bytes the kernel has taken. */
  get takenBytes(): number {
    return takenBytes(this.#socket) + this.#passed;
  }

  /** So many bytes were sent past the streams. */
  passed(bytes: number): void {
    this.#passed += bytes;
  }
}
