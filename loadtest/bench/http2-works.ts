// The work of HTTP/2 that is compared: what h2load does, with whom we compare, and the bars.

export type Http2Contender = "portico" | "nginx" | "node:http2";

export type Http2Work = {
  /** As `--rows` takes it. */
  readonly key: string;
  readonly name: string;
  readonly path: string;
  /** Of the answer to GET; undefined for an upload, whose answer is the number of its bytes. */
  readonly bytes: number | undefined;
  /** Where {upload} is the file to send. */
  readonly h2load: readonly string[];
  /** The first is us. */
  readonly contenders: readonly Http2Contender[];
  /** Least requests per second of CPU time, as a part of theirs. */
  readonly bars: Readonly<Partial<Record<Http2Contender, number>>>;
};

export const UPLOAD_BYTES = 10 * 2 ** 20;
/** Of idle connections: at most as much memory as node:http2 takes for one. */
export const IDLE_BAR = 1;

const SMALL = { path: "/1k.html", bytes: 1024 };

export const http2Works: readonly Http2Work[] = [
  {
    ...SMALL,
    key: "streams",
    name: "1 KB file, 16 connections of 16 streams",
    h2load: ["-n100000", "-c16", "-m16"],
    contenders: ["portico", "nginx", "node:http2"],
    bars: { nginx: 2, "node:http2": 5 },
  },
  {
    ...SMALL,
    key: "connections",
    name: "1 KB file, 64 connections of 1 stream",
    h2load: ["-n60000", "-c64", "-m1"],
    contenders: ["portico", "nginx", "node:http2"],
    bars: { nginx: 0.85 },
  },
  {
    key: "100k",
    name: "100 KB file, 16 connections of 16 streams",
    path: "/100k.html",
    bytes: 100 * 1024,
    h2load: ["-n6000", "-c16", "-m16"],
    contenders: ["portico", "nginx"],
    bars: { nginx: 0.6 },
  },
  {
    key: "100m",
    name: "100 MB file, 4 times after each other",
    path: "/100m.bin",
    bytes: 100 * 2 ** 20,
    h2load: ["-n4", "-c1", "-m1"],
    contenders: ["portico", "nginx"],
    bars: { nginx: 0.6 },
  },
  {
    key: "uploads",
    name: "100 uploads of 10 MB to a CGI program, 10 at a time",
    path: "/count",
    bytes: undefined,
    h2load: ["-n100", "-c2", "-m5", "-d", "{upload}"],
    contenders: ["portico", "node:http2"],
    bars: { "node:http2": 0.8 },
  },
];
