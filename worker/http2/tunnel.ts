// A WebSocket on a stream (RFC 8441): an extended CONNECT becomes the upgrade request that HTTP/1.1 would have made, and its
// socket is this. The first thing written to it is the head of a 101, which leaves as HEADERS with 200.

import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { answerFor } from "../http/error-page.ts";
import type { Client } from "../http/connection.ts";
import type { HttpError } from "../http/exchange.ts";
import { composeFields, withRequestId } from "../http/response-head.ts";
import { joinFields } from "../http/served-request.ts";
import { NO_REQUEST } from "../http/refusal.ts";
import { createUpgradeRequest } from "../http/upgrade-request.ts";
import type { SiteVhost } from "../site-vhost.ts";
import type { FieldEncoder } from "./hpack-encoder.ts";
import type { Http2Head } from "./request-head.ts";
import type { RequestHost } from "./request-host.ts";
import type { Stream } from "./stream.ts";

const KEY_BYTES = 16;
const OK = 200;
/** Fields of the 101 that HTTP/2 has no use for (RFC 8441 5). */
const OF_HTTP1 = /^(?:upgrade|connection|sec-websocket-accept)$/i;

export type TunnelOptions = {
  readonly stream: Stream;
  readonly encoder: FieldEncoder;
  readonly onConsumed: (bytes: number) => void;
  /** Counts what goes each way. */
  readonly onBytes: (read: number, written: number) => void;
};

export class Tunnel extends Duplex {
  readonly #options: TunnelOptions;
  /** As of a socket. */
  bytesRead = 0;
  bytesWritten = 0;
  #consumedBytes = 0;
  #isOpen = false;

  constructor(options: TunnelOptions) {
    super({ allowHalfOpen: true });
    this.#options = options;
  }

  get isWanted(): boolean {
    return !this.destroyed;
  }

  /** A piece has come. WebSockets limit by themselves how many may be unread. */
  receive(chunk: Buffer): number {
    this.bytesRead += chunk.length;
    this.#options.onBytes(chunk.length, 0);
    this.push(chunk);
    return 0;
  }

  /** The client has ended its side. */
  complete(): void {
    this.push(null);
  }

  override _read(): void {
    const consumed = this.bytesRead - this.readableLength;
    const bytes = consumed - this.#consumedBytes;
    this.#consumedBytes = consumed;
    if (bytes > 0) this.#options.onConsumed(bytes);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    const { stream, encoder, onBytes } = this.#options;
    if (!this.#isOpen) {
      this.#isOpen = true;
      stream.putHead(encoder.encode(OK, fieldsOf(chunk.toString("latin1"))), false);
      return done();
    }
    this.bytesWritten += chunk.length;
    onBytes(0, chunk.length);
    stream.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#options.stream.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const unread = this.bytesRead - this.#consumedBytes;
    this.#consumedBytes = this.bytesRead;
    if (unread > 0) this.#options.onConsumed(unread);
    this.#options.stream.reset("CANCEL");
    done(error);
  }
}

/** Hands an extended CONNECT to whoever takes upgrades. */
export function openTunnel(
  host: RequestHost,
  stream: Stream,
  request: Http2Head,
  vhost: SiteVhost,
  client: Client,
  full: HttpError | undefined,
): void {
  const { context } = host;
  const { counters, encoder, serverString } = context;
  const tunnel = new Tunnel({
    stream,
    encoder,
    onConsumed: (bytes) => host.onConsumed(stream, bytes),
    onBytes: (read, written) => host.residence.countTunnel(read, written),
  });
  stream.tunnel = tunnel;
  counters.activeRequests += 1;
  const upgrade = createUpgradeRequest({
    request: asUpgrade(request),
    socket: tunnel,
    head: Buffer.alloc(0),
    connection: client,
    vhost,
    checked: request.head,
    counters,
    startedAt: performance.now(),
    write(refusal) {
      const configured = withRequestId(vhost.headers, client.requestId);
      const { status, headers, body } = answerFor(refusal, NO_REQUEST, configured.pages);
      const page = Buffer.from(body);
      const fields = composeFields({
        status,
        headers,
        configured,
        serverString,
        version: "2.0",
        length: page.length,
        closes: false,
        keepAliveSecs: 0,
      });
      stream.putHead(encoder.encode(status, fields), false);
      stream.endWith(page);
      return page.length;
    },
    onSettled() {
      counters.activeRequests -= 1;
    },
  });
  const refusal = full ?? vhost.refusal;
  if (refusal) upgrade.reject(refusal.status, refusal.message, refusal.headers);
  else if (request.protocol === "websocket") context.onUpgrade(upgrade);
  else upgrade.reject(501, "Only WebSockets are tunnelled here");
}

/** As the parser of HTTP/1.1 would show it; the key is of no use between two that share a connection. */
function asUpgrade({ head, fields }: Http2Head): IncomingMessage {
  const request = {
    method: "GET",
    url: head.target,
    httpVersion: "2.0",
    headers: {
      ...Object.fromEntries(joinFields(fields)),
      connection: "upgrade",
      upgrade: "websocket",
      "sec-websocket-key": randomBytes(KEY_BYTES).toString("base64"),
    },
    rawHeaders: fields.flat(),
  };
  return request as unknown as IncomingMessage;
}

/** Names and values of the head of a 101. */
function fieldsOf(head: string): string[] {
  return head
    .split("\r\n")
    .slice(1)
    .flatMap((line) => {
      const colon = line.indexOf(":");
      const name = line.slice(0, colon);
      return colon <= 0 || OF_HTTP1.test(name) ? [] : [name, line.slice(colon + 1).trim()];
    });
}
