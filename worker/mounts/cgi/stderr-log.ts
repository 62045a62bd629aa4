// What a program says on stderr, line by line into the log. Read to its end always: a full pipe would stop the program.

import type { Readable } from "node:stream";
import type { CgiLimits } from "./limits.ts";

type Limits = Pick<CgiLimits, "stderrBytes" | "stderrLines" | "stderrLineBytes">;

/** Tells each line, safe for a terminal; falls silent, saying so, after `stderrBytes` or `stderrLines`. */
export class StderrLines {
  readonly #limits: Limits;
  readonly #tell: (line: string) => void;
  #line: Buffer = Buffer.alloc(0);
  #leftBytes: number;
  /** A line costs the log more than its bytes: short ones would multiply what a program says. */
  #leftLines: number;

  constructor(limits: Limits, tell: (line: string) => void) {
    this.#limits = limits;
    this.#tell = tell;
    this.#leftBytes = limits.stderrBytes;
    this.#leftLines = limits.stderrLines;
  }

  push(chunk: Buffer): void {
    if (this.#leftBytes <= 0 || this.#leftLines === 0) return;
    let line = Buffer.concat([this.#line, chunk.subarray(0, this.#leftBytes)]);
    this.#leftBytes -= chunk.length;
    for (
      let end = this.#nextEnd(line);
      end !== -1 && this.#leftLines > 0;
      end = this.#nextEnd(line)
    ) {
      this.#flush(line.subarray(0, end));
      line = line.subarray(line[end] === LF ? end + 1 : end);
    }
    this.#line = line;
    if (this.#leftBytes > 0 && this.#leftLines > 0) return;
    this.end();
    const { stderrBytes, stderrLines } = this.#limits;
    const limit = this.#leftLines > 0 ? `${stderrBytes} bytes` : `${stderrLines} lines`;
    this.#tell(`[no more than ${limit} of stderr are logged for one request]`);
  }

  /** Nothing follows: what has begun is a line too. */
  end(): void {
    this.#flush(this.#line);
    this.#line = Buffer.alloc(0);
  }

  #nextEnd(bytes: Buffer): number {
    const { stderrLineBytes } = this.#limits;
    const newline = bytes.indexOf(LF);
    if (newline !== -1 && newline <= stderrLineBytes) return newline;
    return bytes.length > stderrLineBytes ? stderrLineBytes : -1;
  }

  #flush(bytes: Buffer): void {
    const text = printable(bytes.toString("utf8").trimEnd());
    if (text === "" || this.#leftLines === 0) return;
    this.#leftLines -= 1;
    this.#tell(text);
  }
}

/** Tells what comes out of a stream. */
export function logStderr(stderr: Readable, limits: Limits, tell: (line: string) => void): void {
  const lines = new StderrLines(limits, tell);
  stderr.on("data", (chunk: Buffer) => lines.push(chunk));
  stderr.on("end", () => lines.end());
  stderr.on("error", () => lines.end());
}

const LF = 10;

/** Programs repeat what clients send: an escape sequence must not reach the terminal of whoever reads the log. */
function printable(text: string): string {
  return text.replace(
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
