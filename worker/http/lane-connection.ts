// One connection in the lane: answers what is ready, in order, with one write for each batch of requests that came together;
// hands everything else over to Node's parser with the bytes untouched. Between requests it holds no more than its own fields.

import { performance } from "node:perf_hooks";
import type { Connection } from "./connection.ts";
import { HttpError } from "./exchange.ts";
import type { Follower } from "../../posix/poller.ts";
import { forgetBatch, type LaneContext } from "./lane-context.ts";
import { askMount, LaneVisit } from "./lane-visit.ts";
import { CLIENT_LEFT, settle, type Outcome } from "./ledger.ts";
import { Pace } from "./pace.ts";
import { renderRefusal } from "./refusal.ts";
import type { Transport, TransportUser } from "./transport.ts";
import { Ringing } from "./wheel.ts";

/** Replies of one batch wait for one write up to this many bytes; then the client must take them before the next request is looked at. */
const MAX_BATCH_BYTES = 256 * 1024;
/** So often a mount may say "not yet" about one request before it has to answer the slow way. */
const MAX_WAITS = 2;

const NOTHING = Buffer.alloc(0);
const NOBODY: readonly Outcome[] = [];

/**
 * waiting: for a request, or for the rest of one. loading: for a mount. flushing: for the client to take what was written.
 * lingering: the last answer is out. gone: closed, or handed over.
 */
type State = "waiting" | "loading" | "flushing" | "lingering" | "gone";

/** What the next bytes turned out to be: a request whose answer has so many bytes, the beginning of one, not ours, or one whose answer will be ready. */
type Step = number | "partial" | "foreign" | Promise<void>;

export class LaneConnection extends Ringing implements TransportUser, Follower {
  readonly #context: LaneContext;
  readonly #transport: Transport;
  readonly #connection: Connection;
  #state: State = "waiting";
  /** performance.now() of the last change of state; of the first byte, while the rest of a head is waited for. */
  #since: number;
  /** When the wheel looks here next. */
  #ringsAt: number;
  /** Bytes of requests that are not answered yet. */
  #held: Buffer | undefined;
  readonly #visit: LaneVisit;
  /** Requests whose answers the client has not taken yet. */
  #unsettled: Outcome[] | undefined;
  /** An answer that is written when the requests of others have been looked at, and what it settles. */
  #answer: Buffer | undefined;
  #outcome: Outcome | undefined;
  /** The last answer is given; or the client has closed its side, and whatever it asked before is all it will get. */
  #isLast = false;
  #hasEnded = false;
  /** The client itself has said that its request is the last one. */
  #isLeaving = false;
  #waits = 0;
  /** When the request was asked that a mount had to fetch something for. */
  #askedAt: number | undefined;
  /** While the client takes its time with an answer; when that was last looked at. */
  #pace: Pace | undefined;
  #watchedAt = 0;

