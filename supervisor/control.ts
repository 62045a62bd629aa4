// The control socket: `portico status | reload | reopen | drain | restart | scale | stop` speak to a running supervisor over it.
// One request, one answer: a line of JSON each way. The file is private to the supervisor's user (0600).

import { chmodSync, lstatSync, symlinkSync, unlinkSync } from "node:fs";
import net from "node:net";
import { dirname } from "node:path";
import { MAX_WORKERS } from "../config/max-workers.ts";
import { makePrivateDirectory } from "../posix/runtime-directory.mjs";
import { InstanceError, type InstancePaths } from "./instance.ts";

export type ControlCommand = keyof typeof COMMANDS;

/** What a command is asked with. */
export type ControlRequest = {
  readonly command: ControlCommand;
  /** The number of a worker for "drain", a number of them for "scale"; 0 for the others. */
  readonly argument: number;
};

export type ControlAnswer = {
  readonly ok: boolean;
  /** For people. */
  readonly message: string;
  /** For programs: the board for "status". */
  readonly data?: unknown;
};

/** Least and greatest argument; null for those without one. */
const COMMANDS = {
  status: null,
  reload: null,
  reopen: null,
  drain: [1, Number.MAX_SAFE_INTEGER],
  restart: null,
  scale: [1, MAX_WORKERS],
  stop: null,
} as const satisfies Record<string, readonly [least: number, greatest: number] | null>;

const MAX_REQUEST_BYTES = 4096;
const MAX_CLIENTS = 256;
const REQUEST_TIMEOUT_MS = 5_000;

/** close() resolves when every command that was taken has its answer. */
export type ControlServer = { close(): Promise<void> };

/** Serves the control socket; a stale file there is replaced. `handle` never throws. Throws InstanceError when it cannot. */
export async function serveControl(
  { controlSocket, knownSocket }: Pick<InstancePaths, "controlSocket" | "knownSocket">,
  handle: (request: ControlRequest) => Promise<ControlAnswer>,
): Promise<ControlServer> {
  const clients = new Set<net.Socket>();
  const pending = new Set<Promise<void>>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    clients.add(socket);
    socket.once("close", () => clients.delete(socket));
    answer(socket, async (request) => {
      const answered = handle(request);
      const settled = answered.then(
        () => void pending.delete(settled),
        () => void pending.delete(settled),
      );
      pending.add(settled);
      return answered;
    });
  });
  server.maxConnections = MAX_CLIENTS;
  for (const path of new Set([knownSocket, controlSocket]))
    if (await isServed(path))
      throw new InstanceError(
        `Another portico runs this configuration: it answers on "${path}", although its pid file is gone or another one. Stop it first, with "portico stop" and the same -c`,
      );
  try {
    removeStale(controlSocket);
    await listenPrivately(server, controlSocket);
    if (knownSocket !== controlSocket) link(controlSocket, knownSocket);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new InstanceError(`Cannot make the control socket "${controlSocket}": ${code}`, {
      cause,
    });
  }
  return {
    async close() {
      server.close();
      if (knownSocket !== controlSocket) removeStale(knownSocket);
      await Promise.all(pending);
      for (const client of clients) client.destroySoon();
    },
  };
}

async function listenPrivately(server: net.Server, path: string): Promise<void> {
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
}

/** The lock alone does not tell: somebody may have removed the pid file under a server that runs. */
async function isServed(path: string): Promise<boolean> {
  const probe = net.connect({ path });
  try {
    return await new Promise((resolve) => {
      probe.once("connect", () => resolve(true));
      // EAGAIN: a server whose queue is full.
      probe.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code === "EAGAIN"));
    });
  } finally {
    probe.destroy();
  }
}

/** The instance lock is ours and nobody answers, so whatever socket or link is left belongs to a supervisor that is gone. */
function removeStale(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isSocket() || stat?.isSymbolicLink()) unlinkSync(path);
}

function link(target: string, path: string): void {
  if (!makePrivateDirectory(dirname(path))) return;
  removeStale(path);
  symlinkSync(target, path);
}

function answer(
  socket: net.Socket,
  handle: (request: ControlRequest) => Promise<ControlAnswer>,
): void {
  let received = "";
  socket.setEncoding("utf8");
  socket.setTimeout(REQUEST_TIMEOUT_MS, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  socket.on("data", function onData(chunk: string) {
    received += chunk;
    if (received.length > MAX_REQUEST_BYTES) socket.destroy();
    if (!received.includes("\n")) return;
    socket.off("data", onData);
    socket.setTimeout(0);
    const request = parseRequest(received);
    const answered: Promise<ControlAnswer> =
      typeof request === "string"
        ? Promise.resolve({ ok: false, message: request })
        : handle(request);
    void answered.then((reply) => socket.end(`${JSON.stringify(reply)}\n`));
  });
}

/** The request, or what is wrong with it. */
function parseRequest(line: string): ControlRequest | string {
  const asked = parseObject(line);
  const command = Object.keys(COMMANDS).find((known) => known === asked["command"]);
  if (!isCommand(command)) return `Unknown command; expected ${Object.keys(COMMANDS).join(", ")}`;
  const { argument = 0 } = asked;
  const [least, greatest] = COMMANDS[command] ?? [0, 0];
  const isRight =
    typeof argument === "number" &&
    Number.isInteger(argument) &&
    argument >= least &&
    argument <= greatest;
  if (isRight) return { command, argument };
  return COMMANDS[command]
    ? `"${command}" takes a whole number from ${least} to ${greatest}`
    : `"${command}" takes no argument`;
}

function isCommand(name: string | undefined): name is ControlCommand {
  return name !== undefined && Object.hasOwn(COMMANDS, name);
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** Nobody serves the control socket, or it may not be used. */
export class ControlError extends Error {
  readonly code = "CONTROL";
}

/** Asks the supervisor behind `path`. Throws ControlError when there is none. Waits as long as the command takes. */
export async function askControl(
  path: string,
  command: ControlCommand,
  argument = 0,
): Promise<ControlAnswer> {
  const text = await new Promise<string>((resolve, reject) => {
    const socket = net.connect({ path });
    let received = "";
    socket.setEncoding("utf8");
    socket.once("connect", () => socket.write(`${JSON.stringify({ command, argument })}\n`));
    socket.on("data", (chunk: string) => (received += chunk));
    socket.once("end", () => resolve(received));
    socket.once("error", (cause: NodeJS.ErrnoException) =>
      reject(new ControlError(explainSilence(path, cause.code), { cause })),
    );
  });
  if (!text.endsWith("\n")) throw new ControlError(`Portico ended before it answered on "${path}"`);
  return JSON.parse(text) as ControlAnswer;
}

function explainSilence(path: string, code: string | undefined): string {
  return code === "ENOENT" || code === "ECONNREFUSED"
    ? `No running portico answers on "${path}": ${code}`
    : `The portico on "${path}" did not take the command: ${code}`;
}
