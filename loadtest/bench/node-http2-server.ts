// What a careful program on node:http2 does: a small file from memory with validators, uploads piped into a program, a line of the
// access log for each request. Usage: node loadtest/bench/node-http2-server.ts PORT ROOT

import { spawn } from "node:child_process";
import { createWriteStream, readFileSync, statSync } from "node:fs";
import http2 from "node:http2";
import { join } from "node:path";
import { pipeline } from "node:stream";

const LOG_BYTES = 16 * 1024;
const [, , port, root = ""] = process.argv;
const path = join(root, "site", "1k.html");
const body = readFileSync(path);
const { size, mtime, ino } = statSync(path);
const headers = {
  ":status": 200,
  "content-type": "text/html; charset=utf-8",
  "accept-ranges": "bytes",
  etag: `"${ino.toString(36)}-${size.toString(36)}-${mtime.getTime().toString(36)}"`,
  "last-modified": mtime.toUTCString(),
  "cache-control": "no-cache",
  server: "node",
  "content-length": size,
};
const log = createWriteStream(join(root, "node-access.log"));
let lines = "";

const server = http2.createSecureServer({
  key: readFileSync(join(root, "key.pem")),
  cert: readFileSync(join(root, "cert.pem")),
  minVersion: "TLSv1.3",
});
server.on("stream", (stream: http2.ServerHttp2Stream, fields) => {
  stream.on("error", () => {});
  writeLine(fields);
  if (fields[":method"] === "POST") return upload(stream);
  stream.respond(headers);
  stream.end(body);
});
server.listen(Number(port), "127.0.0.1", 4096);

/** As a CGI program would have it. */
function upload(stream: http2.ServerHttp2Stream): void {
  const child = spawn(join(root, "count.cgi"), { stdio: ["pipe", "pipe", "ignore"] });
  pipeline(stream, child.stdin, () => {});
  const answer: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => answer.push(chunk));
  child.stdout.on("end", () => {
    const text = Buffer.concat(answer).toString();
    stream.respond({ ":status": 200, "content-type": "text/plain" });
    stream.end(text.slice(text.indexOf("\n\n") + 2));
  });
}

function writeLine(fields: http2.IncomingHttpHeaders): void {
  const { referer = "-", "user-agent": agent = "-" } = fields;
  lines += `127.0.0.1 - - [${new Date().toUTCString()}] "${fields[":method"]} ${fields[":path"]} HTTP/2.0" 200 ${size} "${referer}" "${agent}"\n`;
  if (lines.length < LOG_BYTES) return;
  log.write(lines);
  lines = "";
}
