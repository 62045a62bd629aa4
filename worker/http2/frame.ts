// The numbers of HTTP/2 (RFC 9113 4.1, 6, 7, 11): frame types, flags, settings, error codes.

export const FRAME_HEADER_BYTES = 9;
/** SETTINGS_MAX_FRAME_SIZE as it stands until somebody changes it (RFC 9113 6.5.2); it is never changed here. */
export const MAX_FRAME_BYTES = 16_384;
export const MAX_WINDOW = 0x7fff_ffff;
export const MAX_STREAM_ID = 0x7fff_ffff;
export const DEFAULT_WINDOW = 65_535;
export const DEFAULT_TABLE_BYTES = 4096;

/** What a client sends first (RFC 9113 3.4). */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const frameType = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
  /** RFC 9218 7.1. */
  priorityUpdate: 0x10,
} as const;

export const flag = {
  endStream: 0x1,
  ack: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

export const setting = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
  /** RFC 8441 3. */
  enableConnectProtocol: 0x8,
  /** RFC 9218 2.1. */
  noRfc7540Priorities: 0x9,
} as const;

export const errorCode = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const;

export type ErrorName = keyof typeof errorCode;

/** The peer broke a rule after which nothing on the connection can be trusted (RFC 9113 5.4.1), or a limit. */
export class ConnectionFault extends Error {
  readonly code: ErrorName;
  constructor(code: ErrorName, reason: string) {
    super(reason);
    this.name = "ConnectionFault";
    this.code = code;
  }
}

/** What a client may do so often, or be so large, and did more; each has a counter. */
export type FloodKind =
  | "cancels"
  | "chatter"
  | "fields"
  | "pieces"
  | "pings"
  | "settings"
  | "streamFaults";

export class Flood extends ConnectionFault {
  readonly kind: FloodKind;
  constructor(kind: FloodKind, reason: string) {
    super("ENHANCE_YOUR_CALM", reason);
    this.kind = kind;
  }
}
