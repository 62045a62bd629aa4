// Takes connections that the supervisor has accepted. It says which it has before it reads from any: what it has not said to
// have taken, another worker may get.

import { closeSync } from "node:fs";
import { Socket } from "node:net";
import type { Offered } from "../posix/handover.ts";
import type { WorkerChannel } from "./bus.ts";
import type { Counters } from "./counters.ts";

/** Connections that closed are told of together, so long after the first. */
const CLOSED_MS = 10;

export type ReceptionOptions = {
  readonly channel: WorkerChannel;
  readonly counters: Pick<Counters, "openConnections">;
  /** The next connection that was handed over; undefined when there is none. */
  readonly next: () => Offered | undefined;
  /** Serves a connection that came on the listener of this number. */
  readonly serve: (listener: number, socket: Socket) => void;
};

/** Call it when there are connections to be taken. */
export type Reception = () => void;

/** The reception of one worker. */
export function createReception({ channel, counters, next, serve }: ReceptionOptions): Reception {
  let upTo = 0;
  let timer: NodeJS.Timeout | undefined;

  function report(declined: readonly number[], taken: number): void {
    clearTimeout(timer);
    timer = undefined;
    channel.send("connections", {
      upTo,
      declined: [...declined],
      open: counters.openConnections + taken,
    });
  }

  // One for all connections.
  const reportClosed = (): void => {
    timer ??= setTimeout(() => report([], 0), CLOSED_MS);
  };

  return () => {
    const taken: [listener: number, socket: Socket][] = [];
    const declined: number[] = [];
    for (let offered = next(); offered; offered = next()) {
      upTo = offered.id;
      if (offered.fd === undefined) declined.push(offered.id);
      else {
        const socket = open(offered.fd);
        if (socket) taken.push([offered.listener, socket]);
      }
    }
    report(declined, taken.length);
    for (const [listener, socket] of taken) {
      socket.on("close", reportClosed);
      serve(listener, socket);
    }
  };
}

/** As a server of Node's opens what it accepts. Undefined for one that is no socket any more. */
function open(fd: number): Socket | undefined {
  try {
    return new Socket({ fd, allowHalfOpen: true }).setNoDelay();
  } catch {
    closeSync(fd);
    return undefined;
  }
}
