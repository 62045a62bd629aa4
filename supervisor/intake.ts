// Accepts connections where workers do not do so themselves. It takes no more than there is room for; the others wait in the
// kernel's queue, as they do while no descriptor is left. Nothing that fails here ends it.

import { getSystemErrorName } from "node:util";
import { EAGAIN, PASSING_ACCEPT_ERRORS, READABLE, type Poller } from "../posix/poller.ts";

/** Connections the kernel queues while nobody has room, as where workers listen. */
const BACKLOG = 4096;
/** Taken from one socket before the others have their turn. */
const MAX_BATCH = 64;
/** After a failure, such as EMFILE, a socket is left alone for so long. */
const PAUSE_MS = 100;

/** A socket to accept on. */
export type IntakeSocket = {
  /** Names it over generations. */
  readonly key: string;
  /** For people. */
  readonly bound: string;
  readonly fd: number;
};

export type IntakeOptions = {
  readonly poller: Poller;
  readonly hasRoom: () => boolean;
  /** The descriptor belongs to whoever is told. */
  readonly onConnection: (key: string, fd: number) => void;
  readonly onFailure: (bound: string, code: string) => void;
};

/** The intake of one supervisor. */
export class Intake {
  readonly #options: IntakeOptions;
  #sockets: readonly IntakeSocket[] = [];
  readonly #watched = new Set<IntakeSocket>();
  /** Left alone for a while. */
  readonly #paused = new Set<IntakeSocket>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Makes these sockets listen. Nobody is accepted yet. What failed. */
  listen(sockets: readonly IntakeSocket[]): { readonly socket: IntakeSocket; code: string }[] {
    return sockets.flatMap((socket) => {
      const result = this.#options.poller.listen(socket.fd, BACKLOG);
      return result < 0 ? [{ socket, code: getSystemErrorName(result) }] : [];
    });
  }

  /** From now on these sockets are accepted on, and no others. */
  use(sockets: readonly IntakeSocket[]): void {
    for (const socket of this.#watched) this.#unwatch(socket);
    this.#paused.clear();
    this.#sockets = sockets;
    this.resume();
  }

  /** There may be room again. */
  resume(): void {
    if (!this.#options.hasRoom()) return;
    for (const socket of this.#sockets)
      if (!this.#watched.has(socket) && !this.#paused.has(socket)) this.#watch(socket);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.use([]);
    this.#options.poller.stop();
  }

  #watch(socket: IntakeSocket): void {
    this.#watched.add(socket);
    this.#options.poller.watch(socket.fd, READABLE, { onEvents: () => this.#take(socket) });
  }

  #unwatch(socket: IntakeSocket): void {
    this.#watched.delete(socket);
    this.#options.poller.unwatch(socket.fd);
  }

  #take(socket: IntakeSocket): void {
    for (let taken = 0; taken < MAX_BATCH; taken += 1) {
      if (!this.#options.hasRoom()) return this.#unwatch(socket);
      const accepted = this.#options.poller.accept(socket.fd);
      if (accepted >= 0) {
        this.#options.onConnection(socket.key, accepted);
        continue;
      }
      if (accepted === -EAGAIN) return;
      const code = getSystemErrorName(accepted);
      if (!PASSING_ACCEPT_ERRORS.has(code)) return this.#fail(socket, code);
    }
  }

  #fail(socket: IntakeSocket, code: string): void {
    this.#unwatch(socket);
    this.#paused.add(socket);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#paused.clear();
      this.resume();
    }, PAUSE_MS);
    this.#options.onFailure(socket.bound, code);
  }
}
