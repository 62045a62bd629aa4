// How a handshake settles on a protocol (RFC 7301): OpenSSL asks, and the server chooses among what the client offers.

import type { openLibc } from "./native.mjs";

/** openssl/tls1.h */
const SSL_TLSEXT_ERR_OK = 0;
const SSL_TLSEXT_ERR_ALERT_FATAL = 2;
const SSL_TLSEXT_ERR_NOACK = 3;

type Native = NonNullable<Awaited<ReturnType<typeof openLibc>>>;

export type Alpn = {
  /** Has a context settle on one of these. */
  offer(context: number, protocols: readonly string[]): void;
  /** What the last handshake that came so far settled on, told once. */
  readonly settled: () => string | undefined;
};

/** One callback for all contexts; what it is given back says which list is meant. */
export function createAlpn({ koffi, libc }: Native): Alpn {
  const lists: (readonly string[])[] = [];
  let settled: string | undefined;

  function choose(
    out: number,
    outBytes: number,
    from: number,
    bytes: number,
    list: number,
  ): number {
    const offered = koffi.decode(BigInt(from), "uint8_t", bytes) as Uint8Array;
    const at = findProtocol(Buffer.from(offered), lists[list] ?? []);
    if (!at) return SSL_TLSEXT_ERR_ALERT_FATAL;
    koffi.encode(BigInt(out), "uintptr_t", from + at.start);
    koffi.encode(BigInt(outBytes), "uint8_t", at.name.length);
    settled = at.name;
    return SSL_TLSEXT_ERR_OK;
  }

  const parameters = "uintptr_t, uintptr_t out, uintptr_t outBytes, uintptr_t from, uint bytes";
  const pointer = koffi.pointer(koffi.proto(`int (${parameters}, uintptr_t list)`));
  const select = libc.func("SSL_CTX_set_alpn_select_cb", "void", [
    "uintptr_t",
    pointer,
    "uintptr_t",
  ]);
  // Contexts call it for as long as the process lives, so it is never given back.
  const callback = koffi.register(
    (_ssl: number, ...values: [number, number, number, number, number]) => {
      try {
        return choose(...values);
      } catch {
        return SSL_TLSEXT_ERR_NOACK;
      }
    },
    pointer,
  );
  return {
    offer(context, protocols) {
      const text = protocols.join();
      let list = lists.findIndex((known) => known.join() === text);
      if (list === -1) list = lists.push(protocols) - 1;
      select(context, callback, list);
    },
    settled() {
      const protocol = settled;
      settled = undefined;
      return protocol;
    },
  };
}

/** The first of `wanted` in a list of names, each behind its length. */
function findProtocol(
  offered: Buffer,
  wanted: readonly string[],
): { readonly name: string; readonly start: number } | undefined {
  const starts = new Map<string, number>();
  for (let at = 0; at < offered.length; at += 1 + (offered[at] ?? 0))
    starts.set(offered.toString("latin1", at + 1, at + 1 + (offered[at] ?? 0)), at + 1);
  for (const name of wanted) {
    const start = starts.get(name);
    if (start !== undefined) return { name, start };
  }
  return undefined;
}
