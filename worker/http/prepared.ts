// A reply that is ready in memory: its head is put together once, its Date renewed once a second, and it leaves in one write.
// What a client gets is byte for byte what Exchange.send would have sent.

import type { HeaderPair } from "../../config/vhost.ts";
import { errorPage } from "./error-page.ts";
import type { HttpError } from "./exchange.ts";
import { http } from "./lean-http.ts";
import { composeFields, hasBody, type ConfiguredFields } from "./response-head.ts";

/** A body up to this size is kept behind its head, so that both are one buffer: copying it once a second costs less than a second buffer in each write. */
const JOINED_BYTES = 16 * 1024;
const DATE_LENGTH = "Thu, 01 Jan 1970 00:00:00 GMT".length;
const NO_BODY = Buffer.alloc(0);

/** What the server adds to the replies of one mount. */
export type ReplyFrame = {
  readonly configured: ConfiguredFields;
  readonly serverString: string | undefined;
  readonly keepAliveSecs: number;
};

/** The time of day as replies show it. */
export class ReplyClock {
  readonly #wall: () => number;
  #second = Number.NaN;
  #text = "";

  /** performance.now() when it is looked at again. */
  #until = Number.NEGATIVE_INFINITY;

  constructor(wall: () => number = () => Date.now()) {
    this.#wall = wall;
  }

  /** Looks at the time where the second may be over; to be called before each batch of replies, with performance.now(). */
  update(monotonicMs: number): void {
    if (monotonicMs < this.#until) return;
    const now = this.#wall();
    const second = Math.floor(now / 1000);
    this.#until = monotonicMs + (second + 1) * 1000 - now;
    if (second === this.#second) return;
    this.#second = second;
    this.#text = new Date(second * 1000).toUTCString();
  }
  /** Seconds since the epoch. */
  get second(): number {
    return this.#second;
  }
  /** As in the Date field. */
  get text(): string {
    return this.#text;
  }
}

/** A head, perhaps with its body; a new one each second, because the one before may still be on its way out. */
type Rendered = {
  bytes: Buffer;
  /** The same without the body. */
  head: Buffer;
  second: number;
  /** Where the Date stands; -1 where a configured one does. */
  readonly dateAt: number;
};

export class PreparedReply {
  readonly status: number;
  readonly #headers: readonly HeaderPair[];
  readonly #body: Buffer;
  #frame: ReplyFrame | undefined;
  #keeping: Rendered | undefined;
  #closing: Rendered | undefined;

  /** As Exchange.send. Body and headers must not change any more. */
  constructor(status: number, headers: readonly HeaderPair[], body: Buffer = NO_BODY) {
    this.status = status;
    this.#headers = headers;
    this.#body = hasBody(status) ? body : NO_BODY;
  }

  get headers(): readonly HeaderPair[] {
    return this.#headers;
  }

  /** What GET brings. */
  get body(): Buffer {
    return this.#body;
  }

  /** Bytes of the body that GET brings. */
  get bodyBytes(): number {
    return this.#body.length;
  }

  /** Adds the buffers of this reply to `out`; returns how many bytes they are. */
  write(
    out: Buffer[],
    frame: ReplyFrame,
    clock: ReplyClock,
    isHead: boolean,
    closes: boolean,
  ): number {
    const rendered = this.#render(frame, clock, closes);
    if (isHead) {
      out.push(rendered.head);
      return rendered.head.length;
    }
    out.push(rendered.bytes);
    if (this.#body.length <= JOINED_BYTES) return rendered.bytes.length;
    out.push(this.#body);
    return rendered.bytes.length + this.#body.length;
  }

  #render(frame: ReplyFrame, clock: ReplyClock, closes: boolean): Rendered {
    if (frame !== this.#frame) {
      this.#frame = frame;
      this.#keeping = undefined;
      this.#closing = undefined;
    }
    const rendered = closes
      ? (this.#closing ??= this.#compose(frame, clock, true))
      : (this.#keeping ??= this.#compose(frame, clock, false));
    if (rendered.second !== clock.second) renew(rendered, clock);
    return rendered;
  }

  #compose(frame: ReplyFrame, clock: ReplyClock, closes: boolean): Rendered {
    const { status } = this;
    const { configured, serverString, keepAliveSecs } = frame;
    const fields = composeFields({
      status,
      headers: this.#headers,
      configured,
      serverString,
      version: "1.1",
      length: this.#body.length,
      closes,
      keepAliveSecs,
    });
    let text = `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? "Unknown"}\r\n`;
    let hasDate = false;
    for (let at = 0; at + 1 < fields.length; at += 2) {
      text += `${fields[at]}: ${fields[at + 1]}\r\n`;
      hasDate ||= fields[at]?.toLowerCase() === "date";
    }
    const dateAt = hasDate ? -1 : text.length + "Date: ".length;
    text += hasDate ? "\r\n" : `Date: ${clock.text}\r\n\r\n`;
    const body = this.#body.length <= JOINED_BYTES ? this.#body : NO_BODY;
    const bytes = Buffer.allocUnsafe(text.length + body.length);
    bytes.write(text, 0, "latin1");
    bytes.set(body, text.length);
    return { bytes, head: bytes.subarray(0, text.length), second: clock.second, dateAt };
  }
}

/** The answer to a refusal below 500, as Exchange.fail gives it. */
export function prepareError(refusal: HttpError): PreparedReply {
  const { status, message, headers } = refusal;
  const type: HeaderPair = ["Content-Type", "text/html; charset=utf-8"];
  return new PreparedReply(status, [type, ...headers], Buffer.from(errorPage(status, message)));
}

function renew(rendered: Rendered, clock: ReplyClock): void {
  rendered.second = clock.second;
  if (rendered.dateAt === -1) return;
  const headBytes = rendered.head.length;
  rendered.bytes = Buffer.from(rendered.bytes);
  rendered.head = rendered.bytes.subarray(0, headBytes);
  rendered.bytes.write(clock.text, rendered.dateAt, DATE_LENGTH, "latin1");
}
