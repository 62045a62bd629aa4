// Where a connection in the lane stands among the vhosts: which it asks, its seat there, what is counted for it.

import type { MountTally } from "../counters.ts";
import type { Mount } from "../mount.ts";
import type { MountMatch, SiteVhost } from "../router.ts";
import type { Connection } from "./connection.ts";
import type { LaneContext } from "./lane-context.ts";
import type { LaneHead } from "./lane-head.ts";
import type { Outcome } from "./ledger.ts";
import type { Past } from "./http1-context.ts";

export class LaneVisit {
  readonly #context: LaneContext;
  readonly #connection: Connection;
  /** That of the last request, at first the default one. Bytes count for it. */
  #vhost: SiteVhost;
  /** Host field of the last request. */
  #host: string | undefined;
  #requests = 0;
  #isSeated = false;
  #countedRead = 0;

  constructor(context: LaneContext, connection: Connection) {
    this.#context = context;
    this.#connection = connection;
    this.#vhost = context.router.vhostFor(connection, undefined);
  }

  get vhost(): SiteVhost {
    return this.#vhost;
  }
  get requests(): number {
    return this.#requests;
  }

  /** The vhost that the request in hand asks; undefined where its Host field names none. */
  find(): SiteVhost | undefined {
    const { head, hosts, router } = this.#context;
    const { host } = head;
    // Nearly always.
    if (host === this.#host) return this.#vhost;
    const known = hosts.find(host);
    return known && router.vhostFor(this.#connection, known.host);
  }

  /** The request in hand is answered for `vhost`. False where that has no place for another connection. */
  choose(vhost: SiteVhost): boolean {
    if (!this.#isSeated || vhost !== this.#vhost) {
      if (!vhost.seats.take()) return false;
      this.#leaveSeat();
      this.#isSeated = true;
    }
    const { head, hosts } = this.#context;
    this.#vhost = vhost;
    if (this.#requests === 0 || this.#host !== head.host) {
      this.#host = hosts.find(head.host)?.text;
      if (this.#host !== undefined) head.adoptHost(this.#host);
    }
    if (this.#requests === 0) vhost.counters.connections += 1;
    this.#requests += 1;
    vhost.counters.rx += head.length;
    this.#countedRead += head.length;
    return true;
  }

  /** How the request in hand ended. */
  outcome(
    tally: MountTally | undefined,
    status: number,
    bytes: number,
    startedAt: number,
  ): Outcome {
    const { head } = this.#context;
    return {
      vhost: this.#vhost,
      tally,
      remoteAddress: this.#connection.remoteAddress,
      requestLine: head.requestLine,
      referer: head.referer,
      userAgent: head.userAgent,
      status,
      bytes,
      startedAt,
    };
  }

  /** The connection goes on elsewhere. */
  get past(): Past {
    return {
      vhost: this.#vhost,
      requests: this.#requests,
      isSeated: this.#isSeated,
      countedRead: this.#countedRead,
    };
  }

  /** The connection has closed, after so many bytes. */
  end(bytesRead: number): void {
    const { counters } = this.#vhost;
    counters.rx += Math.max(0, bytesRead - this.#countedRead);
    if (this.#requests === 0) counters.connections += 1;
    this.#leaveSeat();
  }

  #leaveSeat(): void {
    if (this.#isSeated) this.#vhost.seats.leave();
    this.#isSeated = false;
  }
}

/** Asks a mount for an answer that is ready; one that fails has none. */
export function askMount(
  { mount, rest }: MountMatch,
  head: LaneHead,
): ReturnType<NonNullable<Mount["ready"]>> {
  try {
    return mount.ready?.(head, rest);
  } catch {
    // It fails again on the other way, where it is told.
    return undefined;
  }
}
