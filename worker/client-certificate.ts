// The certificate a client proved to own, as CGI programs and plugins see it.

import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { ClientCertificate } from "./http/connection.ts";

/** Reads it off a connection whose handshake has verified it; also a resumed one carries it. */
export function readClientCertificate(socket: TLSSocket): ClientCertificate | undefined {
  const certificate = socket.getPeerX509Certificate();
  return certificate && describeCertificate(certificate);
}

/** Node writes one line for each part of a name, its value escaped as in RFC 4514; that standard begins with the last one. */
export function describeCertificate(certificate: X509Certificate): ClientCertificate {
  const [subject, issuer] = [certificate.subject, certificate.issuer].map((name) =>
    (name ?? "").split("\n").filter((line) => line !== ""),
  ) as [string[], string[]];
  return {
    subject: distinguishedName(subject),
    issuer: distinguishedName(issuer),
    subjectParts: subject.flatMap(splitPart),
    issuerParts: issuer.flatMap(splitPart),
    serial: certificate.serialNumber,
    fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    validFrom: certificate.validFromDate,
    validTo: certificate.validToDate,
  };
}

/** A "+" inside a value is escaped, so these join the parts of a name that stand side by side. */
const SIDE_BY_SIDE = " + ";

function distinguishedName(lines: readonly string[]): string {
  return lines
    .toReversed()
    .map((line) => line.replaceAll(SIDE_BY_SIDE, "+"))
    .join(",");
}

function splitPart(line: string): (readonly [name: string, value: string])[] {
  return line.split(SIDE_BY_SIDE).map((part) => {
    const at = part.indexOf("=");
    return [part.slice(0, at), unescape(part.slice(at + 1))] as const;
  });
}

/** "\2C" and "\," both stand for a comma (RFC 4514 2.4); a byte that is no character of its own stays escaped. */
function unescape(value: string): string {
  return value.replace(/\\(?:([0-7][\dA-Fa-f])|(\W))/g, (_whole, hex?: string, plain?: string) =>
    hex === undefined ? (plain ?? "") : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
