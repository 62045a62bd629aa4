// Certificates and keys: only the supervisor reads them, and looks at them before anything is touched; workers get the
// bytes. Also the keys of TLS session tickets.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { LoadedConfig } from "../config/load.ts";
import { ConfigError, sortProblems, type Problem } from "../config/problems.ts";
import type { VhostSecrets } from "../ipc/messages.ts";
import { inspectPair } from "./certificates.ts";

const TICKET_KEY_BYTES = 48;

const FILES = {
  "host-ssl-cert": "The certificate",
  "host-ssl-key": "The private key",
  "host-ssl-ca": "The file of authorities",
} as const;
type FileKey = keyof typeof FILES;

export type ReadSecrets = {
  readonly secrets: readonly VhostSecrets[];
  /** Certificates that are served although clients will refuse them: expired, or for other names. */
  readonly remarks: readonly Problem[];
};

/** Keys that let any worker resume a TLS session another one began. They live in memory only. */
export function createTicketKeys(): Uint8Array {
  return randomBytes(TICKET_KEY_BYTES);
}

/** Reads and checks the files of every TLS vhost. Throws ConfigError with everything that keeps one from being served. */
export async function readSecrets(loaded: LoadedConfig, now = new Date()): Promise<ReadSecrets> {
  const problems: Problem[] = [];
  const secrets: VhostSecrets[] = [];
  const files = createFileReader();
  for (const [index, vhost] of loaded.config.vhosts.entries()) {
    const say = (path: FileKey, severity: Problem["severity"], says: string): void => {
      const message = `${FILES[path]} ${JSON.stringify(vhost[path])} ${says}`;
      problems.push(loaded.place({ vhost: index, path, message }, severity));
    };
    const read = async (key: FileKey): Promise<Buffer | undefined> => {
      const path = vhost[key];
      const found = path === undefined ? undefined : await files(path);
      if (typeof found !== "string") return found;
      say(key, "error", `cannot be read: ${found}`);
      return undefined;
    };
    const cert = await read("host-ssl-cert");
    const key = await read("host-ssl-key");
    const ca = await read("host-ssl-ca");
    if (!cert || !key) continue;
    const texts = {
      "host-ssl-cert": cert.toString("latin1"),
      "host-ssl-key": key.toString("latin1"),
      "host-ssl-ca": ca?.toString("latin1"),
    };
    for (const finding of inspectPair(texts, vhost.name, now))
      say(finding.key, finding.severity, finding.says);
    secrets.push({ vhost: index, cert, key, ca });
  }
  const errors = problems.filter((problem) => problem.severity === "error");
  const remarks = sortProblems(problems.filter((problem) => problem.severity !== "error"));
  if (errors.length > 0) throw new ConfigError(sortProblems(errors), remarks);
  return { secrets, remarks };
}

/** Reads each file once: many vhosts may share one certificate. A string is the code of the error. */
function createFileReader(): (path: string) => Promise<Buffer | string> {
  const known = new Map<string, Promise<Buffer | string>>();
  return (path) => {
    const reading =
      known.get(path) ??
      readFile(path).catch((error: NodeJS.ErrnoException) => error.code ?? error.message);
    known.set(path, reading);
    return reading;
  };
}
