// TLS by Node's own OpenSSL, called past Node's TLSSocket: over a bare descriptor a record costs one call of OpenSSL and one of
// the kernel, where Node's streams, buffers and callbacks take as much time as the encryption. What a context allows is
// set by Node, as for a TLSSocket: only connections are made here. See SSL_read(3), SSL_get_error(3).

import type { SecureContext } from "node:tls";
import { inspect } from "node:util";
import { isMainThread } from "node:worker_threads";
import { createAlpn } from "./alpn.ts";
import { openLibc } from "./native.mjs";
import { EAGAIN } from "./poller.ts";

/** A connection that OpenSSL has given up. */
const EPROTO = 71;
/** What has to be written before more can be read, which the kernel does not take now. */
export const EBUSY = 16;
/** There may be more to read: only what is no data has been read so far. */
export const EINTR = 4;

/** openssl/ssl.h */
const SSL_CTRL_MODE = 33;
const SSL_CTRL_SET_READ_AHEAD = 41;
const SSL_CTRL_CLEAR_MODE = 78;
/** SSL_read() would go on for as long as messages come that hold no data: one client could keep everybody waiting. */
const SSL_MODE_AUTO_RETRY = 0x4;
/** A write may take a part, and may be tried again from another place. */
const MODES = 0x1 | 0x2;
/** Buffers are kept only while something is in them: 33 KB less for who waits. A handshake would have them made again and again. */
const SSL_MODE_RELEASE_BUFFERS = 0x10;
/** A client that closes without a goodbye has ended its side, as for Node; lengths tell whether something is missing. */
const SSL_OP_IGNORE_UNEXPECTED_EOF = 1 << 7;
/** Nobody needs it, and it lets a client make us work at no cost of its own. */
const SSL_OP_NO_RENEGOTIATION = 1 << 30;
const SSL_ERROR_WANT_READ = 2;
const SSL_ERROR_WANT_WRITE = 3;
const SSL_ERROR_ZERO_RETURN = 6;
/** Bytes without any data in them: more than the largest record and all that an honest client says besides. */
const MAX_BARREN_BYTES = 64 * 1024;

/** What connections are made of. */
export type TlsContext = {
  readonly address: number;
  /** OpenSSL calls back into it: it must live as long as the last connection. */
  readonly context: SecureContext;
  /** As of tls.Server: connections from now on know these alone. */
  setTicketKeys(keys: Buffer): void;
};

export interface OpenSsl {
  /**
   * Makes a context ready. It must not serve TLSSockets too. `protocols` are those that ALPN can settle on, the best
   * first. Undefined where what Node keeps cannot be reached.
   */
  prepare(context: SecureContext, protocols: readonly string[]): TlsContext | undefined;
  /** The server's side of a connection whose client has not been heard. The descriptor stays the caller's. */
  open(context: TlsContext, fd: number): TlsLine;
}

/** Opens it; undefined where it cannot be had: it needs Linux, koffi and a Node that exports OpenSSL. */
export async function openOpenSsl(): Promise<OpenSsl | undefined> {
  if (process.platform !== "linux" || !isMainThread) return undefined;
  const native = await openLibc();
  if (!native) return undefined;
  try {
    return createOpenSsl(native);
  } catch {
    return undefined;
  }
}

type Native = NonNullable<Awaited<ReturnType<typeof openLibc>>>;
type Calls = ReturnType<typeof bindCalls>;

