// The configuration under test and what it needs: files, a program that may misbehave, certificates, and the ways to break it.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import { join } from "node:path";
import type { Ports } from "./traffic.ts";

const PAIRS = 2;
const LONG_AGO_SECS = 1_700_000_000;
const SLEEP = "/bin/sleep";
/** As whom workers and programs run where the server is root: they may neither read the key nor make a log file. */
const USER = "nobody";

/** A configuration that is wrong, and what the refusal has to name. */
export type Mistake = { readonly what: string; readonly text: string; readonly names: RegExp };

export type Changes = {
  readonly distribution?: "shared" | "balanced";
  /** A further vhost on this port. */
  readonly extraPort?: number;
};

export type Site = {
  readonly root: string;
  readonly ports: Ports;
  /** Free for what comes and goes. */
  readonly extraPort: number;
  readonly logs: string;
  /** Writes a configuration that is right. */
  configure(changes?: Changes): void;
  /** Writes the configuration as it stands, with a mistake in it. */
  breakWith(mistake: Mistake): void;
  readonly mistakes: readonly Mistake[];
  /** Puts another certificate in place of the one that is served; returns its text. */
  changeCertificate(): string;
  /** A certificate whose key has not come yet. */
  breakCertificate(): void;
};

/** Needs the openssl command. `watchdogSecs`: how long a worker may say nothing. */
export async function makeSite(root: string, watchdogSecs: number): Promise<Site> {
  const [clearPort, securePort, extraPort, takenPort] = (await freePorts(4)) as [
    number,
    number,
    number,
    number,
  ];
  chmodSync(root, 0o755);
  const conf = join(root, "etc");
  const logs = join(root, "logs");
  for (const directory of [
    conf,
    logs,
    join(root, "site"),
    join(root, "plugins"),
    join(root, "tls"),
  ])
    mkdirSync(directory);
  for (const [name, bytes] of [
    ["small", 1_000],
    ["large", 300_000],
  ] as const) {
    writeFileSync(join(root, "site", name), Buffer.alloc(bytes, "x"));
    utimesSync(join(root, "site", name), LONG_AGO_SECS, LONG_AGO_SECS);
  }
  // By a name of its own, so that one that is left behind can be told from others'.
  copyFileSync(SLEEP, join(root, "sleep"));
  writeFileSync(
    join(root, "program"),
    `#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
case $QUERY_STRING in
  endless) echo begun; ${join(root, "sleep")} 600; echo ended;;
  *) echo fine;;
esac
`,
    { mode: 0o755 },
  );
  writeFileSync(
    join(root, "plugins", "thrower.mjs"),
    'export default { name: "thrower", start() { throw new Error("This plugin throws"); } };\n',
  );
  const pairs = Array.from({ length: PAIRS }, (_, index) => makePair(join(root, "tls"), index));
  let pair = 0;
  let served: Changes = {};
  const [cert, key] = [join(root, "tls", "cert.pem"), join(root, "tls", "key.pem")];

  function vhost(
    name: string,
    port: number,
    keys: Readonly<Record<string, unknown>> = {},
  ): unknown {
    return {
      name,
      port,
      interface: "127.0.0.1",
      "access-log": join(logs, "access.log"),
      mounts: [
        { mountpoint: "/", origin: `file://${join(root, "site")}` },
        { mountpoint: "/run", origin: `cgi://${join(root, "program")}`, "cgi-timeout": 60 },
      ],
      "ws-protocols": [{ "lws-mirror-protocol": { status: "ok" } }],
      ...keys,
    };
  }
  function write(changes: Changes, keys: Readonly<Record<string, unknown>> = {}): void {
    const vhosts = [
      vhost("localhost", clearPort, keys),
      vhost("secure", securePort, { "host-ssl-cert": cert, "host-ssl-key": key }),
      ...(changes.extraPort === undefined ? [] : [vhost("extra", changes.extraPort)]),
    ];
    const global = {
      "pid-file": join(root, "pid"),
      "init-ssl": "1",
      ...(process.getuid?.() === 0 && { username: USER }),
      "plugin-dir": join(root, "plugins"),
      "watchdog-secs": watchdogSecs,
      // A busy machine takes its time, and is not what is tested.
      "ready-secs": 120,
      "cert-check-secs": 1,
      // Short, so that WebSockets see the end of their worker as well.
      "drain-secs": 3,
      distribution: changes.distribution ?? "shared",
    };
    writeFileSync(join(conf, "conf"), JSON.stringify({ global, vhosts }, undefined, 1));
  }
  function install(index: number): string {
    const [text, secret] = pairs[index % PAIRS] ?? ["", ""];
    writeFileSync(cert, text);
    writeFileSync(key, secret, { mode: 0o600 });
    return text;
  }

  install(pair);
  write(served);
  const taken = net.createServer().listen(takenPort, "127.0.0.1");
  // Never the reason to stay.
  taken.unref();
  return {
    root,
    ports: { clear: clearPort, secure: securePort },
    extraPort,
    logs,
    configure(changes = {}) {
      served = changes;
      write(served);
    },
    breakWith({ text }) {
      if (!text.startsWith("{")) return writeFileSync(join(conf, "conf"), text);
      write(served, JSON.parse(text) as Record<string, unknown>);
    },
    mistakes: [
      { what: "no JSON", text: "[{", names: /conf:1:\d+/ },
      {
        what: "an unknown origin",
        text: '{ "mounts": [{ "mountpoint": "/", "origin": "fil://x" }] }',
        names: /origin/,
      },
      {
        what: "a certificate that is missing",
        text: '{ "host-ssl-cert": "/nonexistent/cert.pem", "host-ssl-key": "/nonexistent/key.pem" }',
        names: /nonexistent/,
      },
      {
        what: "a port that another has",
        text: `{ "port": ${takenPort} }`,
        names: /EADDRINUSE|in use/,
      },
      {
        what: "a plugin that throws",
        text: '{ "ws-protocols": [{ "thrower": { "status": "ok" } }] }',
        names: /This plugin throws/,
      },
    ],
    changeCertificate: () => install((pair += 1)),
    breakCertificate: () => writeFileSync(cert, pairs[(pair + 1) % PAIRS]?.[0] ?? ""),
  };
}

function makePair(directory: string, index: number): [cert: string, key: string] {
  const [cert, key] = [join(directory, `cert-${index}.pem`), join(directory, `key-${index}.pem`)];
  const options =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost,DNS:secure";
  execFileSync("openssl", [...options.split(" "), "-keyout", key, "-out", cert], {
    stdio: "ignore",
  });
  return [readFileSync(cert, "utf8"), readFileSync(key, "utf8")];
}

async function freePorts(count: number): Promise<number[]> {
  const probes = Array.from({ length: count }, () => net.createServer().listen(0, "127.0.0.1"));
  await Promise.all(probes.map((probe) => once(probe, "listening")));
  const ports = probes.map((probe) => {
    const address = probe.address();
    return typeof address === "object" && address ? address.port : 0;
  });
  for (const probe of probes) probe.close();
  return ports;
}
