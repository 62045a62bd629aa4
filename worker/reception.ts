// Takes connections that the supervisor has accepted. It says which it has before it reads from any: what it has not said to
// have taken, another worker may get.

import type { Offered } from "../posix/handover.ts";
import type { Acceptor } from "./accept.ts";
import type { WorkerChannel } from "./bus.ts";
import type { Counters } from "./counters.ts";

/** Connections that closed are told of together, so long after the first. */
const CLOSED_MS = 10;

export type ReceptionOptions = {
  readonly channel: Pick<WorkerChannel, "send">;
  readonly counters: Pick<Counters, "openConnections">;
  /** The next connection that was handed over; undefined when there is none. */
  readonly next: () => Offered | undefined;
  /** By the numbers of the listeners. */
  readonly acceptors: readonly { readonly acceptor: Acceptor }[];
};

/** Call it when there are connections to be taken. */
export type Reception = () => void;

/** The reception of one worker. */
export function createReception(options: ReceptionOptions): Reception {
  const { channel, counters, next, acceptors } = options;
  let upTo = 0;
  let timer: NodeJS.Timeout | undefined;

  function report(declined: number[] = []): void {
    clearTimeout(timer);
    timer = undefined;
    channel.send("connections", { upTo, declined, open: counters.openConnections });
  }

  // One for all connections.
  function countClosed(): void {
    counters.openConnections -= 1;
    timer ??= setTimeout(report, CLOSED_MS);
  }

  return () => {
    const taken: { readonly listener: number; readonly fd: number }[] = [];
    const declined: number[] = [];
    for (let offered = next(); offered; offered = next()) {
      const { id, listener, fd } = offered;
      upTo = id;
      if (fd === undefined) declined.push(id);
      else taken.push({ listener, fd });
    }
    counters.openConnections += taken.length;
    report(declined);
    for (const { listener, fd } of taken) acceptors[listener]?.acceptor.take(fd, countClosed);
  };
}
