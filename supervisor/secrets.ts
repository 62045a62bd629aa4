// Certificates and keys: only the supervisor reads them, and looks at them before anything is touched; workers get the
// bytes.

import { createSecureContext } from "node:tls";
import type { LoadedConfig } from "../config/load.ts";
import { ConfigError, sortProblems, type Problem, type Severity } from "../config/problems.ts";
import type { ServerConfig } from "../config/server.ts";
import { tlsSettings } from "../config/tls-settings.ts";
import type { VhostSecrets } from "../ipc/messages.ts";
import { inspectPair } from "./certificates.ts";
import { readStaple } from "./ocsp.ts";
import { readRegularFile } from "./regular-file.ts";

/** The keys that name files, and what messages call those. */
export const SECRET_FILES = {
  "host-ssl-cert": "The certificate",
  "host-ssl-key": "The private key",
  "host-ssl-ca": "The file of authorities",
  "ocsp-staple": "The OCSP response",
} as const;
export type SecretKey = keyof typeof SECRET_FILES;

export type SecretFinding = {
  readonly key: SecretKey;
  readonly severity: Severity;
  readonly message: string;
  /** It would be served, but at another time. */
  readonly isUntimely: boolean;
};

/** What the files of one vhost hold. */
export type Inspected = {
  /** Undefined when an error keeps it from being served, or it has no TLS. */
  readonly secret: VhostSecrets | undefined;
  readonly findings: readonly SecretFinding[];
};

export type ReadSecrets = {
  readonly secrets: readonly VhostSecrets[];
  /** Certificates that are served although clients will refuse them: expired, or for other names. */
  readonly remarks: readonly Problem[];
};

/** Reads and checks the files of every TLS vhost. Throws ConfigError with everything that keeps one from being served. */
export async function readSecrets(loaded: LoadedConfig, now = new Date()): Promise<ReadSecrets> {
  const problems: Problem[] = [];
  const secrets: VhostSecrets[] = [];
  const inspect = createInspector(loaded.config, now);
  for (const vhost of loaded.config.vhosts.keys()) {
    const { secret, findings } = await inspect(vhost);
    for (const { key, severity, message } of findings)
      problems.push(loaded.place({ vhost, path: key, message }, severity));
    if (secret) secrets.push(secret);
  }
  const errors = problems.filter((problem) => problem.severity === "error");
  const remarks = sortProblems(problems.filter((problem) => problem.severity !== "error"));
  if (errors.length > 0) throw new ConfigError(sortProblems(errors), remarks);
  return { secrets, remarks };
}

/** Reads and checks one vhost after the other; each file, and each combination of them, once. */
export function createInspector(
  config: ServerConfig,
  now: Date,
): (vhost: number) => Promise<Inspected> {
  const files = createFileReader();
  const tried = new Map<string, string | undefined>();

  return async (index) => {
    const vhost = config.vhosts[index];
    const findings: SecretFinding[] = [];
    if (!vhost) return { secret: undefined, findings };
    const say = (key: SecretKey, severity: Severity, says: string, isUntimely = false): void => {
      const message = `${SECRET_FILES[key]} ${JSON.stringify(vhost[key])} ${says}`;
      findings.push({ key, severity, message, isUntimely });
    };
    const read = async (key: SecretKey): Promise<Buffer | undefined> => {
      const path = vhost[key];
      const found = path === undefined ? undefined : await files(path);
      if (typeof found !== "string") return found;
      say(key, "error", `cannot be read: ${found}`);
      return undefined;
    };
    const cert = await read("host-ssl-cert");
    const key = await read("host-ssl-key");
    const ca = await read("host-ssl-ca");
    const ocsp = await read("ocsp-staple");
    if (!cert || !key) return { secret: undefined, findings };
    const texts = {
      "host-ssl-cert": cert.toString("latin1"),
      "host-ssl-key": key.toString("latin1"),
      "host-ssl-ca": ca?.toString("latin1"),
    };
    for (const found of inspectPair(texts, vhost.name, now))
      say(found.key, found.severity, found.says, found.isUntimely);
    inspectStaple(ocsp, now, (severity, says) => say("ocsp-staple", severity, says, true));
    const hasFailed = (): boolean => findings.some(({ severity }) => severity === "error");
    if (!hasFailed()) {
      const settings = tlsSettings(vhost, config.global);
      const paths = [vhost["host-ssl-cert"], vhost["host-ssl-key"], vhost["host-ssl-ca"]];
      const identity = JSON.stringify([paths, settings]);
      if (!tried.has(identity)) tried.set(identity, contextFault({ ...settings, cert, key, ca }));
      const fault = tried.get(identity);
      if (fault !== undefined) say("host-ssl-cert", "error", `is of no use to OpenSSL: ${fault}`);
    }
    return { secret: hasFailed() ? undefined : { vhost: index, cert, key, ca, ocsp }, findings };
  };
}

/** An expired response would make clients that look at it refuse the certificate, so it is better to have none. */
function inspectStaple(
  ocsp: Buffer | undefined,
  now: Date,
  say: (severity: Severity, says: string) => void,
): void {
  if (!ocsp) return;
  const staple = readStaple(ocsp);
  if (typeof staple === "string") say("error", staple);
  else if (now < staple.thisUpdate) say("error", "is not valid yet");
  else if (staple.nextUpdate && now > staple.nextUpdate) say("error", "is out of date");
}

/** What parses may still be refused, such as a key that is too short. */
function contextFault({
  cert,
  key,
  ca,
  ...settings
}: ReturnType<typeof tlsSettings> & {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | undefined;
}): string | undefined {
  try {
    const { ALPNProtocols: _negotiated, ...options } = settings;
    createSecureContext({ ...options, cert, key, ...(ca && { ca }) });
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** A certificate with its chain, a key or a list of authorities; that of all authorities of the web has 220 KB. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Reads each file once: many vhosts may share one certificate. A string is the code of the error. */
function createFileReader(): (path: string) => Promise<Buffer | string> {
  const known = new Map<string, Promise<Buffer | string>>();
  return (path) => {
    const reading =
      known.get(path) ??
      readRegularFile(path, MAX_FILE_BYTES).catch(
        (error: NodeJS.ErrnoException) => error.code ?? error.message,
      );
    known.set(path, reading);
    return reading;
  };
}
