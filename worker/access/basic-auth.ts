// HTTP Basic authentication (RFC 7617): who says to be whom, and the challenge for those who do not say it right.

import type { ByteString } from "../http/exchange.ts";
import { HttpError } from "../http/exchange.ts";
import { MAX_PASSWORD_BYTES } from "../../config/password-file.ts";
import type { PasswordGate, Verdict } from "./guard.ts";
import type { PasswordBook } from "./password-checker.ts";

const CREDENTIALS = /^basic +([+/0-9A-Za-z]+={0,2}) *$/i;
// oxlint-disable-next-line no-control-regex -- RFC 7617 2 forbids them
const CONTROL = /[\u0000-\u001f\u007f]/;

export type Credentials = { readonly name: string; readonly password: string };

/** Asks for a user of `book`; `realm` is what browsers show. `onDenied` hears of each who said something and was not believed. */
export function createPasswordGate(
  book: PasswordBook,
  realm: ByteString,
  onDenied: () => void = () => {},
): PasswordGate {
  const quoted = realm.replace(/["\\]/g, "\\$&");
  const headers = [["WWW-Authenticate", `Basic realm="${quoted}", charset="UTF-8"`]] as const;
  const challenge = new HttpError(401, "", { headers });
  function judge(outcome: Verdict | undefined): Verdict {
    if (!outcome || outcome instanceof HttpError) onDenied();
    return outcome ?? challenge;
  }
  return (asker) => {
    const credentials = parseCredentials(asker.header("authorization"));
    // Whoever says nothing yet has guessed nothing: that is how every visit begins.
    if (!credentials) return challenge;
    const { name, password } = credentials;
    const outcome = book.check(name, password, asker.remoteAddress);
    return outcome instanceof Promise ? outcome.then(judge) : judge(outcome);
  };
}

/** Takes an Authorization field apart; undefined for none, another scheme, or one that no password could be meant by. */
export function parseCredentials(field: ByteString | undefined): Credentials | undefined {
  const encoded = CREDENTIALS.exec(field ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const text = decodeUtf8(Buffer.from(encoded, "base64"));
  const colon = text?.indexOf(":") ?? -1;
  if (text === undefined || colon === -1 || CONTROL.test(text)) return undefined;
  const password = text.slice(colon + 1);
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return undefined;
  return { name: text.slice(0, colon), password };
}

function decodeUtf8(bytes: Buffer): string | undefined {
  const text = bytes.toString("utf8");
  return Buffer.from(text, "utf8").equals(bytes) ? text : undefined;
}
