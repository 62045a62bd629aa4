// What must hold between the TLS keys of a vhost, and whether OpenSSL knows the names they give.

import { getCurves } from "node:crypto";
import { createSecureContext, getCiphers, type SecureContextOptions } from "node:tls";
import { isSecure } from "./listeners.ts";
import type { Severity } from "./problems.ts";
import type { GlobalConfig } from "./server.ts";
import { shown } from "./shape.ts";
import { preloadFault } from "./sts.ts";
import { suggest } from "./suggest.ts";
import { optionFlags, SERVED_PROTOCOLS, splitProtocols } from "./tls-settings.ts";
import type { VhostKeys } from "./vhost.ts";

type Say = (path: string, severity: Severity, message: string) => void;

/** Keys that mean something over TLS only. */
const NEEDS_TLS = [
  "ciphers",
  "tls13-ciphers",
  "ecdh-curve",
  "ssl-option-set",
  "ssl-option-clear",
  "alpn",
  "ocsp-staple",
  "redirect-http",
  "allow-http-on-https",
] as const;

/** Checks vhosts one after the other; a string that many of them share is tried once. */
export function createTlsChecker(global: GlobalConfig | undefined) {
  const tried = new Map<string, boolean>();
  const accepts: Accepts = (key, value) => {
    const known = tried.get(`${key} ${value}`) ?? isAccepted({ [key]: value });
    tried.set(`${key} ${value}`, known);
    return known;
  };
  return (vhost: VhostKeys, say: Say): void => {
    checkFiles(vhost, global?.["init-ssl"] === false, say);
    checkFlags(vhost, say);
    checkNames(vhost, accepts, say);
    if (vhost.alpn !== undefined) checkAlpn("alpn", vhost.alpn, say);
  };
}

/** Checks a list of protocols for ALPN. */
export function checkAlpn(key: string, value: string, say: Say): void {
  const names = splitProtocols(value);
  for (const name of names.filter((one) => !SERVED_PROTOCOLS.includes(one))) {
    const reason = UNSERVED[name];
    if (reason !== undefined) say(key, "notice", `${shown(name)} is not offered: ${reason}`);
    else {
      const known = [...SERVED_PROTOCOLS, ...Object.keys(UNSERVED)];
      say(key, "warning", `Unknown protocol ${shown(name)}${suggest(name, known)}`);
    }
  }
  if (!names.some((name) => SERVED_PROTOCOLS.includes(name)))
    say(key, "warning", `Names nothing that is served here; ${SERVED_PROTOCOLS.join()} is offered`);
}

const UNSERVED: Readonly<Record<string, string>> = {
  h3: "Node has no QUIC, which HTTP/3 runs on",
};

function checkFiles(vhost: VhostKeys, isTlsOff: boolean, say: Say): void {
  const { "host-ssl-cert": cert, "host-ssl-key": key, "host-ssl-ca": authorities } = vhost;
  if (cert !== undefined && key === undefined)
    say("host-ssl-cert", "error", 'A certificate needs its private key, "host-ssl-key"');
  if (key !== undefined && cert === undefined)
    say("host-ssl-key", "error", 'A private key needs its certificate, "host-ssl-cert"');
  if (authorities !== undefined && cert === undefined)
    say(
      "host-ssl-ca",
      "error",
      'Client certificates are checked over TLS only, which needs "host-ssl-cert"',
    );
  else if (authorities !== undefined && !vhost["client-cert-required"])
    say(
      "host-ssl-ca",
      "notice",
      'Completes the chain of the certificate; clients are asked for none without "client-cert-required"',
    );
  if (vhost["client-cert-required"]) checkClientRules(vhost, say);
  if (isTlsOff && (cert !== undefined || key !== undefined)) {
    const message =
      'TLS is off: without "init-ssl": "1" in "global" this vhost would be served in clear';
    say(cert === undefined ? "host-ssl-key" : "host-ssl-cert", "error", message);
  }
  if (vhost["allow-http-on-https"] && vhost["redirect-http"])
    say("redirect-http", "notice", "Has no effect: allow-http-on-https serves plain HTTP as well");
  const fault = vhost.sts && preloadFault(vhost.sts);
  if (fault) say("sts", "warning", fault);
  if (isSecure(vhost)) return;
  if (vhost.sts)
    say(
      "sts",
      "notice",
      "Browsers heed Strict-Transport-Security over TLS only, and this vhost has no certificate",
    );
  for (const name of NEEDS_TLS)
    if (vhost[name] !== undefined && vhost[name] !== false)
      say(name, "notice", "Has no effect: this vhost has no certificate");
}

