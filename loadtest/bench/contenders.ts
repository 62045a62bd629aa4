// Starts the servers of the comparison: the same files, one worker unless its name says otherwise, an access log in Apache's
// combined format that is collected in memory and written 16 KB at a time, no compression, one cipher and one key exchange.

import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launchNginx, launchPortico, watch, type Server } from "./servers.ts";
import type { Contender } from "./works.ts";

const NODE_HTTP = fileURLToPath(new URL("node-http-server.ts", import.meta.url));
const SUITE = "TLS_AES_128_GCM_SHA256";
const GROUP = "X25519";

export type Ports = { readonly plain: number; readonly secure: number };

const ports: Readonly<Record<Contender, Ports>> = {
  portico: { plain: 18_081, secure: 18_441 },
  nginx: { plain: 18_082, secure: 18_442 },
  "node:http": { plain: 18_083, secure: 0 },
  "portico, 2 workers": { plain: 18_084, secure: 18_444 },
};

export function urlOf(contender: Contender, path: string, secure: boolean): string {
  const { plain, secure: encrypted } = ports[contender];
  return secure ? `https://127.0.0.1:${encrypted}${path}` : `http://127.0.0.1:${plain}${path}`;
}

/** Makes the certificate that all of them show. */
export function makeCertificate(root: string): void {
  const args = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -keyout ${root}/key.pem -out ${root}/cert.pem`;
  execFileSync("openssl", args.split(" "), { stdio: "ignore" });
}

export function startContender(root: string, contender: Contender): Promise<Server> {
  const { plain, secure } = ports[contender];
  if (contender === "nginx") return launchNginx(root, plain, nginxConf(root, plain, secure));
  if (contender === "node:http") {
    const args = [NODE_HTTP, String(plain), join(root, "site"), join(root, "node-access.log")];
    const stdio = ["ignore", "ignore", "inherit"] as const;
    return watch(contender, plain, spawn(process.execPath, args, { stdio: [...stdio] }));
  }
  const workers = contender === "portico" ? 1 : 2;
  const common = {
    name: "localhost",
    interface: "127.0.0.1",
    keepalive_timeout: 60,
    "access-log": join(root, `portico-${workers}-access.log`),
    mounts: [{ mountpoint: "/", origin: `file://${join(root, "site")}`, compress: "off" }],
  };
  const encrypted = {
    "host-ssl-cert": join(root, "cert.pem"),
    "host-ssl-key": join(root, "key.pem"),
    "tls13-ciphers": SUITE,
    "ecdh-curve": GROUP,
  };
  const vhosts = [
    { ...common, port: plain },
    { ...common, port: secure, ...encrypted },
  ];
  return launchPortico(root, plain, { global: { "init-ssl": "1" }, vhosts }, workers);
}

function nginxConf(root: string, plain: number, secure: number): string {
  return `access_log ${root}/nginx-access.log combined buffer=16k flush=1s;
  keepalive_requests 1000000000; keepalive_timeout 60; sendfile on; tcp_nopush on;
  open_file_cache max=1000; open_file_cache_valid 1s; types { text/html html; }
  root ${root}/site;
  server { listen 127.0.0.1:${plain} backlog=4096; }
  server { listen 127.0.0.1:${secure} ssl backlog=4096;
    ssl_certificate ${root}/cert.pem; ssl_certificate_key ${root}/key.pem;
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites ${SUITE}; ssl_ecdh_curve ${GROUP}; }`;
}
