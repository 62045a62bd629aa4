// The beginning of TLS on a bare descriptor: the ClientHello is looked at without being read, the name in it picks the vhost's
// settings, then OpenSSL reads it itself. What is not one whole hello, or needs more than can be had here, becomes a socket of
// Node with every byte still in it.

import type { Logger } from "../log/logger.ts";
import type { OpenSsl, TlsContext, TlsLine } from "../posix/openssl.ts";
import { EAGAIN, READABLE, WRITABLE, type Polled } from "../posix/poller.ts";
import type { BareConnection } from "./bare-acceptor.ts";
import { readWholeOpening } from "./client-hello.ts";
import type { BareTransport } from "./http/bare-transport.ts";
import { Ringing, type Wheel } from "./http/wheel.ts";
import type { TlsFront, TlsOptions } from "./tls.ts";

const NOTHING_READ = Buffer.alloc(0);
/** The client was asked for no certificate. */
const SESSION = { clientRules: "", client: undefined };

export type GreetingOptions = Pick<TlsOptions, "counts" | "handshakeMs"> & {
  readonly openSsl: OpenSsl;
  readonly log: Logger;
  /** Keeps the clocks of all of them. */
  readonly wheel: Wheel<Ringing>;
  readonly contextFor: TlsFront["contextFor"];
  /** The handshake is done; `transport.protocol` tells what was settled on. */
  readonly onSecure: (transport: BareTransport, connection: BareConnection) => void;
  /** Nothing has been read. */
  readonly onOther: (transport: BareTransport) => void;
};

/** Waits for the client's hello and leads the handshake. Clocks are as in TlsOptions. */
export function greet(
  transport: BareTransport,
  connection: BareConnection,
  options: GreetingOptions,
): void {
  transport.greet(new Greeting(transport, connection, options));
}

class Greeting extends Ringing implements Polled {
  readonly #transport: BareTransport;
  readonly #connection: BareConnection;
  readonly #options: GreetingOptions;
  /** performance.now() at which the client has taken too long. */
  #deadline: number;
  #line: TlsLine | undefined;

  constructor(transport: BareTransport, connection: BareConnection, options: GreetingOptions) {
    super();
    this.#transport = transport;
    this.#connection = connection;
    this.#options = options;
    this.#deadline = performance.now() + options.handshakeMs;
    options.wheel.add(this, this.#deadline);
  }

  onEvents(): void {
    const line = (this.#line ??= this.#begin());
    if (!line) return;
    const step = line.handshake();
    if (step instanceof Error) this.#fail(step.message);
    else if (step === "done") this.#finish(line);
    else this.#transport.await(step === "read" ? READABLE : WRITABLE);
  }

  /** Undefined while there is nothing, and when the connection is not ours any more. */
  #begin(): TlsLine | undefined {
    const bytes = this.#transport.peek();
    if (typeof bytes === "number") {
      // Gone without a word, or another's event.
      if (bytes !== -EAGAIN) this.#end();
      return undefined;
    }
    const context = this.#contextFor(bytes);
    if (context) {
      this.#deadline = performance.now() + this.#options.handshakeMs;
      return this.#transport.beginTls((fd) => this.#options.openSsl.open(context, fd));
    }
    this.#options.wheel.remove(this);
    this.#options.onOther(this.#transport);
    return undefined;
  }

  #contextFor(bytes: Buffer): TlsContext | undefined {
    const opening = readWholeOpening(bytes);
    if (opening?.kind !== "tls") return undefined;
    return this.#options.contextFor(() => this.#connection.localAddress, opening.serverName);
  }

  override ring(now: number): number | undefined {
    if (now < this.#deadline) return this.#deadline;
    if (this.#line) this.#fail("ERR_TLS_HANDSHAKE_TIMEOUT");
    else this.#end();
    return undefined;
  }

  /** The client may still read the alert, if there is one. */
  #end(): void {
    this.#options.wheel.remove(this);
    this.#transport.leaveUnread();
  }

  #fail(code: string): void {
    const { counts, log } = this.#options;
    counts.tlsFailed += 1;
    log.debug({ code, remoteAddress: this.#connection.remoteAddress }, "TLS handshake failed");
    this.#end();
  }

  #finish(line: TlsLine): void {
    const { counts, onSecure, wheel } = this.#options;
    wheel.remove(this);
    counts.tlsHandshakes += 1;
    if (line.isResumed) counts.tlsResumed += 1;
    this.#connection.settleTls(SESSION);
    onSecure(this.#transport, this.#connection);
  }
}

/** As a socket of Node: undefined where it has closed meanwhile. */
export function toSocket(transport: BareTransport) {
  return transport.leave(NOTHING_READ)?.socket;
}
