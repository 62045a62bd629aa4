// The control socket: `portico status | reload | reopen | stop` speak to a running supervisor over it.
// One request, one answer: a line of JSON each way. The file is private to the supervisor's user (0600).

import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import net from "node:net";

export type ControlCommand = "status" | "reload" | "reopen" | "stop";

export type ControlAnswer = {
  readonly ok: boolean;
  /** For people. */
  readonly message: string;
  /** For programs: the board for "status". */
  readonly data?: unknown;
};

export const CONTROL_COMMANDS: readonly ControlCommand[] = ["status", "reload", "reopen", "stop"];

const MAX_REQUEST_BYTES = 4096;
const MAX_CLIENTS = 32;
const REQUEST_TIMEOUT_MS = 5_000;

/** close() resolves when every command that was taken has its answer. */
export type ControlServer = { close(): Promise<void> };

/** Serves `path`; a stale file there is replaced. `handle` never throws. */
export async function serveControl(
  path: string,
  handle: (command: ControlCommand) => Promise<ControlAnswer>,
): Promise<ControlServer> {
  // The instance lock is ours, so whatever file is left belongs to a supervisor that is gone.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path);
  const clients = new Set<net.Socket>();
  const pending = new Set<Promise<void>>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    clients.add(socket);
    socket.once("close", () => clients.delete(socket));
    answer(socket, async (command) => {
      const answered = handle(command);
      const settled = answered.then(
        () => void pending.delete(settled),
        () => void pending.delete(settled),
      );
      pending.add(settled);
      return answered;
    });
  });
  server.maxConnections = MAX_CLIENTS;
  // The mode must hold from the first moment the name exists.
  const umask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path }, resolve);
    });
  } finally {
    process.umask(umask);
  }
  chmodSync(path, 0o600);
  return {
    async close() {
      server.close();
      await Promise.all(pending);
      for (const client of clients) client.destroySoon();
    },
  };
}

function answer(
  socket: net.Socket,
  handle: (command: ControlCommand) => Promise<ControlAnswer>,
): void {
  let request = "";
  socket.setEncoding("utf8");
  socket.setTimeout(REQUEST_TIMEOUT_MS, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  socket.on("data", function onData(chunk: string) {
    request += chunk;
    if (request.length > MAX_REQUEST_BYTES) socket.destroy();
    if (!request.includes("\n")) return;
    socket.off("data", onData);
    socket.setTimeout(0);
    const command = parseCommand(request);
    const answered: Promise<ControlAnswer> = command
      ? handle(command)
      : Promise.resolve({
          ok: false,
          message: `Unknown command; expected ${CONTROL_COMMANDS.join(", ")}`,
        });
    void answered.then((reply) => socket.end(`${JSON.stringify(reply)}\n`));
  });
}

function parseCommand(line: string): ControlCommand | undefined {
  try {
    const { command } = JSON.parse(line) as { command?: unknown };
    return CONTROL_COMMANDS.find((known) => known === command);
  } catch {
    return undefined;
  }
}

/** Nobody serves the control socket, or it may not be used. */
export class ControlError extends Error {
  readonly code = "CONTROL";
}

/** Asks the supervisor behind `path`. Throws ControlError when there is none. Waits as long as the command takes. */
export async function askControl(path: string, command: ControlCommand): Promise<ControlAnswer> {
  const text = await new Promise<string>((resolve, reject) => {
    const socket = net.connect({ path });
    let received = "";
    socket.setEncoding("utf8");
    socket.once("connect", () => socket.write(`${JSON.stringify({ command })}\n`));
    socket.on("data", (chunk: string) => (received += chunk));
    socket.once("end", () => resolve(received));
    socket.once("error", (cause: NodeJS.ErrnoException) =>
      reject(new ControlError(`No running portico answers on "${path}": ${cause.code}`, { cause })),
    );
  });
  if (!text.endsWith("\n")) throw new ControlError(`Portico ended before it answered on "${path}"`);
  return JSON.parse(text) as ControlAnswer;
}
