// A CGI mount behind a real HTTP server, with the script of the test as its program.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import type { TestContext } from "node:test";
import type { MountConfig } from "../../../../config/mount.ts";
import type { HeaderPair, VhostConfig } from "../../../../config/vhost.ts";
import { createLogger } from "../../../../log/logger.ts";
import type { CgiCounters } from "../../../../worker/counters.ts";
import { HttpError, type Exchange } from "../../../../worker/http/exchange.ts";
import type { Mount } from "../../../../worker/mount.ts";
import { createCgiMount } from "../../../../worker/mounts/cgi/cgi.ts";
import { cgiLimits, type CgiLimits } from "../../../../worker/mounts/cgi/limits.ts";

export type CgiServer = {
  readonly url: string;
  readonly port: number;
  /** Where the script is. */
  readonly directory: string;
  readonly program: string;
  readonly mount: Mount;
  readonly counters: CgiCounters;
  /** What was logged, as JSON objects. */
  readonly log: readonly Record<string, unknown>[];
  readonly refusals: readonly string[];
};

export type CgiServerOptions = {
  readonly config?: Partial<MountConfig>;
  readonly limits?: Partial<CgiLimits>;
  readonly otherMounts?: readonly MountConfig[];
  /** Instead of a script. */
  readonly program?: string;
};

/** Serves `script` (a whole file, or the lines of a shell script) under the mountpoint. */
export async function serveCgi(
  t: TestContext,
  script: string,
  options: CgiServerOptions = {},
): Promise<CgiServer> {
  const directory = mkdtempSync(join(tmpdir(), "portico-cgi-"));
  const program = options.program ?? join(directory, "program");
  if (options.program === undefined) {
    writeFileSync(program, script.startsWith("#!") ? script : `#!/bin/sh\n${script}\n`);
    chmodSync(program, 0o755);
  }
  const config = mountConfig({ origin: { scheme: "cgi", program }, ...options.config });
  const counters = { cgiStarted: 0, cgiFailed: 0, cgiTimedOut: 0, cgiAlive: 0 };
  const log: Record<string, unknown>[] = [];
  const refusals: string[] = [];
  const mount = await createCgiMount(
    {
      vhost: vhostConfig([config, ...(options.otherMounts ?? [])]),
      config,
      origin: { scheme: "cgi", program },
      log: await createLogger({
        name: "test",
        destination: { write: (line) => void log.push(JSON.parse(line)) },
      }),
      cgiCounters: counters,
      protocol: () => undefined,
      refuse: (key, message) => void refusals.push(`${key}: ${message}`),
    },
    { ...cgiLimits, ...options.limits },
  );
  const server = createServer((request, response) => {
    const exchange = new PlainExchange(request, response);
    const rest = exchange.path.slice(config.mountpoint === "/" ? 0 : config.mountpoint.length);
    Promise.resolve(mount.handle(exchange, rest)).catch((error: unknown) => exchange.fail(error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  t.after(async () => {
    mount.stop?.();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true, force: true });
  });
  const url = `http://127.0.0.1:${port}${config.mountpoint === "/" ? "" : config.mountpoint}`;
  return { url, port, directory, program, mount, counters, log, refusals };
}

/** A mount with every key at a plain value. */
export function mountConfig(config: Partial<MountConfig>): MountConfig {
  return {
    mountpoint: "/run",
    origin: { scheme: "file", directory: "/" },
    default: "index.html",
    headers: [],
    "extra-mimetypes": {},
    "cache-max-age": 0,
    "cache-reuse": false,
    "cache-revalidate": false,
    "cache-intermediaries": false,
    "cache-no": false,
    "cgi-timeout": 10,
    "cgi-env": [],
    "append-path": false,
    "exact-match": false,
    pmo: {},
    path: "mounts[0]",
    ...config,
  };
}

function vhostConfig(mounts: readonly MountConfig[]): VhostConfig {
  return {
    name: "localhost",
    port: 0,
    "unix-socket": false,
    noipv6: true,
    sts: false,
    keepalive_timeout: 5,
    headers: [],
    mounts,
    "ws-protocols": [],
    where: { file: "conf.d/test", path: "vhosts[0]" },
  };
}

/** The least that makes a request of node:http an Exchange. */
class PlainExchange implements Exchange {
  readonly method: string;
  readonly target: string;
  readonly path: string;
  readonly query: string | undefined;
  readonly version: "1.0" | "1.1";
  readonly fields: readonly HeaderPair[];
  readonly authority: string | undefined;
  readonly host: string;
  readonly secure = false;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly bodyBytes: number | undefined;
  readonly body: IncomingMessage;
  readonly #response: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    const [path = "", ...query] = (request.url ?? "/").split("?");
    this.method = request.method ?? "";
    this.target = request.url ?? "/";
    this.path = Buffer.from(unescape(path), "latin1").toString("latin1");
    this.query = query.length === 0 ? undefined : query.join("?");
    this.version = request.httpVersion === "1.0" ? "1.0" : "1.1";
    this.fields = pairs(request.rawHeaders);
    this.authority = request.headers.host;
    this.host = (request.headers.host ?? "localhost").replace(/:\d+$/, "").toLowerCase();
    this.remoteAddress = request.socket.remoteAddress ?? "";
    this.remotePort = request.socket.remotePort ?? 0;
    this.localAddress = request.socket.localAddress ?? "";
    this.localPort = request.socket.localPort ?? 0;
    const length = request.headers["content-length"] ?? "0";
    this.bodyBytes = "transfer-encoding" in request.headers ? undefined : Number(length);
    this.body = request;
    this.#response = response;
  }

  header(name: string): string | undefined {
    const values = this.fields.filter(([sent]) => sent.toLowerCase() === name);
    if (values.length === 0) return undefined;
    return values.map(([, value]) => value).join(name === "cookie" ? "; " : ", ");
  }
  send(status: number, headers: readonly HeaderPair[], body: Uint8Array | string = ""): void {
    const length: HeaderPair = ["Content-Length", String(Buffer.byteLength(body))];
    this.#response.writeHead(status, [...headers, length].flat());
    this.#response.end(body);
  }
  stream(status: number, headers: readonly HeaderPair[]): Writable {
    return this.#response.writeHead(status, headers.flat());
  }
  fail(error: unknown): void {
    const refusal = error instanceof HttpError ? error : new HttpError(500, String(error));
    if (this.#response.headersSent) this.abort(refusal.message);
    else this.send(refusal.status, refusal.headers, refusal.message);
  }
  abort(_reason: string): void {
    this.#response.destroy();
  }
  onAbort(callback: () => void): void {
    this.#response.once("close", () => {
      if (!this.#response.writableFinished) callback();
    });
  }
}

function pairs(rawHeaders: readonly string[]): HeaderPair[] {
  return rawHeaders.flatMap((name, at) => (at % 2 ? [] : [[name, rawHeaders[at + 1] ?? ""]]));
}
