// Accepts connections where workers do not do so themselves. It takes no more than there is room for; the others wait in the
// kernel's queue, as they do while no descriptor is left. Nothing that fails here ends it.

import type { Acceptance } from "../posix/acceptance.ts";

/** Connections the kernel queues while nobody has room, as where workers listen. */
const BACKLOG = 4096;
/** Taken from one socket before the others have their turn. */
const MAX_BATCH = 64;
/** After a failure, such as EMFILE, a socket is left alone for so long. */
const PAUSE_MS = 100;

/** The client has gone, or its network has: the next one may do better (accept(2)). */
const PASSING: ReadonlySet<string> = new Set([
  "ECONNABORTED",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "EINTR",
  "ENETDOWN",
  "ENETUNREACH",
  "ENONET",
  "ENOPROTOOPT",
  "EOPNOTSUPP",
  "EPERM",
  "EPROTO",
]);

/** A socket to accept on. */
export type IntakeSocket = {
  /** Names it over generations. */
  readonly key: string;
  /** For people. */
  readonly bound: string;
  readonly fd: number;
};

export type IntakeOptions = {
  readonly acceptance: Acceptance;
  readonly hasRoom: () => boolean;
  /** The descriptor belongs to whoever is told. */
  readonly onConnection: (key: string, fd: number) => void;
  readonly onFailure: (bound: string, code: string) => void;
};

/** The intake of one supervisor. */
export class Intake {
  readonly #options: IntakeOptions;
  #sockets: readonly IntakeSocket[] = [];
  /** Descriptors that are left alone for a while. */
  readonly #paused = new Set<number>();
  #state: "idle" | "waiting" | "closed" = "idle";
  #timer: NodeJS.Timeout | undefined;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Makes these sockets listen. Nobody is accepted yet. What failed. */
  listen(sockets: readonly IntakeSocket[]): { readonly socket: IntakeSocket; code: string }[] {
    return sockets.flatMap((socket) => {
      const code = this.#options.acceptance.listen(socket.fd, BACKLOG);
      return code === undefined ? [] : [{ socket, code }];
    });
  }

  /** From now on these sockets are accepted on, and no others. */
  use(sockets: readonly IntakeSocket[]): void {
    this.#sockets = sockets;
    this.#paused.clear();
    this.#lookAgain();
  }

  /** There may be room again. */
  resume(): void {
    if (this.#state !== "idle" || !this.#options.hasRoom()) return;
    const fds = this.#sockets.map(({ fd }) => fd).filter((fd) => !this.#paused.has(fd));
    if (fds.length === 0) return;
    this.#state = "waiting";
    void this.#wait(fds);
  }

  close(): void {
    const wasWaiting = this.#state === "waiting";
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#sockets = [];
    clearTimeout(this.#timer);
    if (wasWaiting) this.#options.acceptance.wake();
    else this.#options.acceptance.close();
  }

  #take(key: string, bound: string, fd: number): void {
    for (let taken = 0; taken < MAX_BATCH && this.#options.hasRoom(); taken += 1) {
      const accepted = this.#options.acceptance.accept(fd);
      if (typeof accepted === "number") this.#options.onConnection(key, accepted);
      else if (accepted === "EAGAIN") return;
      else if (!PASSING.has(accepted)) {
        this.#pause(fd);
        this.#options.onFailure(bound, accepted);
        return;
      }
    }
  }

  async #wait(fds: readonly number[]): Promise<void> {
    const ready = await this.#options.acceptance.wait(fds).catch(() => "failed" as const);
    if (this.#state === "closed") return this.#options.acceptance.close();
    this.#state = "idle";
    if (ready === "failed") for (const fd of fds) this.#pause(fd);
    else
      for (const { key, bound, fd } of this.#sockets)
        if (ready.includes(fd)) this.#take(key, bound, fd);
    this.resume();
  }

  /** The wait that goes on is one for other sockets. */
  #lookAgain(): void {
    if (this.#state === "waiting") this.#options.acceptance.wake();
    else this.resume();
  }

  #pause(fd: number): void {
    this.#paused.add(fd);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#paused.clear();
      this.#lookAgain();
    }, PAUSE_MS);
  }
}
