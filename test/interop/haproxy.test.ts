// A real HAProxy in front: both versions of its PROXY protocol, before HTTP and before TLS, and its X-Forwarded-For.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import tls from "node:tls";
import { certificateMaker } from "../helpers/certificates.ts";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";
import { portOf } from "../helpers/traffic.ts";
import { WHO_PLUGIN, WHO_VHOST } from "../helpers/who-plugin.ts";
import { parseReplies } from "../helpers/wire.ts";

const GET = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
/** HAProxy goes to the server from 127.0.0.1, so a client from here shows who is seen. */
const CLIENT = "127.0.0.3";

type Relay = {
  readonly mode: "tcp" | "http";
  /** 127.0.0.1 by default. */
  readonly host?: string;
  readonly port: number;
  /** Behind the server's address. */
  readonly options: string;
};

/** Runs HAProxy with a port for each relay; returns them. */
async function startHaproxy(
  t: TestContext,
  program: string,
  relays: readonly Relay[],
): Promise<number[]> {
  const ports = await Promise.all(relays.map(freePort));
  const sections = relays.map(
    ({ mode, host = "127.0.0.1", port, options }, index) =>
      `listen relay${index}
  mode ${mode}
  bind 127.0.0.1:${ports[index]}
  ${mode === "http" ? "option forwardfor" : ""}
  server one ${host}:${port} source 127.0.0.1 ${options}`,
  );
  const times = "timeout connect 5s\n  timeout client 5s\n  timeout server 5s";
  const conf = join(temporaryDirectory(t), "haproxy.cfg");
  writeFileSync(conf, `defaults\n  ${times}\n${sections.join("\n")}\n`);
  const child = spawn(program, ["-db", "-f", conf], { stdio: "ignore" });
  t.after(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  for (const port of ports) await waitUntil("HAProxy", () => canConnect(port));
  return ports;
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

async function ask(port: number, isSecure: boolean): Promise<string> {
  const raw = net.connect({ port, host: "127.0.0.1", localAddress: CLIENT });
  await once(raw, "connect");
  const socket = isSecure ? tls.connect({ socket: raw, rejectUnauthorized: false }) : raw;
  socket.write(GET);
  let received = "";
  for await (const chunk of socket) received += String(chunk);
  return parseReplies(received).replies[0]?.body ?? received;
}

test("HAProxy names its clients by send-proxy, send-proxy-v2 and X-Forwarded-For", async (t) => {
  const haproxy = needs(t, "haproxy", ["haproxy", "/usr/sbin/haproxy"]);
  if (haproxy === undefined) return;
  const pair = certificateMaker(t)?.({ names: ["secure"] });
  if (!pair) return;
  const proxied = { ...WHO_VHOST, "proxy-protocol": "127.0.0.1" };
  const portico = await startPortico(t, {
    conf: {
      global: { "plugin-dir": "plugins", "init-ssl": "1" },
      vhosts: [
        { ...proxied, name: "plain" },
        { ...proxied, name: "secure", "host-ssl-cert": "tls/crt", "host-ssl-key": "tls/key" },
        { ...WHO_VHOST, name: "forwarded", interface: "127.0.0.2", "trusted-proxies": "127.0.0.1" },
      ],
    },
    files: { "plugins/who.mjs": WHO_PLUGIN, "tls/crt": pair.cert, "tls/key": pair.key },
    workers: 1,
    // A check for a free port leaves without a header.
    expect: [/^Refused a connection/],
  });
  const [plain, secure] = [portico.port("plain"), portico.port("secure")];
  const forwarded = portico.port("forwarded");
  const ports = await startHaproxy(t, haproxy, [
    { mode: "tcp", port: plain, options: "send-proxy" },
    { mode: "tcp", port: plain, options: "send-proxy-v2" },
    { mode: "http", port: plain, options: "send-proxy-v2 proxy-v2-options crc32c,unique-id" },
    { mode: "tcp", port: secure, options: "send-proxy" },
    { mode: "tcp", port: secure, options: "send-proxy-v2" },
    // HAProxy's own checks are LOCAL: they must find the server well.
    { mode: "tcp", port: plain, options: "send-proxy-v2 check inter 200ms check-send-proxy" },
    { mode: "http", host: "127.0.0.2", port: forwarded, options: "" },
  ]);
  const expected = /^127\.0\.0\.3 \d+ (?:true|false)$/;
  for (const [index, port] of ports.entries()) {
    const isSecure = index === 3 || index === 4;
    const who = await ask(port, isSecure);
    assert.match(who, expected, String(index));
    assert.equal(who.endsWith("true"), isSecure);
  }
});
