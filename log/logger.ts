// The program's own log: readable lines on a terminal, JSON otherwise. The only importer of pino.

import { pino, type Logger as PinoLogger } from "pino";

export type Logger = PinoLogger;

export type LoggerOptions = {
  readonly name: string;
  /** One of pino's levels; "info" by default, and with a warning for any other word. */
  readonly level?: string | undefined;
  /** Takes the lines as JSON instead of stderr. */
  readonly destination?: { write(line: string): void };
};

/** Writes to stderr, synchronously: nothing is lost when the process dies. */
export async function createLogger(options: LoggerOptions): Promise<Logger> {
  const { level = "info" } = options;
  const isKnown = level in pino.levels.values || level === "silent";
  const log = await openLogger(options, isKnown ? level : "info");
  if (!isKnown)
    log.warn(
      `Unknown log level "${level}"; expected ${Object.keys(pino.levels.values).join(", ")} or silent`,
    );
  return log;
}

async function openLogger(options: LoggerOptions, level: string): Promise<Logger> {
  const settings = { base: { name: options.name, pid: process.pid }, level };
  if (options.destination) return pino(settings, options.destination);
  if (!process.stderr.isTTY) return pino(settings, pino.destination({ dest: 2, sync: true }));
  const { default: pretty } = await import("pino-pretty");
  return pino(
    settings,
    pretty({ destination: 2, sync: true, ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss" }),
  );
}
