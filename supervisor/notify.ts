// Tells a service manager how the server is: sd_notify(3) as systemd defines it. Without NOTIFY_SOCKET nothing happens.
// The watchdog is fed only while the current generation has a worker that serves.

import type { Board } from "../ipc/board.ts";
import type { Logger } from "../log/logger.ts";
import { openNotifySocket, type NotifySocket } from "../posix/notify.ts";

/** How often a status that changed is told, at most. */
const STATUS_MS = 5_000;
/** Messages that wait for a manager that does not read; beyond that only the newest is kept. */
const MAX_UNSENT = 16;

/** What the server does, as the manager sees it. */
export type Phase = "serving" | "reloading" | "stopping";

export type Notifier = {
  /** Says it. "stopping" is the last word. */
  enter(this: void, phase: Phase): void;
  close(): void;
};

export type NotifierOptions = {
  /** Usually process.env; what is meant for us alone is taken out of it. */
  readonly environment: NodeJS.ProcessEnv;
  readonly log: Logger;
  /** Asked from the first "serving" on. */
  readonly status: () => Board;
};

/** Does what the environment asks for. */
export async function createNotifier(options: NotifierOptions): Promise<Notifier> {
  const wanted = takeNotifyRequest(options.environment);
  if (!wanted) return { enter() {}, close() {} };
  const socket = await openNotifySocket(wanted.address);
  if (socket.by === "systemd-notify")
    options.log.info('Notifications go by systemd-notify: the unit needs "NotifyAccess=all"');
  return startNotifier(socket, wanted.watchdogMs, options);
}

function startNotifier(
  socket: NotifySocket,
  watchdogMs: number | undefined,
  { log, status }: Pick<NotifierOptions, "log" | "status">,
): Notifier {
  const unsent: string[] = [];
  let sending: "idle" | "busy" = "idle";
  let current: Phase | undefined;
  let hasFailed = false;
  let toldStatus = "";
  let timer: NodeJS.Timeout | undefined;

  function tell(lines: readonly string[]): void {
    if (unsent.length === MAX_UNSENT) unsent.pop();
    unsent.push(lines.join("\n"));
    if (sending === "idle") void sendAll();
  }

  async function sendAll(): Promise<void> {
    sending = "busy";
    for (let message = unsent.shift(); message !== undefined; message = unsent.shift()) {
      try {
        await socket.send(message);
      } catch (error) {
        if (!hasFailed) log.warn(`The service manager hears nothing: ${(error as Error).message}`);
        hasFailed = true;
      }
    }
    sending = "idle";
  }

  /** What is new about the server, and food for the watchdog while it serves. */
  function news(): string[] {
    const board = status();
    const line = `STATUS=${describeBoard(board)}`;
    const lines = line === toldStatus ? [] : [line];
    toldStatus = line;
    if (watchdogMs !== undefined && servingWorkers(board) > 0) lines.push("WATCHDOG=1");
    return lines;
  }

  function tick(): void {
    if (sending === "busy") return;
    const lines = news();
    if (lines.length > 0) tell(lines);
  }

  return {
    enter(phase) {
      if (current === "stopping") return;
      current = phase;
      switch (phase) {
        case "serving":
          tell(["READY=1", ...news()]);
          // The manager expects a sign at least every watchdogMs, and advises twice as many.
          timer ??= setInterval(tick, Math.min(STATUS_MS, (watchdogMs ?? Infinity) / 2)).unref();
          break;
        case "reloading":
          // CLOCK_MONOTONIC, by which Type=notify-reload tells this reload from an older one.
          tell(["RELOADING=1", `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`]);
          break;
        case "stopping":
          clearInterval(timer);
          tell(["STOPPING=1", "STATUS=Stopping"]);
      }
    },
    close() {
      clearInterval(timer);
      socket.close();
    },
  };
}

export type NotifyRequest = {
  readonly address: string;
  /** The manager acts when it hears nothing for this long; undefined when it does not watch us. */
  readonly watchdogMs: number | undefined;
};

/** Takes sd_notify's variables out of `environment`, so that no child can speak in our name. */
export function takeNotifyRequest(
  environment: NodeJS.ProcessEnv,
  pid = process.pid,
): NotifyRequest | undefined {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = environment;
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete environment[name];
  if (!NOTIFY_SOCKET) return undefined;
  const isForUs = WATCHDOG_PID === undefined || WATCHDOG_PID === String(pid);
  const micros = /^\d+$/.test(WATCHDOG_USEC ?? "") ? Number(WATCHDOG_USEC) : 0;
  const watchdogMs = isForUs && micros > 0 ? Math.max(micros / 1000, 2) : undefined;
  return { address: NOTIFY_SOCKET, watchdogMs };
}

/** One line for `systemctl status`. */
export function describeBoard(board: Board): string {
  const serving = servingWorkers(board);
  const connections = (isCurrent: boolean): number =>
    board.workers
      .filter((worker) => (worker.generation === board.generation) === isCurrent)
      .reduce((sum, worker) => sum + worker.gauges.openConnections, 0);
  const parts = [
    serving === 0
      ? `Generation ${board.generation}: no worker serves`
      : `Generation ${board.generation} serves with ${count(serving, "worker")}, ${count(connections(true), "connection")}`,
  ];
  const older = connections(false);
  if (older > 0) parts.push(`older generations finish ${count(older, "connection")}`);
  if (board.lastReload?.outcome === "failed") parts.push("the last reload was refused");
  return parts.join("; ");
}

function servingWorkers({ workers, generation }: Board): number {
  return workers.filter((worker) => worker.generation === generation && worker.state === "serving")
    .length;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
