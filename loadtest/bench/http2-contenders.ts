// The servers that HTTP/2 is compared on: one worker each, TLS 1.3 with one cipher and one key exchange, the same files, an access log
// in Apache's combined format that is written 16 KB at a time.

import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launchNginx, launchPortico, watch, type Server } from "./servers.ts";
import { UPLOAD_BYTES, type Http2Contender } from "./http2-works.ts";
import { LONG_AGO_SECS } from "./works.ts";

const NODE_HTTP2 = fileURLToPath(new URL("node-http2-server.ts", import.meta.url));
const SUITE = "TLS_AES_128_GCM_SHA256";
const GROUP = "X25519";

const ports: Readonly<Record<Http2Contender, number>> = {
  portico: 19_443,
  nginx: 19_444,
  "node:http2": 19_445,
};

/** Makes the files all servers serve and the CGI program; returns the file to upload. */
export function makeHttp2Site(root: string): string {
  const site = join(root, "site");
  mkdirSync(site, { recursive: true });
  for (const [name, bytes] of [
    ["1k.html", 1024],
    ["100k.html", 100 * 1024],
    ["100m.bin", 100 * 2 ** 20],
  ] as const) {
    writeFileSync(join(site, name), Buffer.alloc(bytes, "x"));
    utimesSync(join(site, name), LONG_AGO_SECS, LONG_AGO_SECS);
  }
  const program = join(root, "count.cgi");
  writeFileSync(program, "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nexec wc -c\n");
  chmodSync(program, 0o755);
  const upload = join(root, "upload.bin");
  writeFileSync(upload, Buffer.alloc(UPLOAD_BYTES, "x"));
  return upload;
}

export function startHttp2Contender(root: string, contender: Http2Contender): Promise<Server> {
  const port = ports[contender];
  switch (contender) {
    case "portico":
      return startPortico(root, port);
    case "nginx":
      return launchNginx(root, port, nginxConf(root, port));
    case "node:http2": {
      const stdio = ["ignore", "ignore", "inherit"] as const;
      const args = [NODE_HTTP2, String(port), root];
      return watch(contender, port, spawn(process.execPath, args, { stdio: [...stdio] }));
    }
  }
}

function startPortico(root: string, port: number): Promise<Server> {
  const vhost = {
    name: "localhost",
    port,
    interface: "127.0.0.1",
    keepalive_timeout: 60,
    "host-ssl-cert": join(root, "cert.pem"),
    "host-ssl-key": join(root, "key.pem"),
    "tls13-ciphers": SUITE,
    "ecdh-curve": GROUP,
    "access-log": join(root, "portico-access.log"),
    mounts: [
      { mountpoint: "/", origin: `file://${join(root, "site")}`, compress: "off" },
      { mountpoint: "/count", origin: `cgi://${join(root, "count.cgi")}`, "max-body-bytes": 0 },
    ],
  };
  return launchPortico(root, port, { global: { "init-ssl": "1" }, vhosts: [vhost] });
}

function nginxConf(root: string, port: number): string {
  return `access_log ${root}/nginx-access.log combined buffer=16k flush=1s;
  keepalive_requests 1000000000; keepalive_timeout 60; sendfile on; tcp_nopush on;
  open_file_cache max=1000; open_file_cache_valid 1s; types { text/html html; }
  root ${root}/site;
  server { listen 127.0.0.1:${port} ssl http2 backlog=4096;
    ssl_certificate ${root}/cert.pem; ssl_certificate_key ${root}/key.pem;
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites ${SUITE}; ssl_ecdh_curve ${GROUP}; }`;
}
