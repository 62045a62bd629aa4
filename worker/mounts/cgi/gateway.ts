// What every mount does that is answered by somebody else in the manner of CGI: a place, the request body, the environment,
// a run, and the redirect that an answer may turn out to be. Who answers (a program, a FastCGI server) is the caller's choice.

import type { Child, Ended, Environment } from "../../../posix/child.ts";
import { HttpError, type ByteString, type Exchange } from "../../http/exchange.ts";
import type { Mount } from "../../mount.ts";
import { answerAtOnce } from "./at-once.ts";
import type { Input } from "./input.ts";
import type { Launch } from "./launcher.ts";
import { RunContext, type RunSettings } from "./run-context.ts";
import { CgiRun } from "./run.ts";
import type { FindScript, Script } from "./script.ts";
import type { Slots } from "./slots.ts";

export type GatewayParts = RunSettings & {
  readonly findScript: FindScript;
  readonly launch: Launch;
  /** Whether a program would see exactly these bytes. */
  readonly carries: (value: ByteString) => boolean;
  readonly makeEnvironment: (
    exchange: Exchange,
    script: Script,
    bodyBytes: number | undefined,
  ) => Environment;
  readonly takeInput: (exchange: Exchange) => Promise<Input>;
  /** Answers the request that a local redirect stands for (RFC 3875 6.2.2). */
  readonly redirect: (exchange: Exchange, location: string) => void;
  readonly slots: Slots;
};

const METHODS: readonly string[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** A mount of these parts. */
export function createGateway(parts: GatewayParts): Mount {
  const { counters, slots } = parts;
  const runs = new Set<CgiRun>();

  async function start(script: Script, environment: Environment, input: Input): Promise<Child> {
    const child = await parts
      .launch(script, environment, input.bytes === 0 ? "none" : "pipe")
      .catch((error: unknown) => {
        counters.failed += 1;
        throw error;
      });
    counters.started += 1;
    counters.alive += 1;
    void child.exited.then(({ usage }) => {
      counters.alive -= 1;
      if (!usage) return;
      counters.cpuMs += usage.cpuMs;
      counters.peakBytes = Math.max(counters.peakBytes, usage.peakBytes ?? 0);
    });
    return child;
  }

  /** Gives a small input that is here already; what is left to be read by the program. */
  function give(child: Child, input: Input): "nothing" | "stream" {
    if (input.bytes === 0) return "nothing";
    const whole = child.give && input.takeWhole();
    if (whole === undefined) return "stream";
    child.give?.(whole);
    return "nothing";
  }

  /** Of a program that ends at once. */
  async function endOf(child: Child): Promise<Ended | undefined> {
    const { briefMs } = parts.limits;
    return briefMs > 0 ? await child.brief?.(briefMs) : undefined;
  }

  /** Returns where the answer sends the request, if it stays here. */
  async function answer(exchange: Exchange, script: Script): Promise<string | undefined> {
    const gone = new AbortController();
    exchange.onAbort(() => gone.abort());
    using place = await slots.enter(gone.signal);
    if (place === undefined) return undefined;
    await using input = await parts.takeInput(exchange);
    if (gone.signal.aborted) return undefined;
    if (slots.isClosed) throw slots.refusal();
    const environment = parts.makeEnvironment(exchange, script, input.bytes);
    const child = await start(script, environment, input);
    const left = give(child, input);
    // What still has something to read has its streams before.
    const ended = left === "nothing" ? await endOf(child) : undefined;
    const of = {
      exchange,
      input: left === "nothing" ? undefined : input,
      gone: gone.signal,
      script,
      child: child.pid,
    };
    const context = new RunContext(parts, of);
    if (ended) return answerAtOnce(ended, context);
    const run = new CgiRun(child, context);
    runs.add(run);
    if (slots.isClosed) run.stop(); // stop() came while the program was starting.
    try {
      return await run.finish();
    } finally {
      runs.delete(run);
    }
  }

  return {
    async handle(exchange, rest) {
      if (!METHODS.includes(exchange.method))
        throw new HttpError(405, "The program takes no such method", {
          headers: [["Allow", METHODS.join(", ")]],
        });
      if (!parts.carries(rest)) throw new HttpError(400, "The path is not UTF-8");
      const script = await parts.findScript(rest);
      const location = await answer(exchange, script);
      if (location !== undefined) parts.redirect(exchange, location);
    },

    stop() {
      slots.close();
      for (const run of runs) run.stop();
    },
  };
}