function bindCalls({ koffi, libc }: Native) {
  const bind = (prototype: string): ((...values: unknown[]) => number) => libc.func(prototype);
  return {
    control: bind("long SSL_ctrl(uintptr_t ssl, int command, long value, void* at)"),
    contextControl: bind("long SSL_CTX_ctrl(uintptr_t context, int command, long value, void* at)"),
    setOptions: bind("uint64_t SSL_CTX_set_options(uintptr_t context, uint64_t options)"),
    open: bind("uintptr_t SSL_new(uintptr_t context)"),
    setFd: bind("int SSL_set_fd(uintptr_t ssl, int fd)"),
    accept: bind("int SSL_accept(uintptr_t ssl)"),
    isResumed: bind("int SSL_session_reused(uintptr_t ssl)"),
    /** Of the last call; SSL_read() begins with 0. */
    errno: koffi.errno as () => number,
    read: bind("int SSL_read(uintptr_t ssl, void* bytes, int size)"),
    write: bind("int SSL_write(uintptr_t ssl, void* bytes, int size)"),
    source: bind("uintptr_t SSL_get_rbio(uintptr_t ssl)"),
    heardBytes: bind("uint64_t BIO_number_read(uintptr_t source)"),
    hasPending: bind("int SSL_has_pending(uintptr_t ssl)"),
    whatNext: bind("int SSL_get_error(uintptr_t ssl, int result)"),
    sayGoodbye: bind("int SSL_shutdown(uintptr_t ssl)"),
    free: bind("void SSL_free(uintptr_t ssl)"),
    nextError: bind("ulong ERR_get_error()"),
    forgetErrors: bind("void ERR_clear_error()"),
    errorText: libc.func("const char* ERR_reason_error_string(ulong code)") as (
      code: number,
    ) => string | null,
  };
}

