// What a program says on stderr, line by line into the log. Read to its end always: a full pipe would stop the program.

import type { Readable } from "node:stream";
import type { CgiLimits } from "./limits.ts";

/** Tells each line, safe for a terminal; falls silent, saying so, after `stderrBytes` or `stderrLines`. */
export function logStderr(
  stderr: Readable,
  limits: Pick<CgiLimits, "stderrBytes" | "stderrLines" | "stderrLineBytes">,
  tell: (line: string) => void,
): void {
  let line = Buffer.alloc(0);
  let leftBytes = limits.stderrBytes;
  // A line costs the log more than its bytes: short ones would multiply what a program says.
  let leftLines = limits.stderrLines;

  stderr.on("data", (chunk: Buffer) => {
    if (leftBytes <= 0 || leftLines === 0) return;
    line = Buffer.concat([line, chunk.subarray(0, leftBytes)]);
    leftBytes -= chunk.length;
    for (let end = nextEnd(line); end !== -1 && leftLines > 0; end = nextEnd(line)) {
      flush(line.subarray(0, end));
      line = line.subarray(line[end] === LF ? end + 1 : end);
    }
    if (leftBytes > 0 && leftLines > 0) return;
    flush(line);
    line = Buffer.alloc(0);
    const limit = leftLines > 0 ? `${limits.stderrBytes} bytes` : `${limits.stderrLines} lines`;
    tell(`[no more than ${limit} of stderr are logged for one request]`);
  });
  stderr.on("end", () => flush(line));
  stderr.on("error", () => flush(line));

  function nextEnd(bytes: Buffer): number {
    const newline = bytes.indexOf(LF);
    if (newline !== -1 && newline <= limits.stderrLineBytes) return newline;
    return bytes.length > limits.stderrLineBytes ? limits.stderrLineBytes : -1;
  }

  function flush(bytes: Buffer): void {
    const text = printable(bytes.toString("utf8").trimEnd());
    if (text === "" || leftLines === 0) return;
    leftLines -= 1;
    tell(text);
  }
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
