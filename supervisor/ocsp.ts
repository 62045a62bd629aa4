// What an OCSP response says, as far as a server that staples it must know (RFC 6960 4.2.1): whether it vouches for a
// certificate, and until when. Its signature is for clients to check. Pure.

export type Staple = {
  readonly thisUpdate: Date;
  /** Undefined where newer information is always available. */
  readonly nextUpdate: Date | undefined;
};

const SEQUENCE = 0x30;
const ENUMERATED = 0x0a;
const OCTET_STRING = 0x04;
const GENERALIZED_TIME = 0x18;
const VERSION = 0xa0;
const EXPLICIT_0 = 0xa0;
/** certStatus: good [0] IMPLICIT NULL, revoked [1], unknown [2]. */
const GOOD = 0x80;

/** Reads a response in DER form; a string says what is wrong with it. */
export function readStaple(der: Buffer): Staple | string {
  try {
    return read(der);
  } catch {
    return "is no OCSP response in DER form";
  }
}

function read(der: Buffer): Staple | string {
  const [status, bytes] = contentsOf(element(der, SEQUENCE));
  if (status?.tag !== ENUMERATED || status.content[0] !== 0)
    return "is a response that reports an error";
  const [, basic] = contentsOf(element(bytes?.content ?? Buffer.alloc(0), SEQUENCE));
  if (basic?.tag !== OCTET_STRING) throw new Error("No basic response");
  const [data] = contentsOf(element(basic.content, SEQUENCE));
  const fields = contentsOf(data).filter(({ tag }, index) => index > 0 || tag !== VERSION);
  // responderID, producedAt, responses
  const [single] = contentsOf(fields[2]);
  const [, certStatus, thisUpdate, nextUpdate] = contentsOf(single);
  if (certStatus?.tag !== GOOD) return "does not say that the certificate is good";
  const next = nextUpdate?.tag === EXPLICIT_0 ? contentsOf(nextUpdate)[0] : undefined;
  return { thisUpdate: timeOf(thisUpdate), nextUpdate: next && timeOf(next) };
}

type Element = { readonly tag: number; readonly content: Buffer };

/** The element that fills `der`. */
function element(der: Buffer, tag: number): Element {
  const [only, ...more] = elements(der);
  if (only?.tag !== tag || more.length > 0) throw new Error("Not what was expected");
  return only;
}

function contentsOf(parent: Element | undefined): Element[] {
  if (!parent) throw new Error("An element is missing");
  return elements(parent.content);
}

function elements(der: Buffer): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < der.length;) {
    const tag = der.readUInt8(at);
    const first = der.readUInt8(at + 1);
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
    const length = lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes);
    const start = at + 2 + lengthBytes;
    if (start + length > der.length) throw new Error("Cut off");
    found.push({ tag, content: der.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}

/** "20261122154635Z" */
function timeOf(field: Element | undefined): Date {
  const text = field?.tag === GENERALIZED_TIME ? field.content.toString("latin1") : "";
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!match) throw new Error("Not a time");
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second));
}