/** Without an authority of its own every certificate that any public authority gave to anybody would do. */
function checkClientRules(vhost: VhostKeys, say: Say): void {
  if (vhost["host-ssl-cert"] === undefined)
    say(
      "client-cert-required",
      "error",
      'Client certificates are checked over TLS only, which needs "host-ssl-cert"',
    );
  else if (vhost["host-ssl-ca"] === undefined)
    say(
      "client-cert-required",
      "error",
      'Needs "host-ssl-ca", the authorities whose certificates clients may have',
    );
  if (vhost["allow-http-on-https"])
    say(
      "allow-http-on-https",
      "error",
      'Contradicts "client-cert-required": in clear no client can prove who it is',
    );
}

function checkFlags(vhost: VhostKeys, say: Say): void {
  const { clearedInVain, leavesNoVersion } = optionFlags(vhost);
  if (leavesNoVersion)
    say("ssl-option-set", "error", "SSL_OP_NO_TLSv1_2 and SSL_OP_NO_TLSv1_3 leave no TLS version");
  if (clearedInVain !== 0n)
    say(
      "ssl-option-clear",
      "notice",
      `Only flags of "ssl-option-set" can be cleared, and TLS 1.2 and 1.3 are the only versions; ${clearedInVain} has no effect`,
    );
}

type Accepts = (key: "ciphers" | "ecdhCurve", value: string) => boolean;

function checkNames(vhost: VhostKeys, accepts: Accepts, say: Say): void {
  const { ciphers, "tls13-ciphers": suites, "ecdh-curve": groups } = vhost;
  for (const name of wordsOf(suites, SEPARATORS))
    if (!name.startsWith("TLS_"))
      say("tls13-ciphers", "error", `${shown(name)} is no suite of TLS 1.3; write it in "ciphers"`);
    else if (!accepts("ciphers", name))
      say("tls13-ciphers", "error", `Unknown suite ${shown(name)}${suggestCipher(name)}`);

  const isUsable = ciphers === undefined || accepts("ciphers", ciphers);
  if (!isUsable)
    say("ciphers", "error", `No cipher that OpenSSL knows is left by ${shown(ciphers)}`);
  // "!X", "-X" and "+X" change the list; what is taken out of it may well be unknown by now.
  for (const name of wordsOf(ciphers, SEPARATORS).filter((one) => /^\w/.test(one)))
    if (name.startsWith("TLS_"))
      say("ciphers", "error", `${shown(name)} is a suite of TLS 1.3; write it in "tls13-ciphers"`);
    else if (isUsable && !accepts("ciphers", name))
      say("ciphers", "warning", `OpenSSL has no cipher ${shown(name)}${suggestCipher(name)}`);

  if (groups === undefined || accepts("ecdhCurve", groups)) return;
  const unknown = wordsOf(groups, SEPARATORS)
    .map((name) => name.replace(/^[?*-]+/, ""))
    .filter((name) => name !== "" && !accepts("ecdhCurve", name));
  for (const name of unknown)
    say("ecdh-curve", "error", `Unknown group ${shown(name)}${suggest(name, knownGroups())}`);
  if (unknown.length === 0) say("ecdh-curve", "error", `OpenSSL cannot read ${shown(groups)}`);
}

/** Colons as a rule; OpenSSL takes the others in cipher strings, the slash between preferences of groups. */
const SEPARATORS = /[:,; /]/;

function wordsOf(list: string | undefined, separator: RegExp): string[] {
  return (list ?? "")
    .split(separator)
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

function isAccepted(options: SecureContextOptions): boolean {
  try {
    createSecureContext(options);
    return true;
  } catch {
    return false;
  }
}

function suggestCipher(name: string): string {
  return suggest(
    name,
    getCiphers().map((cipher) => cipher.toUpperCase()),
  );
}

/** Those of TLS that are no curves have no list to ask for. */
function knownGroups(): string[] {
  return ["X25519", "X448", "X25519MLKEM768", "SecP256r1MLKEM768", "P-256", ...getCurves()];
}
