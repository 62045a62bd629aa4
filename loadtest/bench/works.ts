// The work that is compared: what is asked, of whom, and how good we want to be at it.

export type Contender = "portico" | "nginx" | "node:http" | "portico, 2 workers";

export type Work = {
  /** As `--rows` takes it. */
  readonly key: string;
  readonly name: string;
  readonly path: string;
  readonly secure: boolean;
  readonly connections: number;
  readonly headers: readonly string[];
  /** Instead of `path`, which is one of them, all pages are asked for in turn. */
  readonly asksAllPages?: boolean;
  readonly status: number;
  /** Of the body. */
  readonly bytes: number;
  /** The first is us; the ratio is to the second. */
  readonly contenders: readonly Contender[];
  /** Least requests per second of CPU time, as a part of the second contender's. */
  readonly bar?: number;
  readonly goal?: number;
  /** The same for the latency of the slowest 1 %, at most. */
  readonly p99Bar?: number;
  readonly p99Goal?: number;
  /** Why it is less than theirs, should it be. */
  readonly reason?: string;
};

/** Files of 1 KB: page-0.html and so on. */
export const PAGES = 64;
/** Modification time of all files. */
export const LONG_AGO_SECS = 1_700_000_000;

/** What Chromium sends for a page. Nobody compresses here: both send the same bytes. */
const BROWSER = [
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
  "Cache-Control: max-age=0",
  "Referer: http://localhost/index.html",
  'Sec-CH-UA: "Chromium";v="142", "Not_A Brand";v="99"',
  "Sec-CH-UA-Mobile: ?0",
  'Sec-CH-UA-Platform: "Linux"',
  "Sec-Fetch-Dest: document",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-Site: same-origin",
  "Sec-Fetch-User: ?1",
  "Upgrade-Insecure-Requests: 1",
];

const SMALL = {
  path: "/1k.html",
  secure: false,
  connections: 64,
  headers: [],
  status: 200,
  bytes: 1024,
} satisfies Partial<Work>;

const PER_REQUEST =
  "Both make the same two system calls; what is left is JavaScript: reading the head, finding the file, a line for the log.";

export const works: readonly Work[] = [
  {
    ...SMALL,
    key: "small",
    name: "1 KB file, kept connections",
    contenders: ["portico", "nginx", "node:http"],
    bar: 0.95,
    goal: 1.1,
    p99Bar: 2.5,
    p99Goal: 1.5,
    reason: PER_REQUEST,
  },
  {
    ...SMALL,
    key: "browser",
    name: "1 KB file, headers of a browser",
    headers: BROWSER,
    contenders: ["portico", "nginx"],
    bar: 0.95,
    goal: 1.1,
    p99Bar: 2.5,
    p99Goal: 1.5,
    reason: `Fourteen more fields are checked byte by byte in JavaScript. ${PER_REQUEST}`,
  },
  {
    ...SMALL,
    key: "pages",
    name: `${PAGES} pages of 1 KB in turn, headers of a browser`,
    path: "/page-0.html",
    headers: BROWSER,
    asksAllPages: true,
    contenders: ["portico", "nginx"],
    bar: 0.95,
    goal: 1.1,
    reason: PER_REQUEST,
  },
  {
    ...SMALL,
    key: "tls",
    name: "1 KB file over TLS 1.3",
    secure: true,
    contenders: ["portico", "nginx"],
    bar: 0.85,
    goal: 1,
    reason: "Each record costs a call into OpenSSL beside what a request costs in clear.",
  },
  {
    ...SMALL,
    key: "304",
    name: "304 to If-Modified-Since",
    headers: [`If-Modified-Since: ${new Date(LONG_AGO_SECS * 1000).toUTCString()}`],
    status: 304,
    bytes: 0,
    contenders: ["portico", "nginx"],
    bar: 0.95,
    goal: 1.1,
    reason: PER_REQUEST,
  },
  {
    ...SMALL,
    key: "100k",
    name: "100 KB file",
    path: "/100k.html",
    bytes: 100 * 1024,
    contenders: ["portico", "nginx"],
    bar: 0.6,
    goal: 0.8,
    reason:
      "It is written from memory, a copy into the kernel; nginx has the kernel send its own pages of the file.",
  },
  {
    ...SMALL,
    key: "10m",
    name: "10 MB file",
    path: "/10m.html",
    connections: 16,
    bytes: 10 * 1024 * 1024,
    contenders: ["portico", "nginx"],
    bar: 0.33,
    reason:
      "Both have the kernel send its own pages. libuv does not tell when a socket can take more, so a small piece is written the ordinary way each time it is full, and its callback tells; each answer passes through Node's parser and streams besides, with an open and a close of the file.",
  },
  {
    ...SMALL,
    key: "connect",
    name: "1 KB file, a connection each",
    headers: ["Connection: close"],
    contenders: ["portico", "nginx"],
    bar: 0.65,
    goal: 0.8,
    reason:
      "The system calls are the same; the objects that stand for a connection are made and collected each time.",
  },
  {
    ...SMALL,
    key: "workers",
    name: "1 KB file, two workers against one",
    contenders: ["portico, 2 workers", "portico"],
  },
];
