// What an error of Node's parser or of the socket means to the client.

import { HttpError } from "./exchange.ts";

export type ParserError = NodeJS.ErrnoException & {
  /** The piece in which parsing failed, and how far it got. */
  readonly rawPacket?: Buffer;
  readonly bytesParsed?: number;
};

/** A request line that is right but for its method: a token in its place that the parser does not know. */
const UNKNOWN_METHOD = /^[\w!#$%&'*+.^`|~-]{1,64} \S+ HTTP\/1\.[01]\r?$/;
/** Request lines are looked at this far, bytes. */
const MAX_LINE_BYTES = 8 * 1024;
const LF = 10;

/** The refusal to answer with; undefined where the connection itself has failed. */
export function classifyFault(error: ParserError): HttpError | undefined {
  const { code = "" } = error;
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new HttpError(408, "The request did not arrive in time");
    case "HPE_HEADER_OVERFLOW":
      return isInFirstLine(error)
        ? new HttpError(414, "The request target is too long")
        : new HttpError(431, "The header fields are too large");
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return new HttpError(413, "The chunk extensions are too large");
    case "HPE_INVALID_METHOD":
      return UNKNOWN_METHOD.test(failedLine(error))
        ? new HttpError(501, "This method is not known here")
        : new HttpError(400, "The request is malformed");
    default:
      return code.startsWith("HPE_") ? new HttpError(400, "The request is malformed") : undefined;
  }
}

/** True when no line had ended. Told by one piece: a long target that comes in several is answered as long fields are. */
function isInFirstLine({ rawPacket, bytesParsed = 0 }: ParserError): boolean {
  if (!rawPacket) return false;
  const end = rawPacket.indexOf(LF);
  return (end === -1 || end >= bytesParsed) && /^[A-Z]{3,16} /.test(text(rawPacket, 0, 20));
}

/** The line in which parsing stopped. */
function failedLine({ rawPacket, bytesParsed = 0 }: ParserError): string {
  if (!rawPacket) return "";
  const start = bytesParsed === 0 ? 0 : rawPacket.lastIndexOf(LF, bytesParsed - 1) + 1;
  const line = text(rawPacket, start, start + MAX_LINE_BYTES);
  const end = line.indexOf("\n");
  return end === -1 ? "" : line.slice(0, end);
}

function text(bytes: Buffer, from: number, to: number): string {
  return bytes.toString("latin1", from, to);
}
