// Requests whose answer is ready in memory: it is put out at once, without an exchange or a stream of its own, from a block that
// was encoded before. What a client gets is what Exchange.send would have sent.

import type { Counters } from "../counters.ts";
import type { ByteString } from "../http/exchange.ts";
import type { ReadyRequest } from "../http/lane-head.ts";
import { settle, type Outcome } from "../http/ledger.ts";
import { PreparedReply } from "../http/prepared.ts";
import { composeFields, type ConfiguredFields } from "../http/response-head.ts";
import type { MountMatch } from "../router.ts";
import type { FieldEncoder } from "./hpack-encoder.ts";
import type { Output, Waiter } from "./output.ts";
import type { Http2Head } from "./request-head.ts";

/** A block without its date. */
type Prepared = {
  readonly configured: ConfiguredFields;
  readonly block: Buffer;
  readonly hasDate: boolean;
};

/** Blocks of the replies that mounts keep. One serves all connections of a front. */
export class PreparedBlocks {
  readonly #encoder: FieldEncoder;
  readonly #serverString: string | undefined;
  readonly #blocks = new WeakMap<PreparedReply, Prepared>();

  constructor(encoder: FieldEncoder, serverString: string | undefined) {
    this.#encoder = encoder;
    this.#serverString = serverString;
  }

  /** The block of a reply under the fields of its mount, and the date that follows it, empty where it has one. */
  get(reply: PreparedReply, configured: ConfiguredFields): readonly [block: Buffer, date: Buffer] {
    let prepared = this.#blocks.get(reply);
    if (prepared?.configured !== configured) {
      prepared = this.#prepare(reply, configured);
      this.#blocks.set(reply, prepared);
    }
    return [prepared.block, prepared.hasDate ? NOTHING : this.#encoder.date()];
  }

  #prepare(reply: PreparedReply, configured: ConfiguredFields): Prepared {
    const fields = composeFields({
      status: reply.status,
      headers: reply.headers,
      configured,
      serverString: this.#serverString,
      version: "2.0",
      length: reply.bodyBytes,
      closes: false,
      keepAliveSecs: 0,
    });
    const hasDate = fields.some((name, at) => at % 2 === 0 && name.toLowerCase() === "date");
    return { configured, block: this.#encoder.undated(reply.status, fields), hasDate };
  }
}

const NOTHING = Buffer.alloc(0);

/** Asks a mount; undefined where it is not ready. */
export function askReady(
  { mount, rest }: MountMatch,
  request: Http2Head,
): PreparedReply | undefined {
  if (!mount.ready) return undefined;
  const { method } = request.head;
  if (method !== "GET" && method !== "HEAD") return undefined;
  try {
    const reply = mount.ready(new View(request, method), rest);
    if (!(reply instanceof Promise)) return reply;
    // It is being fetched for those that come later.
    reply.catch(ignore);
  } catch {
    // It fails again where it is told.
  }
  return undefined;
}

class View implements ReadyRequest {
  readonly method: "GET" | "HEAD";
  readonly #request: Http2Head;

  constructor(request: Http2Head, method: "GET" | "HEAD") {
    this.#request = request;
    this.method = method;
  }

  get path(): ByteString {
    return this.#request.head.path;
  }
  get query(): ByteString | undefined {
    return this.#request.head.query;
  }
  get target(): ByteString {
    return this.#request.head.target;
  }

  header(name: string): ByteString | undefined {
    return findField(this.#request, name);
  }
}

/** Value of a field; several are joined (RFC 9110 5.3). Not for cookies. */
export function findField({ fields }: Http2Head, name: string): ByteString | undefined {
  let value: ByteString | undefined;
  for (const field of fields)
    if (field[0] === name) value = value === undefined ? field[1] : `${value}, ${field[1]}`;
  return value;
}

/** Answers that are put out and not taken yet, in batches of one write. */
export class Unsettled {
  readonly #output: Output;
  readonly #counters: Counters;
  readonly #batches = new Set<Batch>();
  #batch: Batch | undefined;

  constructor(output: Output, counters: Counters) {
    this.#output = output;
    this.#counters = counters;
  }

  get isEmpty(): boolean {
    return this.#batches.size === 0;
  }

  add(outcome: Outcome): void {
    this.#counters.activeRequests += 1;
    if (!this.#batch) {
      const batch: Batch = { outcomes: [], taken: () => this.#settle(batch) };
      this.#batches.add(batch);
      this.#batch = batch;
      this.#output.whenTaken(batch);
    }
    this.#batch.outcomes.push(outcome);
  }

  /** What follows belongs to another write. */
  divide(): void {
    this.#batch = undefined;
  }

  /** The connection is gone. */
  lose(): void {
    for (const batch of this.#batches) this.#settle(batch, "aborted");
  }

  #settle(batch: Batch, mark?: "aborted"): void {
    this.#batches.delete(batch);
    if (batch === this.#batch) this.#batch = undefined;
    this.#counters.activeRequests -= batch.outcomes.length;
    for (const outcome of batch.outcomes)
      settle(this.#counters, mark ? { ...outcome, mark } : outcome);
  }
}

type Batch = Waiter & { readonly outcomes: Outcome[] };

function ignore(): void {}
