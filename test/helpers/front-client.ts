// One request through one front, and its answer in a form that does not tell which front it was.

import {
  data,
  frame,
  headers as headersFrame,
  number32,
  openHttp2,
  type FrameWire,
} from "./http2-wire.ts";
import { connect, parseReplies } from "./wire.ts";

export type FrontRequest = {
  readonly method?: string;
  readonly target?: string;
  readonly host?: string;
  readonly fields?: readonly (readonly [name: string, value: string])[];
  /** With Content-Length, in one piece. */
  readonly body?: string;
  /** Without Content-Length: chunks there, DATA here. */
  readonly pieces?: readonly string[];
};

export type FrontAnswer = {
  readonly status: number;
  /** Without what frames messages or belongs to the moment. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** Interim answers before it. */
  readonly interim: readonly number[];
};

export type FrontClient = (port: number, request: FrontRequest) => Promise<FrontAnswer>;

const WINDOW_BYTES = 2 ** 24;
const FRAME_BYTES = 2 ** 14;
const OF_THE_CONNECTION = /^(?:connection|keep-alive|transfer-encoding|date)$/;

/** HTTP/1.1 on a connection of its own. */
export async function askHttp1(port: number, request: FrontRequest): Promise<FrontAnswer> {
  const { method = "GET", target = "/", host = "a.test", fields = [], body, pieces } = request;
  const lines = [`${method} ${target} HTTP/1.1`, `Host: ${host}`, "Connection: close"];
  for (const [name, value] of fields) lines.push(`${name}: ${value}`);
  if (body !== undefined) lines.push(`Content-Length: ${body.length}`);
  if (pieces) lines.push("Transfer-Encoding: chunked");
  const chunks = pieces?.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`) ?? [];
  const end = pieces ? "0\r\n\r\n" : "";
  const wire = await connect(port);
  wire.write(`${lines.join("\r\n")}\r\n\r\n${body ?? ""}${chunks.join("")}${end}`);
  const { replies } = parseReplies(await wire.rest(), [method, method]);
  const last = replies.at(-1);
  if (!last) throw new Error(`No answer to ${method} ${target}`);
  return {
    status: last.status,
    fields: comparable([...last.headers]),
    body: last.body,
    interim: replies.slice(0, -1).map(({ status }) => status),
  };
}

/** HTTP/2 on a connection of its own. */
export async function askHttp2(port: number, request: FrontRequest): Promise<FrontAnswer> {
  // Windows that nothing here fills.
  const wire = await openHttp2(port, [0x4, WINDOW_BYTES]);
  wire.write(frame(0x8, 0, 0, number32(WINDOW_BYTES)));
  const answer = await askOn(wire, 1, request);
  wire.socket.end();
  await wire.ended();
  return answer;
}

async function askOn(wire: FrameWire, id: number, request: FrontRequest): Promise<FrontAnswer> {
  const { method = "GET", target = "/", host = "a.test", fields = [], body, pieces } = request;
  const parts = pieces ?? (body === undefined ? [] : [body]);
  const length: [string, string][] =
    body === undefined ? [] : [["content-length", String(body.length)]];
  const all: [string, string][] = [
    [":method", method],
    [":scheme", "https"],
    [":path", target],
    [":authority", host],
    ...fields.map(([name, value]): [string, string] => [name.toLowerCase(), value]),
    ...length,
  ];
  const hasBody = body !== undefined || pieces !== undefined;
  wire.write(headersFrame(id, all, !hasBody));
  for (const part of parts)
    for (let at = 0; at < part.length; at += FRAME_BYTES)
      wire.write(data(id, Buffer.from(part.slice(at, at + FRAME_BYTES), "latin1")));
  if (hasBody) wire.write(data(id, "", true));
  const isLast = ({ type, stream, flags }: (typeof wire.frames)[number]): boolean =>
    type === 7 ||
    (stream === id && (type === 3 || ((type === 0 || type === 1) && (flags & 1) !== 0)));
  const last = await wire.find(isLast);
  if (!last || last.type === 3 || last.type === 7)
    throw new Error(`No answer to ${method} ${target}`);
  const heads = wire.frames
    .filter(({ type, stream }) => type === 1 && stream === id)
    .map((head) => wire.fields(head));
  const statuses = heads.map((head) => Number(head[0]?.[1]));
  const chunks = wire.frames.filter(({ type, stream }) => type === 0 && stream === id);
  return {
    status: statuses.at(-1) ?? 0,
    fields: comparable((heads.at(-1) ?? []).slice(1)),
    body: Buffer.concat(chunks.map(({ payload }) => payload)).toString("latin1"),
    interim: statuses.slice(0, -1),
  };
}

/** Sorted, repeated fields joined. */
function comparable(fields: readonly (readonly [string, string])[]): [string, string][] {
  const values = new Map<string, string>();
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    const before = values.get(lower);
    values.set(lower, before === undefined ? value : `${before}, ${value}`);
  }
  return [...values]
    .filter(([name]) => !OF_THE_CONNECTION.test(name))
    .toSorted(([one], [other]) => one.localeCompare(other));
}
