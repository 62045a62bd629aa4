// One HTTP/1.1 connection on Node's parser: one exchange at a time, in order; a close that no answer is lost by; bytes, idle time and progress.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { noSeat } from "../limits.ts";
import type { SiteVhost } from "../router.ts";
import { BareSocket } from "./bare-socket.ts";
import { bodyLimit, limitBody, refuseLength } from "./body-limit.ts";
import type { Client, Connection } from "./connection.ts";
import { dispatch, SERVER_METHODS } from "./dispatch.ts";
import { HttpError } from "./exchange.ts";
import type { Http1Context, Past } from "./http1-context.ts";
import { Http1Exchange } from "./http1-exchange.ts";
import { requestLine } from "./http1-request.ts";
import { settle } from "./ledger.ts";
import { discardRest } from "./linger.ts";
import { Pace } from "./pace.ts";
import { classifyFault, type ParserError } from "./parser-fault.ts";
import { EMPTY_HEAD, readHead } from "./request-head.ts";
import { renderRefusal } from "./refusal.ts";
import { withRequestId } from "./response-head.ts";
import { TlsStream } from "./tls-stream.ts";
import { createUpgradeRequest } from "./upgrade-request.ts";

type State = "waiting" | "busy" | "lingering" | "upgraded" | "closed";
type Pending = readonly [request: IncomingMessage, response: ServerResponse];

export class Http1Connection {
  readonly #context: Http1Context;
  readonly #socket: Socket;
  readonly #connection: Connection;
  #state: State = "waiting";
  /** performance.now() of the last change of state. */
  #since = performance.now();
  #exchange: Http1Exchange | undefined;
  /** Requests the client sent ahead. Reading stops with the first of them, so what one read of 64 KiB holds is the limit. */
  readonly #pipeline: Pending[] = [];
  /** What follows the exchange in progress cannot be read: the answer to that. */
  #fault: HttpError | undefined;
  /** That of the last request, at first the default one. Bytes count for it. */
  #vhost: SiteVhost;
  #requests = 0;
  /** Whether it has a seat of its vhost. */
  #isSeated = false;
  #countedRead = 0;
  #countedWritten = 0;
  readonly #bare: BareSocket;
  readonly #bodyPace: Pace;
  readonly #sendPace: Pace;

  constructor(context: Http1Context, socket: Socket, connection: Connection, past?: Past) {
    this.#context = context;
    this.#socket = socket;
    this.#bare = new BareSocket(socket, connection.secure);
    this.#connection = connection;
    this.#vhost = past?.vhost ?? context.router.vhostFor(connection, undefined);
    const { minBodyRate, progressMs, minSendRate, sendMs } = context.clocks;
    this.#bodyPace = new Pace(minBodyRate, progressMs, () => socket.bytesRead);
    this.#sendPace = new Pace(minSendRate, sendMs, () => this.#bare.takenBytes);
    if (!past) return;
    this.#requests = past.requests;
    this.#isSeated = past.isSeated;
    this.#countedRead = past.countedRead;
    this.#countedWritten = socket.bytesWritten;
  }

  /** Watches the socket. To be called when Node's parser has its own listeners on it: on "resume" the last word must be ours. */
  attach(): void {
    const socket = this.#socket;
    const { onClose, onEnd, onResume, destroySoon } = this.#context.hooks;
    // Node drops its own listener with an upgrade; an error without one would end the process.
    socket.on("error", ignore);
    socket.on("close", onClose);
    socket.on("end", onEnd);
    socket.on("resume", onResume);
    socket.destroySoon = destroySoon;
  }

  /** Whether the connection can be closed without anybody missing anything. */
  get isIdle(): boolean {
    return this.#state === "waiting" && this.#socket.bytesRead === this.#countedRead;
  }

  /** performance.now() since when it is kept for another request without being asked for one, else undefined. */
  get idleSince(): number | undefined {
    return this.isIdle && this.#requests > 0 ? this.#since : undefined;
  }

