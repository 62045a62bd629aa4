// Whether a certificate and its key can serve a vhost: both parse, belong together, are in date and name the vhost.
// Pure: what is wrong comes back, by the key of the configuration that is to blame.

import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import type { Severity } from "../config/problems.ts";
import { shown } from "../config/shape.ts";

/** The PEM texts of one vhost, by the configuration key that names their file. */
export type PairTexts = {
  readonly "host-ssl-cert": string;
  readonly "host-ssl-key": string;
  readonly "host-ssl-ca": string | undefined;
};

export type PairFinding = {
  readonly key: keyof PairTexts;
  readonly severity: Severity;
  /** Continues `The certificate "/etc/tls/a.crt" …`. */
  readonly says: string;
  /** The pair is good, but not now. */
  readonly isUntimely: boolean;
};

/** Everything wrong with a certificate and its key on a vhost called `name`, at the time `now`. */
export function inspectPair(texts: PairTexts, name: string, now: Date): PairFinding[] {
  const findings: PairFinding[] = [];
  const say = (
    key: keyof PairTexts,
    severity: Severity,
    says: string,
    isUntimely = false,
  ): void => {
    findings.push({ key, severity, says, isUntimely });
  };
  const read = (key: "host-ssl-cert" | "host-ssl-ca", text: string): X509Certificate[] => {
    const chain = parseCertificates(text);
    if (typeof chain !== "string") return chain;
    say(key, "error", chain);
    return [];
  };

  const chain = read("host-ssl-cert", texts["host-ssl-cert"]);
  if (texts["host-ssl-ca"] !== undefined) read("host-ssl-ca", texts["host-ssl-ca"]);
  const key = parseKey(texts["host-ssl-key"]);
  if (typeof key === "string") say("host-ssl-key", "error", key);
  const [own] = chain;
  if (!own) return findings;
  if (typeof key !== "string" && !own.checkPrivateKey(key))
    say("host-ssl-key", "error", mismatch(chain, key));
  if (now < own.validFromDate)
    say("host-ssl-cert", "warning", `is not valid before ${timeOf(own.validFromDate)}`, true);
  if (now > own.validToDate)
    say("host-ssl-cert", "warning", `expired on ${timeOf(own.validToDate)}`, true);
  if (!covers(own, name))
    say("host-ssl-cert", "warning", `is not for ${shown(name)}: it names ${namesOf(own)}`);
  return findings;
}

/** Every certificate of a PEM text in order, or what is wrong with it. */
function parseCertificates(text: string): X509Certificate[] | string {
  const blocks = text.match(CERTIFICATES) ?? [];
  const chain: X509Certificate[] = [];
  for (const [index, block] of blocks.entries()) {
    try {
      chain.push(new X509Certificate(block));
    } catch {
      return blocks.length === 1
        ? "cannot be read: it is damaged"
        : `cannot be read: the ${ordinal(index)} of its ${blocks.length} certificates is damaged`;
    }
  }
  return chain.length > 0
    ? chain
    : "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)";
}

/** The private key, or what is wrong with it. */
function parseKey(text: string): KeyObject | string {
  const blocks = text.match(PRIVATE_KEYS) ?? [];
  const [block] = blocks;
  if (block === undefined) return "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)";
  if (block.includes("ENCRYPTED"))
    return "is encrypted, and nobody is there to type its passphrase; openssl pkey -in FILE writes it in clear";
  try {
    return createPrivateKey(block);
  } catch {
    return "cannot be read: it is damaged, or of a kind this OpenSSL does not know";
  }
}

function mismatch(chain: readonly X509Certificate[], key: KeyObject): string {
  const other = chain.findIndex((certificate) => certificate.checkPrivateKey(key));
  return other === -1
    ? "does not belong to the certificate"
    : `belongs to the ${ordinal(other)} certificate of the chain; the server's own one comes first`;
}

/** A vhost without a name of its own is reached by any. */
function covers(certificate: X509Certificate, name: string): boolean {
  if (name === "default") return true;
  if (isIP(name) !== 0) return certificate.checkIP(name) !== undefined;
  // A vhost for "*.a.example" needs a certificate for any name below.
  const host = domainToASCII(name.replace(/^\*/, "any").replace(/\.$/, "")) || name;
  return certificate.checkHost(host, { subject: "never" }) !== undefined;
}

function namesOf(certificate: X509Certificate): string {
  const names = (certificate.subjectAltName ?? "").split(", ").filter((entry) => entry !== "");
  if (names.length === 0) return "no host (browsers look at subjectAltName only)";
  const few = names.slice(0, MAX_NAMES).map((entry) => entry.replace(/^(?:DNS|IP Address):/, ""));
  return few.join(", ") + (names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : "");
}

/** A certificate may hold a hundred names. */
const MAX_NAMES = 5;

const CERTIFICATES =
  /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^]*?-----END (?:TRUSTED )?CERTIFICATE-----/g;
const PRIVATE_KEYS =
  /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[^]*?-----END (?:[A-Z]+ )?PRIVATE KEY-----/g;

/** "2026-11-23T13:51:18Z" */
function timeOf(date: Date): string {
  return date.toISOString().replace(/\.\d+/, "");
}

function ordinal(index: number): string {
  return ["first", "second", "third"][index] ?? `${index + 1}th`;
}
