// What a CGI program is told of the client's certificate, under the names of Apache's mod_ssl. Clients can set HTTP_*
// variables only, so none of these can be forged.

import type { ByteString } from "../../http/exchange.ts";
import type { ClientCertificate } from "../../http/connection.ts";

const MS_PER_DAY = 86_400_000;

/** Variables for a request over TLS; without a certificate only that there is none. */
export function clientVariables(
  client: ClientCertificate | undefined,
): (readonly [name: string, value: ByteString])[] {
  if (!client) return [["SSL_CLIENT_VERIFY", "NONE"]];
  const daysLeft = Math.max(0, Math.floor((client.validTo.getTime() - Date.now()) / MS_PER_DAY));
  const variables: [name: string, value: string][] = [
    ["SSL_CLIENT_VERIFY", "SUCCESS"],
    ["SSL_CLIENT_S_DN", client.subject],
    ["SSL_CLIENT_I_DN", client.issuer],
    ["SSL_CLIENT_M_SERIAL", client.serial],
    ["SSL_CLIENT_V_START", opensslTime(client.validFrom)],
    ["SSL_CLIENT_V_END", opensslTime(client.validTo)],
    ["SSL_CLIENT_V_REMAIN", String(daysLeft)],
    // Not of mod_ssl, but what most programs compare.
    ["SSL_CLIENT_FINGERPRINT", client.fingerprint],
    ...partVariables("SSL_CLIENT_S_DN", client.subjectParts),
    ...partVariables("SSL_CLIENT_I_DN", client.issuerParts),
  ];
  return variables.map(([name, value]) => [name, Buffer.from(value, "utf8").toString("latin1")]);
}

/** SSL_CLIENT_S_DN_CN, and for more of the same kind SSL_CLIENT_S_DN_OU, SSL_CLIENT_S_DN_OU_1 and so on. */
function partVariables(
  prefix: string,
  parts: ClientCertificate["subjectParts"],
): [name: string, value: string][] {
  const seen = new Map<string, number>();
  return parts.flatMap(([attribute, value]): [string, string][] => {
    // Others are numbers of attributes that OpenSSL has no name for, or cannot be variables.
    if (!/^[A-Za-z]+$/.test(attribute) || value.includes("\0")) return [];
    const kind = attribute === "emailAddress" ? "Email" : attribute;
    const count = seen.get(kind) ?? 0;
    seen.set(kind, count + 1);
    return [[`${prefix}_${kind}${count === 0 ? "" : `_${count}`}`, value]];
  });
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** "Nov  2 15:46:35 2026 GMT", as OpenSSL prints times. */
function opensslTime(date: Date): string {
  const clock = date.toISOString().slice(11, 19);
  const day = String(date.getUTCDate()).padStart(2);
  return `${MONTHS[date.getUTCMonth()]} ${day} ${clock} ${date.getUTCFullYear()} GMT`;
}
