// Which vhost a connection counts for: that of its last request, at first the default one. Bytes, the connection itself, its seat.

import type { Connection } from "../http/connection.ts";
import type { Transport } from "../http/transport.ts";
import type { Router } from "../router.ts";
import type { SiteVhost } from "../site-vhost.ts";

export class Residence {
  readonly #router: Router;
  readonly #transport: Transport;
  readonly #connection: Connection;
  #vhost: SiteVhost;
  #requests = 0;
  #isSeated = false;
  #countedRead = 0;
  #countedWritten = 0;
  /** Bytes of WebSockets, which their peers count. */
  #tunnelRead = 0;
  #tunnelWritten = 0;

  constructor(router: Router, transport: Transport, connection: Connection) {
    this.#router = router;
    this.#transport = transport;
    this.#connection = connection;
    this.#vhost = router.vhostFor(connection, undefined);
  }

  get vhost(): SiteVhost {
    return this.#vhost;
  }

  /** So far. */
  get requests(): number {
    return this.#requests;
  }

  /** The next request is for this host. */
  choose(host: string | undefined): SiteVhost {
    const vhost = this.#router.vhostFor(this.#connection, host);
    if (vhost !== this.#vhost) this.#leaveSeat();
    this.#vhost = vhost;
    if (this.#requests === 0) vhost.counters.connections += 1;
    this.#requests += 1;
    return vhost;
  }

  /** Whether the last request was for this vhost, and had a seat there. */
  isAt(vhost: SiteVhost): boolean {
    return this.#isSeated && vhost === this.#vhost;
  }

  /** The next request is for the vhost of the last one. */
  stay(): void {
    this.#requests += 1;
  }

  /** False when the vhost has no place for another connection. */
  takeSeat(): boolean {
    this.#isSeated ||= this.#vhost.seats.take();
    return this.#isSeated;
  }

  countTunnel(read: number, written: number): void {
    this.#tunnelRead += read;
    this.#tunnelWritten += written;
  }

  /** Counts what moved since the last call. */
  countBytes(): void {
    const { counters } = this.#vhost;
    const read = Math.max(this.#transport.bytesRead - this.#tunnelRead, this.#countedRead);
    const written = Math.max(
      this.#transport.takenBytes - this.#tunnelWritten,
      this.#countedWritten,
    );
    counters.rx += read - this.#countedRead;
    counters.tx += written - this.#countedWritten;
    this.#countedRead = read;
    this.#countedWritten = written;
  }

  /** The connection is closed. */
  leave(): void {
    this.countBytes();
    if (this.#requests === 0) this.#vhost.counters.connections += 1;
    this.#leaveSeat();
  }

  #leaveSeat(): void {
    if (this.#isSeated) this.#vhost.seats.leave();
    this.#isSeated = false;
  }
}