  /** Takes the next request off the parser. */
  receive(request: IncomingMessage, response: ServerResponse): void {
    // Behind the last answer nothing is read, let alone acted on.
    if (this.#fault || (this.#state !== "waiting" && this.#state !== "busy")) return;
    if (this.#exchange) {
      this.#pipeline.push([request, response]);
      this.hold();
    } else this.#begin(request, response);
  }

  /** Takes a connection that the parser has let go for another protocol. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const context = this.#context;
    const checked = readHead(request, context.limits);
    const startedAt = performance.now();
    if (checked instanceof HttpError) return this.#refuseRaw(checked, request);
    const fault = this.#chooseVhost(checked.authority?.host) ?? this.#vhost.refusal;
    if (fault) return this.#refuseRaw(fault, request);
    this.#enter("upgraded");
    const client = this.#identify(request);
    // The frames behind the head are counted by whoever takes over.
    this.#countBytes(head.length);
    context.counters.activeRequests += 1;
    context.onUpgrade(
      createUpgradeRequest({
        request,
        socket,
        head,
        checked,
        vhost: this.#vhost,
        connection: client,
        counters: context.counters,
        startedAt,
        write: (refusal) => this.#writeRaw(refusal, client.requestId),
        onSettled: (accepted) => {
          context.counters.activeRequests -= 1;
          if (accepted) this.#release();
        },
      }),
    );
  }

  /** Whether a request may leave HTTP now: not while earlier ones are being answered. */
  get mayUpgrade(): boolean {
    return this.#state === "waiting" && !this.#exchange && !this.#fault;
  }

  /** CONNECT: the parser has let the connection go, but this is no proxy. */
  refuseTunnel(request: IncomingMessage): void {
    const headers = [["Allow", SERVER_METHODS]] as const;
    const refusal = new HttpError(405, "This server is no proxy", { headers });
    if (this.#exchange) this.#fault = refusal;
    else this.#refuseRaw(refusal, request);
  }

  /** The parser or the socket failed. */
  onFault(error: ParserError): void {
    if (this.#fault || (this.#state !== "waiting" && this.#state !== "busy")) return;
    const refusal = classifyFault(error);
    if (!refusal) return void this.#socket.destroy();
    if (refusal.status === 408) this.#context.counters.worker.clientsTooSlow += 1;
    if (this.#exchange && !this.#exchange.isRead) {
      // What cannot be read is the body of the request in progress. An answer that is on its way stands.
      if (!this.#exchange.isAnswered) this.#exchange.reject(refusal);
    } else if (this.#exchange) {
      // The rest of that head may well be there: it is we who do not read on.
      if (refusal.status === 408 && this.#pipeline.length > 0) return;
      this.#fault = refusal;
      this.hold();
    } else if (refusal.status === 408 && this.#socket.bytesRead === this.#countedRead) {
      // Nothing was asked, so nothing is answered.
      this.#socket.destroy();
    } else this.#refuseRaw(refusal);
  }

  /** Nothing has moved on the socket for as long as it may. */
  onStall(): void {
    if (this.#state !== "busy") return;
    if (this.#exchange?.awaitsClient) this.#cutSlow(this.#exchange);
    // The timer rings once, and the client may be the next to be waited for without a byte having moved.
    else this.#socket.setTimeout(this.#stallMs);
  }

  /** Looks at the clocks. */
  sweep(now: number): void {
    const { clocks } = this.#context;
    const waited = now - this.#since;
    if (this.#state === "lingering") {
      if (waited > clocks.lingerMs) this.#socket.destroy();
    } else if (this.#state === "busy") {
      this.#countBytes();
      this.#watchPace();
    } else if (this.#state === "waiting" && this.#requests > 0) {
      // Node's clock runs for a head that has begun. Empty lines begin none: this bounds them.
      const keepMs = this.#vhost.config.keepalive_timeout * 1000;
      if (waited > (this.isIdle ? keepMs : keepMs + clocks.headerMs)) this.#socket.destroy();
    }
  }

  /** How long nothing may move, while anything should. */
  get #stallMs(): number {
    const { progressMs, sendMs } = this.#context.clocks;
    return this.#exchange?.awaitsBody ? progressMs : sendMs;
  }

  #watchPace(): void {
    if (this.#socket.timeout !== this.#stallMs) this.#socket.setTimeout(this.#stallMs);
    const exchange = this.#exchange;
    if (!exchange?.awaitsClient) return;
    const pace = exchange.awaitsBody ? this.#bodyPace : this.#sendPace;
    if (pace.spend(this.#context.clocks.sweepMs)) this.#cutSlow(exchange);
  }

  #cutSlow(exchange: Http1Exchange): void {
    this.#context.counters.worker.clientsTooSlow += 1;
    exchange.cutStalled();
  }

  /** Cuts the connection, whatever it is doing. */
  destroy(): void {
    this.#socket.destroy();
  }

  #enter(state: State): void {
    if (this.#state === "closed") return;
    this.#state = state;
    this.#since = performance.now();
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    const { counters, log, serverString, isDraining, limits } = this.#context;
    this.#enter("busy");
    counters.activeRequests += 1;
    this.#bodyPace.begin();
    this.#sendPace.begin();
    const checked = readHead(request, limits);
    const head =
      checked instanceof HttpError ? { ...EMPTY_HEAD, method: request.method ?? "" } : checked;
    const full = this.#chooseVhost(head.authority?.host);
    const vhost = this.#vhost;
    const match = checked instanceof HttpError ? undefined : vhost.match(head.path);
    const maxBodyBytes = bodyLimit(vhost, match);
    const refusal =
      checked instanceof HttpError ? checked : (full ?? refuseLength(head.bodyBytes, maxBodyBytes));
    const client = this.#identify(request);
    const isLast = this.#requests >= limits.maxRequests;
    const exchange = new Http1Exchange({
      request,
      response,
      head,
      vhost,
      configured: withRequestId(match?.headers ?? vhost.headers, client.requestId),
      connection: client,
      counters,
      tally: match?.tally,
      log,
      serverString,
      mustClose: () => refusal !== undefined || isLast || isDraining(),
      bare: this.#bare,
      cut: (how) => this.#cut(how),
      onEnd: () => this.#next(),
    });
    this.#exchange = exchange;
    limitBody(request, maxBodyBytes, (tooLong) => exchange.reject(tooLong));
    if (refusal) exchange.reject(refusal);
    else dispatch(exchange, match, vhost.guard);
    // A connection that never has a request for long, such as one that becomes a WebSocket, keeps no timer.
    if (this.#state === "busy" && this.#socket.timeout !== this.#stallMs)
      this.#socket.setTimeout(this.#stallMs);
    if (this.#socket.readableEnded) this.onEnd();
  }

  /** The client sends no more. In the middle of a body that is the parser's to tell. */
  onEnd(): void {
    if (this.#exchange?.isRead) this.#exchange.clientEnded();
  }

  /** An exchange is over and counted. */
  #next(): void {
    this.#exchange = undefined;
    this.#context.counters.activeRequests -= 1;
    this.#countBytes();
    if (this.#state !== "busy") return;
    this.#enter("waiting");
    const pending = this.#pipeline.shift();
    if (pending) this.#begin(...pending);
    else if (this.#fault) this.#refuseRaw(this.#fault);
    if (this.#pipeline.length === 0 && !this.#fault && this.#socket.isPaused())
      this.#socket.resume();
  }

  /** Node resumes reading behind our back with every message it has parsed. */
  hold(): void {
    if (this.#state === "busy" && (this.#pipeline.length > 0 || this.#fault)) this.#socket.pause();
  }

  /** Returns the refusal where the vhost has no place for another connection. */
  #chooseVhost(host: string | undefined): HttpError | undefined {
    const vhost = this.#context.router.vhostFor(this.#connection, host);
    if (this.#isSeated && vhost !== this.#vhost) this.#leaveSeat();
    this.#vhost = vhost;
    if (this.#requests === 0) vhost.counters.connections += 1;
    this.#requests += 1;
    this.#isSeated ||= vhost.seats.take();
    return this.#isSeated ? undefined : noSeat();
  }

  #leaveSeat(): void {
    if (this.#isSeated) this.#vhost.seats.leave();
    this.#isSeated = false;
  }

  #identify(request: IncomingMessage): Client {
    return this.#vhost.identify?.(this.#connection, request.rawHeaders) ?? this.#connection;
  }

  /** Answers without Node's response object and closes. */
  #refuseRaw(refusal: HttpError, request?: IncomingMessage): void {
    const client: Client = request ? this.#identify(request) : this.#connection;
    settle(this.#context.counters, {
      vhost: this.#vhost,
      remoteAddress: client.remoteAddress,
      requestId: client.requestId,
      requestLine: request && requestLine(request),
      status: refusal.status,
      bytes: this.#writeRaw(refusal, client.requestId),
      startedAt: performance.now(),
      mark: "rejected",
    });
  }

  /** Returns the bytes of the body. */
  #writeRaw(refusal: HttpError, requestId?: string): number {
    const fields = withRequestId(this.#vhost.headers, requestId);
    const { head, page } = renderRefusal(refusal, fields, this.#context.serverString);
    if (this.#socket.writable) {
      this.#socket.write(head, "latin1");
      this.#socket.write(page);
    }
    this.linger();
    return page.length;
  }

  /** The last answer is given. */
  linger(): void {
    if (this.#state === "closed" || this.#state === "lingering") return;
    this.#enter("lingering");
    this.#pipeline.length = 0;
    discardRest(this.#socket);
  }

  /** The connection is another protocol's. */
  #release(): void {
    const socket = this.#socket;
    const { onClose, onEnd, onResume } = this.#context.hooks;
    socket.off("close", onClose).off("end", onEnd).off("resume", onResume);
    // Its seat is what remains of HTTP: all else would be kept in memory for as long as it is open.
    if (this.#isSeated) socket.on("close", this.#vhost.seats.leave);
    this.#context.onGone(socket);
  }

  #cut(how: "close" | "reset"): void {
    if (this.#socket instanceof TlsStream) return this.#socket.cut();
    if (how === "close") return void this.#socket.destroy();
    try {
      this.#socket.resetAndDestroy();
    } catch {
      // Only a TCP socket can be reset. TLS says by itself that its end is missing.
      this.#socket.destroy();
    }
  }

  #countBytes(unread = 0): void {
    const { bytesRead } = this.#socket;
    const bytesWritten = this.#bare.writtenBytes;
    const { counters } = this.#vhost;
    counters.rx += Math.max(0, bytesRead - unread - this.#countedRead);
    counters.tx += Math.max(0, bytesWritten - this.#countedWritten);
    this.#countedRead = bytesRead - unread;
    this.#countedWritten = bytesWritten;
  }

  /** The socket has closed. */
  onClose(): void {
    if (this.#state !== "upgraded") this.#countBytes();
    if (this.#requests === 0) this.#vhost.counters.connections += 1;
    this.#leaveSeat();
    this.#state = "closed";
    this.#context.onGone(this.#socket);
  }
}

function ignore(): void {}
