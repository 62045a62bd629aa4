// The TLS keys of a vhost as the options Node knows. What is not written is Mozilla's "intermediate" recommendation.
// OpenSSL's cipher strings and group lists pass as they are; its option flags become versions and "secureOptions".

import type { GlobalConfig } from "./server.ts";
import type { VhostKeys } from "./vhost.ts";

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** Named as in tls.createServer. */
export type TlsSettings = {
  /** Suites of TLS 1.3, then ciphers of TLS 1.2: Node tells them apart by their names. */
  readonly ciphers: string;
  readonly ecdhCurve: string;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  readonly secureOptions: number;
  readonly ALPNProtocols: readonly string[];
};

/** Protocols that ALPN can settle on here. */
export const SERVED_PROTOCOLS: readonly string[] = ["h2", "http/1.1"];

/** Mozilla's intermediate list without its DHE ciphers: they need parameters of their own, and clients without ECDHE are gone. */
const INTERMEDIATE_CIPHERS = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");
const TLS13_SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
const GROUPS = "X25519MLKEM768:X25519:prime256v1:secp384r1";

/** Bits of OpenSSL's SSL_OP_NO_* that switch a version off; Node wants a range of versions instead. */
const NO_TLS_1_2 = 1n << 27n;
const NO_TLS_1_3 = 1n << 29n;
/** SSLv3, TLS 1.0 and TLS 1.1, which are never offered (RFC 8996). */
const NO_OLD_VERSIONS = (1n << 25n) | (1n << 26n) | (1n << 28n);
const VERSION_FLAGS = NO_TLS_1_2 | NO_TLS_1_3 | NO_OLD_VERSIONS;

type TlsKeys = Pick<
  VhostKeys,
  "alpn" | "ciphers" | "ecdh-curve" | "ssl-option-clear" | "ssl-option-set" | "tls13-ciphers"
>;

/** The options of one vhost. */
export function tlsSettings(
  vhost: TlsKeys,
  global: Pick<GlobalConfig, "default-alpn">,
): TlsSettings {
  const flags = optionFlags(vhost);
  const listed = splitProtocols(vhost.alpn ?? global["default-alpn"]);
  const served = listed.filter((name) => SERVED_PROTOCOLS.includes(name));
  return {
    ciphers: `${vhost["tls13-ciphers"] ?? TLS13_SUITES}:${vhost.ciphers ?? INTERMEDIATE_CIPHERS}`,
    ecdhCurve: vhost["ecdh-curve"] ?? GROUPS,
    minVersion: flags.set & NO_TLS_1_2 ? "TLSv1.3" : "TLSv1.2",
    maxVersion: flags.set & NO_TLS_1_3 ? "TLSv1.2" : "TLSv1.3",
    secureOptions: Number(flags.set & ~VERSION_FLAGS),
    ALPNProtocols: served.length > 0 ? served : SERVED_PROTOCOLS,
  };
}

/** Names the rules that a vhost has for certificates of clients, "" where it asks for none: a connection that was made under other rules is not for it. */
export function clientRules(
  vhost: Pick<VhostKeys, "client-cert-required" | "host-ssl-ca">,
): string {
  return vhost["client-cert-required"] ? (vhost["host-ssl-ca"] ?? "") : "";
}

/** The flags that are set in the end, and those that cannot be cleared because nobody here set them. */
export function optionFlags(vhost: TlsKeys): {
  readonly set: bigint;
  readonly clearedInVain: bigint;
  readonly leavesNoVersion: boolean;
} {
  const wanted = combine(vhost["ssl-option-set"]);
  const cleared = combine(vhost["ssl-option-clear"]);
  const set = wanted & ~cleared;
  const leavesNoVersion = (set & NO_TLS_1_2) !== 0n && (set & NO_TLS_1_3) !== 0n;
  // TLS 1.2 and 1.3 are on anyway, so switching them on does happen.
  return { set, clearedInVain: cleared & ~wanted & ~(NO_TLS_1_2 | NO_TLS_1_3), leavesNoVersion };
}

/** "h2,http/1.1" as its names. */
export function splitProtocols(list: string | undefined): string[] {
  return (list ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

function combine(flags: readonly number[] | undefined): bigint {
  return (flags ?? []).reduce((sum, flag) => sum | BigInt(flag), 0n);
}