  constructor(context: LaneContext, transport: Transport, connection: Connection) {
    super();
    this.#context = context;
    this.#transport = transport;
    this.#connection = connection;
    this.#visit = new LaneVisit(context, connection);
    this.#since = performance.now();
    this.#ringsAt = this.#since + context.clocks.headerMs;
    context.wheel.add(this, this.#ringsAt);
  }

  /** Whether the connection can be closed without anybody missing anything. */
  get isIdle(): boolean {
    return this.#state === "waiting" && this.#held === undefined && this.#answer === undefined;
  }

  /** Since when it has been kept for the next request; undefined where it is not. */
  get idleSince(): number | undefined {
    return this.isIdle && this.#visit.requests > 0 ? this.#since : undefined;
  }

  receive(chunk: Buffer): void {
    if (this.#answer !== undefined) this.onHandedOut();
    if (this.#state !== "waiting") return this.#transport.giveBack(Buffer.from(chunk));
    const held = this.#held;
    const now = performance.now();
    const startedAt = this.#askedAt ?? now;
    if (this.#askedAt !== undefined) this.#askedAt = undefined;
    this.#process(held ? Buffer.concat([held, chunk]) : chunk, startedAt, now);
  }

  receiveEnd(): void {
    if (this.#answer !== undefined) this.onHandedOut();
    if (this.#state !== "waiting") this.#hasEnded = true;
    else if (this.#held === undefined) this.#finish();
    else this.#refuse(new HttpError(400, "The request is malformed"));
  }

  onClose(): void {
    const { wheel } = this.#context;
    if (this.#answer !== undefined) this.onHandedOut();
    if (this.#state === "gone") return;
    if (this.#state === "loading") this.#abandon();
    for (const outcome of this.#unsettled ?? []) this.#settleTaken(outcome, "aborted");
    this.#visit.end(this.#transport.bytesRead);
    this.#state = "gone";
    wheel.remove(this);
  }

  /** Nothing moves on the socket any more. */
  #stall(): void {
    if (this.#state !== "flushing") return;
    this.#context.counters.worker.clientsTooSlow += 1;
    this.#transport.destroy();
  }

  /** Cuts the connection, whatever it is doing. */
  destroy(): void {
    this.#transport.destroy();
  }

  override ring(now: number): number | undefined {
    const { clocks } = this.#context;
    if (this.#state === "gone") return undefined;
    const deadline = this.#deadline();
    if (deadline === undefined || now < deadline)
      return (this.#ringsAt = deadline ?? now + clocks.headerMs);
    if (this.#state === "flushing") return this.#watchPace(now);
    if (this.#state === "waiting" && this.#held !== undefined) {
      this.#context.counters.worker.clientsTooSlow += 1;
      this.#refuse(new HttpError(408, "The request did not arrive in time"));
      return (this.#ringsAt = now + clocks.lingerMs);
    }
    // Nothing was asked, so nothing is answered.
    this.#transport.destroy();
    return (this.#ringsAt = now + clocks.lingerMs);
  }

  /** A client that is slow, or does not read. */
  #watchPace(now: number): number {
    const { minSendRate, sendMs, sweepMs } = this.#context.clocks;
    const transport = this.#transport;
    if (!this.#pace) {
      this.#pace = new Pace(minSendRate, sendMs, () => transport.takenBytes);
      transport.watchStall(sendMs, () => this.#stall());
    } else if (this.#pace.spend(now - this.#watchedAt)) this.#stall();
    this.#watchedAt = now;
    return (this.#ringsAt = now + sweepMs);
  }

  #deadline(): number | undefined {
    const { headerMs, lingerMs, sweepMs } = this.#context.clocks;
    if (this.#state === "loading") return undefined;
    if (this.#state === "lingering") return this.#since + lingerMs;
    if (this.#state === "flushing") return this.#since + sweepMs;
    if (this.#held !== undefined || this.#visit.requests === 0) return this.#since + headerMs;
    return this.#since + this.#visit.vhost.config.keepalive_timeout * 1000;
  }

  #enter(state: State, since: number): void {
    this.#state = state;
    this.#since = since;
    const deadline = this.#deadline();
    if (deadline === undefined || deadline >= this.#ringsAt) return;
    this.#ringsAt = deadline;
    this.#context.wheel.hasten(this, deadline);
  }

  /** Answers the requests in `bytes`, as far as it can now, and keeps the others. */
  #process(bytes: Buffer, startedAt: number, now: number): void {
    const { clock, head, out } = this.#context;
    forgetBatch(this.#context);
    clock.update(now);
    head.now = now;
    let rest = bytes;
    let step: Step = 0;
    while (rest.length > 0 && typeof step === "number" && this.#state === "waiting") {
      let at = 0;
      let batchBytes = 0;
      while (at < rest.length && batchBytes < MAX_BATCH_BYTES && !this.#isLast) {
        step = this.#serve(rest, at, startedAt);
        if (typeof step !== "number") break;
        at += head.length;
        batchBytes += step;
      }
      // The clock of a head that comes in parts runs from its first byte.
      if (at > 0 || this.#held === undefined) this.#since = startedAt;
      if (at > 0) rest = at === rest.length ? NOTHING : rest.subarray(at);
      this.#held = rest.length === 0 ? undefined : rest;
      if (out.length > 0 && !this.#postpone()) this.#write(startedAt);
    }
    if (this.#state !== "waiting") return;
    // The buffer it is part of may be used again.
    if (this.#held !== undefined) this.#held = Buffer.from(this.#held);
    if (step === "foreign") this.#leave(this.#held ?? rest);
    else if (step instanceof Promise) this.#load(step, startedAt);
    else this.#wait();
  }

  /** Puts the answer to one request into the batch. */
  #serve(bytes: Buffer, at: number, startedAt: number): Step {
    const { head, out, clock, limits, frameOf, isDraining, notFound, outcomes } = this.#context;
    const verdict = head.parse(bytes, at);
    if (verdict !== "whole") return verdict;
    const vhost = this.#visit.find();
    if (!vhost) return "foreign";
    const match = vhost.match(head.path);
    // Who has to be asked first, and what has to be said, is known on the other way only.
    if (vhost.identify || (match ? match.guard : vhost.guard)) return "foreign";
    const configured = match ? match.headers : vhost.headers;
    if (configured.pages && (!match || configured.pages.isDocument(head.path))) return "foreign";
    const reply = match ? askMount(match, head) : notFound;
    if (reply === undefined) return "foreign";
    if (reply instanceof Promise) {
      // Nobody may come to wait for it.
      reply.catch(ignore);
      this.#waits += 1;
      return this.#waits > MAX_WAITS ? "foreign" : reply;
    }
    this.#waits = 0;
    // Pages that are configured are found on the other way.
    if (configured.pages && reply.status >= 400) return "foreign";
    if (!this.#visit.choose(vhost)) return "foreign";
    const closes = head.closes || isDraining() || this.#visit.requests >= limits.maxRequests;
    this.#isLast = closes;
    this.#isLeaving = head.closes;
    const { isHead } = head;
    const frame = frameOf(vhost, configured);
    const sent = reply.write(out, frame, clock, isHead, closes);
    vhost.counters.tx += sent;
    const bodyBytes = isHead ? 0 : reply.bodyBytes;
    outcomes.push(this.#visit.outcome(match?.tally, reply.status, bodyBytes, startedAt));
    return sent;
  }

  /** Leaves a single answer for later; false where it is to be written now. */
  #postpone(): boolean {
    const { poller, out, outcomes } = this.#context;
    if (out.length !== 1 || this.#isLast || this.#hasEnded || this.#held !== undefined)
      return false;
    if (!poller?.follow(this)) return false;
    this.#answer = out.pop();
    this.#outcome = outcomes.pop();
    return true;
  }

  /** It is time for what was left for later. */
  onHandedOut(): void {
    const { out, outcomes } = this.#context;
    const answer = this.#answer;
    const outcome = this.#outcome;
    if (answer === undefined || outcome === undefined) return;
    this.#answer = undefined;
    this.#outcome = undefined;
    forgetBatch(this.#context);
    out.push(answer);
    outcomes.push(outcome);
    this.#write(outcome.startedAt);
  }

  /** Writes the batch; waits where the client does not take it at once. */
  #write(now: number): void {
    const { out, outcomes, counters } = this.#context;
    // Taking the last one off is cheap; setting a length is a call into the runtime.
    const last = out.pop() ?? NOTHING;
    const isTaken =
      out.length === 0
        ? this.#transport.write(last)
        : this.#transport.writeAll([...out.splice(0), last]);
    if (isTaken) {
      const endedAt = performance.now();
      const latest = outcomes.pop();
      for (const outcome of outcomes.length > 0 ? outcomes.splice(0) : NOBODY)
        settle(counters, outcome, endedAt);
      if (latest) settle(counters, latest, endedAt);
      // The kernel has the answer, and nothing may come any more that would turn the end into a reset (RFC 9112 9.6).
      if (this.#isLeaving && this.#held === undefined) this.#depart();
      else if (this.#isLast) this.#linger();
      return;
    }
    this.#unsettled = outcomes.splice(0);
    counters.activeRequests += this.#unsettled.length;
    this.#enter("flushing", now);
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#transport.giveBack(Buffer.from(held));
  }

  /** The client has taken everything. */
  onFlushed(): void {
    if (this.#state !== "flushing") return;
    for (const outcome of this.#unsettled ?? []) this.#settleTaken(outcome);
    this.#unsettled = undefined;
    if (this.#pace) {
      this.#pace = undefined;
      this.#transport.watchStall(0);
    }
    if (this.#isLast) this.#linger();
    else this.#proceed(performance.now());
  }

  #settleTaken(outcome: Outcome, mark?: "aborted"): void {
    const { counters } = this.#context;
    counters.activeRequests -= 1;
    settle(counters, mark ? { ...outcome, mark } : outcome);
  }

  /** A mount has to fetch something before it can tell. */
  #load(ready: Promise<void>, startedAt: number): void {
    this.#context.counters.activeRequests += 1;
    this.#askedAt = startedAt;
    // Kept here too, so that it can be told what a client wanted that leaves.
    if (this.#held !== undefined) this.#transport.giveBack(this.#held);
    this.#enter("loading", startedAt);
    const resume = (): void => {
      // It has closed, and is about to be told so.
      if (this.#state !== "loading" || !this.#transport.isWritable) return;
      this.#context.counters.activeRequests -= 1;
      this.#proceed(startedAt);
    };
    // A mount that fails now fails again when it is asked, and says why on the other way.
    ready.then(resume, resume);
  }

  /** The client went before there was an answer. */
  #abandon(): void {
    const { head } = this.#context;
    if (!this.#held || head.parse(this.#held, 0) !== "whole") return;
    const vhost = this.#visit.find();
    if (vhost) this.#visit.choose(vhost);
    const tally = vhost?.match(head.path)?.tally;
    this.#settleTaken(this.#visit.outcome(tally, CLIENT_LEFT, 0, this.#since), "aborted");
  }

  /** Turns to what the client has sent meanwhile. */
  #proceed(startedAt: number): void {
    this.#enter("waiting", startedAt);
    this.#held = undefined;
    if (!this.#transport.replay()) this.#wait();
  }

  /** Nothing is left to do before the client sends more. */
  #wait(): void {
    if (this.#held === undefined && this.#hasEnded) return this.#finish();
    this.#enter("waiting", this.#since);
    this.#transport.resume();
  }

  /** The client has said everything, and has its answers. */
  #finish(): void {
    this.#enter("lingering", performance.now());
    this.#transport.end();
  }

  /** The client has its last answer, and has nothing more to say. */
  #depart(): void {
    this.#state = "lingering";
    this.#transport.destroy();
  }

  #linger(): void {
    this.#held = undefined;
    this.#enter("lingering", performance.now());
    this.#transport.discard();
  }

  /** Answers what cannot be read, and closes. */
  #refuse(refusal: HttpError): void {
    const { counters, serverString } = this.#context;
    const vhost = this.#visit.vhost;
    const { head, page } = renderRefusal(refusal, vhost.headers, serverString);
    settle(counters, {
      vhost,
      remoteAddress: this.#connection.remoteAddress,
      requestLine: undefined,
      status: refusal.status,
      bytes: page.length,
      startedAt: performance.now(),
      mark: "rejected",
    });
    vhost.counters.tx += head.length + page.length;
    if (this.#transport.isWritable) this.#transport.writeAll([Buffer.from(head, "latin1"), page]);
    this.#linger();
  }

  /** From here on the connection is Node's. */
  #leave(rest: Buffer): void {
    this.#state = "gone";
    this.#held = undefined;
    this.#context.wheel.remove(this);
    this.#context.handOver(this.#transport, rest, this.#connection, this.#visit.past);
  }
}

function ignore(): void {}
