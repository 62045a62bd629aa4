// One program at work for one exchange: bytes in, bytes out, a clock, and an end that leaves no process and no pipe.
// What a program started and let go of (no pipe of ours, alive after it) is not ours to end, unless the client or the clock ended it.

import type { Readable } from "node:stream";
import type { Child } from "../../../posix/child.ts";
import { HttpError, type ByteString } from "../../http/exchange.ts";
import { CgiAnswer } from "./answer.ts";
import { IdleClock } from "./idle-clock.ts";
import { KEPT_LINES, reportFailure, type RunContext } from "./run-context.ts";
import { logStderr } from "./stderr-log.ts";

/** Owns a child until nothing is left of it. */
export class CgiRun {
  readonly #child: Child;
  readonly #context: RunContext;
  readonly #answer: CgiAnswer;
  readonly #clock: IdleClock;
  readonly #totalTimer: NodeJS.Timeout;
  /** Runs once the client may have left without a word. */
  #leaveClock: IdleClock | undefined;
  #inputState: "flowing" | "done";
  /** Set once the program was told to end: SIGKILL follows. */
  #lastResort: NodeJS.Timeout | undefined;

  constructor(child: Child, context: RunContext) {
    this.#child = child;
    this.#context = context;
    this.#inputState = context.input === undefined ? "done" : "flowing";
    this.#answer = new CgiAnswer(context.exchange, {
      gone: context.gone,
      isNph: context.script.isNph,
      remark: (text) => context.log.warn(text),
    });
    const { idleMs, totalMs } = context.settings;
    this.#clock = new IdleClock(
      idleMs,
      () => this.#waitsForClient(),
      () => this.#expire(`moved no byte for ${idleMs / 1000} s`),
    );
    this.#totalTimer = setTimeout(
      () => this.#expire(`took longer than ${totalMs / 1000} s`),
      totalMs,
    );
  }

  /** Resolves when the program has ended and its pipes are closed, with the path where its answer is to be found instead, if it named one. */
  async finish(): Promise<ByteString | undefined> {
    const { exchange, gone, settings } = this.#context;
    const { stdout, stderr, exited } = this.#child;
    const closed = Promise.all([closing(stdout), closing(stderr)]);
    const leave = (): void => this.#leave();
    gone.addEventListener("abort", leave);
    if (gone.aborted) leave();
    exchange.onClientEnd(() => this.#watchSilence());
    const said: string[] = [];
    logStderr(stderr, settings.limits, (line) => {
      this.#context.log.info(line);
      said.push(line);
      if (said.length > KEPT_LINES) said.shift();
    });
    this.#feed();
    await this.#relay();
    const exit = await exited;
    await closed;
    // Its input may not have come to an end, and nobody would take the rest.
    this.#child.stdin?.destroy();
    const { code, signal } = exit;
    if (code !== 0 && this.#lastResort === undefined)
      this.#context.log.warn({ code, signal, stderr: said }, "CGI program failed");
    gone.removeEventListener("abort", leave);
    this.#stopClocks();
    if (this.#lastResort !== undefined && !this.#child.kill(0)) clearTimeout(this.#lastResort);
    return gone.aborted ? undefined : this.#answer.redirect;
  }

  /** Ends it now: the mount stops. */
  stop(): void {
    this.#answer.refuse(new HttpError(503, "The server is stopping"));
    this.#end();
    clearTimeout(this.#lastResort);
    this.#destroy();
  }

  #feed(): void {
    const { stdin } = this.#child;
    const { input } = this.#context;
    const touch = (): void => this.#touch();
    if (!stdin || !input) return;
    stdin.on("error", () => {}); // EPIPE: no program has to read its input.
    const stream = input.open();
    stdin.on("drain", touch);
    stream.on("data", touch);
    stream.on("error", () => {}); // A client that goes is told of by `gone`.
    stream.once("end", () => {
      this.#inputState = "done";
      touch();
    });
    stream.pipe(stdin);
  }

  async #relay(): Promise<void> {
    const { stdout, exited } = this.#child;
    stdout.on("error", () => {});
    try {
      // Read to the end whatever the answer has become: a full pipe would stop the program.
      const output: AsyncIterable<Buffer> = stdout.iterator({ destroyOnReturn: false });
      for await (const chunk of output) await this.#take(chunk);
    } catch {
      // The pipe was destroyed, by #destroy alone: the answer is over.
    }
    if (this.#answer.isOver) return;
    this.#clock.touch();
    // The end of the output looks the same whether the program was done or was killed: its exit tells.
    const exit = await within(exited, this.#context.settings.limits.exitGraceMs);
    try {
      this.#answer.end(exit);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #take(chunk: Buffer): Promise<void> {
    this.#touch();
    try {
      await this.#answer.take(chunk);
    } catch (error) {
      this.#fail(error);
    }
    this.#touch();
  }

  /** What comes behind a complete answer buys no more time, but for a program that was let go on alone. */
  #touch(): void {
    const { gone, settings } = this.#context;
    if (this.#answer.isOver && !(settings.keeps && gone.aborted)) return;
    this.#clock.touch();
    this.#leaveClock?.touch();
  }

  #stopClocks(): void {
    this.#clock.stop();
    this.#leaveClock?.stop();
    clearTimeout(this.#totalTimer);
  }

  /**
   * A FIN is all that we see of a client that has left, and all of one that has only sent its request to the end. Output
   * tells them apart, because a peer that is gone answers it with a reset; so a silent program gets a little time.
   */
  #watchSilence(): void {
    const { exchange, settings } = this.#context;
    if (settings.keeps || this.#answer.isOver) return;
    this.#leaveClock = new IdleClock(
      settings.limits.halfClosedMs,
      () => this.#answer.waitsForClient,
      () => {
        if (!this.#answer.isOver) exchange.abort("The client has left");
      },
    );
  }

  /** "cgi-timeout" is the program's clock. A client that is waited for has one of its own, at the front. */
  #waitsForClient(): boolean {
    if (this.#answer.isOver) return false;
    const { stdin } = this.#child;
    const waitsForBody =
      this.#inputState === "flowing" && !stdin?.writableNeedDrain && !stdin?.destroyed;
    return waitsForBody || this.#answer.waitsForClient;
  }

  #expire(why: string): void {
    const { settings, log } = this.#context;
    settings.counters.timedOut += 1;
    log.warn(`CGI program ${why}: ended`);
    this.#answer.refuse(new HttpError(504, "The program did not answer in time"));
    this.#end();
  }

  #fail(error: unknown): void {
    this.#answer.refuse(reportFailure(error, this.#context));
    this.#end();
  }

  #leave(): void {
    this.#answer.leave();
    // One that still waits for the rest of its input would never finish.
    if (this.#context.settings.keeps && this.#inputState === "done") return;
    this.#end();
  }

  #end(): void {
    if (this.#lastResort !== undefined) return;
    this.#stopClocks();
    this.#child.kill("SIGTERM");
    this.#lastResort = setTimeout(() => this.#destroy(), this.#context.settings.limits.killGraceMs);
  }

  #destroy(): void {
    this.#child.kill("SIGKILL");
    // What has left the process group may hold our pipes for ever.
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr])
      stream?.destroy();
  }
}

async function closing(stream: Readable): Promise<void> {
  if (stream.closed) return;
  await new Promise<void>((resolve) => {
    stream.once("close", resolve);
  });
}

/** The result, or undefined when it takes longer. */
async function within<T>(result: Promise<T>, ms: number): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  // A busy loop runs timers first: what happened meanwhile gets its turn before the decision.
  const timer = setTimeout(() => setImmediate(resolve, undefined), ms);
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}
