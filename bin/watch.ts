// `portico status --watch`: one screen that is drawn anew each second, until q or Ctrl-C. The terminal is given back as it was.

import type { ReadStream, WriteStream } from "node:tty";
import type { Board } from "../ipc/board.ts";
import { formatStatus } from "./format-status.ts";

const INTERVAL_MS = 1_000;
const CTRL_C = "\u0003";
const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_REST = "\u001b[J";
/** A terminal that does not know its size says 0. */
const DEFAULT_ROWS = 24;
const DEFAULT_COLUMNS = 80;
const MS_PER_SEC = 1_000;

/** Draws what `look` brings until somebody ends it, or `look` rejects, which ends it too. */
export async function watchStatus(
  look: () => Promise<Board>,
  { input, output }: { readonly input: ReadStream; readonly output: WriteStream },
): Promise<void> {
  const ended = Promise.withResolvers<void>();
  const end = (): void => ended.resolve();
  const onKey = (key: Buffer): void => {
    const text = key.toString("latin1");
    if (/q/i.test(text) || text.includes(CTRL_C)) end();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let board = await look();
  let before: Board | undefined;
  const draw = (): void => void output.write(drawScreen(board, before, output));

  for (const signal of signals) process.once(signal, end);
  output.write(ENTER);
  output.on("resize", draw);
  if (input.isTTY) input.setRawMode(true);
  input.on("data", onKey);
  input.once("end", end);
  let timer: NodeJS.Timeout | undefined;
  async function next(): Promise<void> {
    const [previous, found] = [board, await look()];
    before = previous;
    board = found;
    draw();
    timer = setTimeout(() => void next().catch(ended.reject), INTERVAL_MS);
  }
  draw();
  timer = setTimeout(() => void next().catch(ended.reject), INTERVAL_MS);
  try {
    await ended.promise;
  } finally {
    clearTimeout(timer);
    output.off("resize", draw);
    input.off("data", onKey);
    if (input.isTTY) input.setRawMode(false);
    input.pause();
    for (const signal of signals) process.off(signal, end);
    output.write(LEAVE);
  }
}

/** As many lines, and as much of each, as there is room for. What a board holds is printable by then. */
function drawScreen(
  board: Board,
  before: Board | undefined,
  { rows, columns }: WriteStream,
): string {
  const lines = [describeRates(board, before), ...formatStatus(board).split("\n")];
  const shown = lines
    .slice(0, rows || DEFAULT_ROWS)
    .map((line) => `${line.slice(0, columns || DEFAULT_COLUMNS)}${CLEAR_LINE}`);
  return HOME + shown.join("\r\n") + CLEAR_REST;
}

/** What happened since the board before. */
function describeRates(board: Board, before: Board | undefined): string {
  const secs = before ? (board.now - before.now) / MS_PER_SEC : 0;
  if (!before || secs <= 0 || before.startedAt !== board.startedAt) return "q ends this";
  const rate = (name: "requests" | "rx" | "tx"): string =>
    ((board.totals[name] - before.totals[name]) / secs).toFixed(0);
  return `${rate("requests")} requests/s, ${rate("rx")} bytes/s in, ${rate("tx")} bytes/s out; q ends this`;
}
