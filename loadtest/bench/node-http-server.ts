// What a careful program on node:http does for a small file: the bytes in memory, validators, a line of the access log.
// Usage: node loadtest/bench/node-http-server.ts PORT DIRECTORY LOG

import { createWriteStream, readFileSync, statSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";

const LOG_BYTES = 16 * 1024;
const [, , port, directory = "", logFile = ""] = process.argv;
const path = join(directory, "1k.html");
const body = readFileSync(path);
const { size, mtime, ino } = statSync(path);
const headers = {
  "Content-Type": "text/html; charset=utf-8",
  "Accept-Ranges": "bytes",
  ETag: `"${ino.toString(36)}-${size.toString(36)}-${mtime.getTime().toString(36)}"`,
  "Last-Modified": mtime.toUTCString(),
  "Cache-Control": "no-cache",
  Server: "node",
  "Content-Length": size,
};
const log = createWriteStream(logFile);
let lines = "";

http
  .createServer({ noDelay: true, keepAliveTimeout: 60_000 }, (request, response) => {
    if (request.url !== "/1k.html") return void response.writeHead(404).end();
    response.writeHead(200, headers).end(body);
    const { referer = "-", "user-agent": agent = "-" } = request.headers;
    lines += `${request.socket.remoteAddress} - - [${new Date().toUTCString()}] "${request.method} ${request.url} HTTP/${request.httpVersion}" 200 ${size} "${referer}" "${agent}"\n`;
    if (lines.length < LOG_BYTES) return;
    log.write(lines);
    lines = "";
  })
  .listen(Number(port), "127.0.0.1", 4096);
