// TLS vhosts on one port for tests from outside, and clients that tell what came of it.

import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import tls from "node:tls";
import type { Pair } from "../helpers/certificates.ts";

export type TlsVhostConf = {
  readonly name: string;
  readonly pair: Pair;
  readonly keys?: Readonly<Record<string, unknown>>;
};

export type TlsSite = {
  readonly conf: { global: Record<string, unknown>; vhosts: unknown[] };
  readonly files: Record<string, string | Buffer>;
};

/** A configuration of vhosts on one port, each with a page that has its name, and a CGI program that prints its environment. */
export function tlsSite(
  vhosts: readonly TlsVhostConf[],
  global: Readonly<Record<string, unknown>> = {},
): TlsSite {
  const files: Record<string, string | Buffer> = {
    "env.cgi":
      "#!/bin/sh\nprintf 'Content-Type: text/plain\\nStrict-Transport-Security: max-age=1\\n\\n'\nexec env\n",
  };
  const confs = vhosts.map(({ name, pair, keys }) => {
    files[`tls/${name}.crt`] = pair.cert;
    files[`tls/${name}.key`] = pair.key;
    files[`site/${name}/index.html`] = `page of ${name}`;
    return {
      name,
      port: 0,
      interface: "127.0.0.1",
      "host-ssl-cert": `tls/${name}.crt`,
      "host-ssl-key": `tls/${name}.key`,
      mounts: [
        { mountpoint: "/", origin: `file://./site/${name}` },
        { mountpoint: "/env", origin: "cgi://./env.cgi" },
      ],
      ...keys,
    };
  });
  return { conf: { global: { "init-ssl": "1", ...global }, vhosts: confs }, files };
}

export type Answer = {
  /** The whole answer, "" where none came. */
  readonly text: string;
  readonly status: number;
  /** Common name of the certificate shown. */
  readonly certificate: string;
  readonly isResumed: boolean;
  readonly session: Buffer | undefined;
};

/** One request on a connection of its own. Rejects where the handshake fails on the client's side. */
export async function askTls(
  port: number,
  options: tls.ConnectionOptions & { readonly host?: string; readonly path?: string } = {},
): Promise<Answer> {
  const { host = options.servername ?? "localhost", path = "/", ...connection } = options;
  const socket = tls.connect({ ...connection, port, host: "127.0.0.1", rejectUnauthorized: false });
  let session: Buffer | undefined;
  socket.on("session", (found) => (session = found));
  await once(socket, "secureConnect");
  const isResumed = socket.isSessionReused();
  const certificate = String(socket.getPeerCertificate().subject?.CN ?? "");
  socket.end(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return {
    text,
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0),
    certificate,
    isResumed,
    session,
  };
}

/** Runs openssl with input; its output and what it says, whether it fails or not. */
export function openssl(args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile("openssl", args, { timeout: 20_000 }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

/** Writes what openssl reads from files. */
export function place(directory: string, name: string, content: string): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

/** A response of an authority that vouches for a certificate, DER. */
export function ocspResponse(directory: string, authority: Pair, cert: string, days = 2): Buffer {
  const file = (name: string, content: string) => place(directory, name, content);
  const serial = execFileSync("openssl", ["x509", "-noout", "-serial"], { input: cert })
    .toString()
    .trim()
    .replace("serial=", "");
  const [ca, key] = [file("ca.crt", authority.cert), file("ca.key", authority.key)];
  const index = file("index", `V\t491231235959Z\t\t${serial}\tunknown\t/CN=x\n`);
  const out = join(directory, "staple.der");
  const common = ["-CA", ca, "-index", index, "-rsigner", ca, "-rkey", key, "-ndays", String(days)];
  const request = join(directory, "request.der");
  execFileSync(
    "openssl",
    ["ocsp", "-issuer", ca, "-cert", file("own.crt", cert), "-no_nonce", "-reqout", request],
    { stdio: "ignore" },
  );
  execFileSync("openssl", ["ocsp", ...common, "-reqin", request, "-respout", out], {
    stdio: "ignore",
  });
  return execFileSync("cat", [out]);
}