function createOpenSsl(native: Native): OpenSsl {
  const calls = bindCalls(native);
  const alpn = createAlpn(native);
  return {
    prepare(context, protocols) {
      const address = addressOf(context);
      if (address === undefined) return undefined;
      calls.contextControl(address, SSL_CTRL_MODE, MODES, null);
      calls.contextControl(address, SSL_CTRL_CLEAR_MODE, SSL_MODE_AUTO_RETRY, null);
      calls.contextControl(address, SSL_CTRL_SET_READ_AHEAD, 1, null);
      calls.setOptions(address, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
      alpn.offer(address, protocols);
      return { address, context, setTicketKeys: (keys) => setTicketKeys(context, keys) };
    },
    open(context, fd) {
      const ssl = calls.open(context.address);
      if (ssl === 0) throw new Error("OpenSSL has no memory for a connection");
      calls.setFd(ssl, fd);
      return new TlsLine(calls, ssl, context, alpn.settled);
    },
  };
}

/** Of the SSL_CTX. Undocumented, and shown nowhere but in this text; tests over TLS hold on to it. */
function addressOf({ context }: SecureContext): number | undefined {
  const external: unknown =
    typeof context === "object" && context !== null && Reflect.get(context, "_external");
  const [, digits] = /^\[External: ([\da-f]+)\]$/.exec(inspect(external)) ?? [];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

/** Undocumented; tls.Server does the same. */
function setTicketKeys({ context }: SecureContext, keys: Buffer): void {
  const native = context as { setTicketKeys(keys: Buffer): void };
  native.setTicketKeys(keys);
}

/**
 * One connection; behind free() nothing may be asked of it. Errors that anybody has left behind are forgotten before each
 * call that they could make look like a failure of its own; a handshake forgets them itself.
 */
export class TlsLine {
  readonly #calls: Calls;
  readonly #ssl: number;
  /** Lives at least as long. */
  readonly context: TlsContext;
  readonly #settled: () => string | undefined;
  /** What ALPN has settled on. */
  protocol: string | undefined;
  #isBroken = false;
  #isEnded = false;
  /** Whether data has come since the line last ran dry, what it had heard by then, and how much of that was for nothing. */
  #hasData = true;
  #hasMore = false;
  #heardBytes = 0;
  #barrenBytes = 0;

  constructor(calls: Calls, ssl: number, context: TlsContext, settled: () => string | undefined) {
    this.#calls = calls;
    this.#ssl = ssl;
    this.context = context;
    this.#settled = settled;
  }

  /** Goes on with the handshake: whether it is done, what it waits for, or why it failed. */
  handshake(): "done" | "read" | "write" | Error {
    const result = this.#calls.accept(this.#ssl);
    this.protocol ??= this.#settled();
    if (result === 1) {
      this.#calls.control(this.#ssl, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, null);
      return "done";
    }
    const next = this.#calls.whatNext(this.#ssl, result);
    if (next === SSL_ERROR_WANT_READ) return "read";
    if (next === SSL_ERROR_WANT_WRITE) return "write";
    const reason = this.#calls.errorText(this.#calls.nextError());
    this.#isBroken = true;
    return new Error(reason ?? "The client has left");
  }

  get isResumed(): boolean {
    return this.#calls.isResumed(this.#ssl) === 1;
  }

  /** Bytes read into `bytes`, 0 at the end, or a negative errno. */
  read(bytes: Uint8Array): number {
    if (this.#isBroken) return -EPROTO;
    this.#calls.forgetErrors();
    const count = this.#calls.read(this.#ssl, bytes, bytes.length);
    const errno = count < 0 ? this.#calls.errno() : 0;
    this.#hasMore = false;
    if (count > 0) {
      this.#hasData = true;
      return count;
    }
    const next = this.#calls.whatNext(this.#ssl, count);
    if (next === SSL_ERROR_WANT_READ && !this.#isBarren()) {
      // After each message OpenSSL asks to be called again, and does not count what it keeps: it has come to the end of all only
      // where the kernel says so.
      this.#hasMore = errno !== EAGAIN;
      return this.#hasMore ? -EINTR : -EAGAIN;
    }
    if (next === SSL_ERROR_WANT_WRITE) return -EBUSY;
    if (next === SSL_ERROR_ZERO_RETURN) return 0;
    this.#isBroken = true;
    return -EPROTO;
  }

  /** Whether the client talks on and on without saying anything: each KeyUpdate of 27 bytes costs us 40 µs. */
  #isBarren(): boolean {
    const heardBytes = this.#calls.heardBytes(this.#calls.source(this.#ssl));
    this.#barrenBytes = this.#hasData ? 0 : this.#barrenBytes + heardBytes - this.#heardBytes;
    this.#heardBytes = heardBytes;
    this.#hasData = false;
    return this.#barrenBytes > MAX_BARREN_BYTES;
  }

  /** Nothing goes in or out any more, though the kernel may not tell. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Whether bytes have come that the kernel has no more: nothing will tell of them. */
  get hasPending(): boolean {
    return !this.#isBroken && (this.#hasMore || this.#calls.hasPending(this.#ssl) === 1);
  }

  /** How many bytes the kernel has taken. What follows them must come first next time. */
  write(bytes: Uint8Array): number {
    let taken = 0;
    this.#calls.forgetErrors();
    while (taken < bytes.length && !this.#isBroken) {
      const rest = taken === 0 ? bytes : bytes.subarray(taken);
      const count = this.#calls.write(this.#ssl, rest, rest.length);
      if (count > 0) {
        taken += count;
        continue;
      }
      const next = this.#calls.whatNext(this.#ssl, count);
      // It wants to read where half a message has come that is no data. Nobody honest sends those in halves.
      this.#isBroken = next !== SSL_ERROR_WANT_WRITE;
      return taken;
    }
    return taken;
  }

  /** Says goodbye. False where the kernel does not take it now: it can be said again. */
  end(): boolean {
    if (this.#isBroken || this.#isEnded) return true;
    let result = this.#calls.sayGoodbye(this.#ssl);
    if (result < 0) {
      // Seldom, so only here they are forgotten: then it tells why.
      this.#calls.forgetErrors();
      result = this.#calls.sayGoodbye(this.#ssl);
    }
    this.#isEnded = result >= 0 || this.#calls.whatNext(this.#ssl, result) !== SSL_ERROR_WANT_WRITE;
    return this.#isEnded;
  }

  free(): void {
    this.#calls.free(this.#ssl);
  }
}
