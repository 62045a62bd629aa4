// Looks at the files of certificates while they are served, and hands a new pair on once it is whole and good. A file
// replaced by renaming and a symlink that points elsewhere look the same here: another inode, another time. Contents are
// compared with what is served, not with what was there at the last look, so no change slips by between a reload that
// reads the files and the first look after it.

import { X509Certificate } from "node:crypto";
import { stat } from "node:fs/promises";
import { vhostKey } from "../config/listeners.ts";
import type { ServerConfig } from "../config/server.ts";
import type { VhostSecrets } from "../ipc/messages.ts";
import type { BoardCertificate } from "../ipc/board.ts";
import type { Logger } from "../log/logger.ts";
import { createInspector, SECRET_FILES, type SecretFinding, type SecretKey } from "./secrets.ts";

const MS_PER_DAY = 86_400_000;

export type CertificateWatchOptions = {
  readonly config: ServerConfig;
  /** What is served. */
  readonly secrets: readonly VhostSecrets[];
  readonly log: Logger;
  /** Serves these from now on. */
  readonly renew: (secrets: readonly VhostSecrets[]) => void;
};

export type CertificateWatch = {
  /** Looks at every file once. Calls while a look is under way share it. */
  look(): Promise<void>;
  /** How the certificate of a vhost stands. */
  describe(vhost: number): BoardCertificate | undefined;
  /** What a look under way finds is not acted on any more. */
  stop(): void;
};

type Watched = {
  secret: VhostSecrets;
  expiresAt: number;
  /** The files as they were when they held what is served. */
  settled: string | undefined;
  /** The files as they were when they were found bad: a pair is replaced one file after the other, so the second look decides. */
  doubted: string | undefined;
  complaint: string | undefined;
};

const KEYS = Object.keys(SECRET_FILES) as SecretKey[];

/** Starts without a timer: whoever owns it calls look(). */
export function createCertificateWatch(options: CertificateWatchOptions): CertificateWatch {
  const { config, log } = options;
  const watched = new Map(
    options.secrets.map((secret): [number, Watched] => [
      secret.vhost,
      {
        secret,
        expiresAt: expiryOf(secret),
        settled: undefined,
        doubted: undefined,
        complaint: undefined,
      },
    ]),
  );
  let isStopped = false;
  let looking: Promise<void> | undefined;

  async function lookOnce(): Promise<void> {
    const stamps = createStamps();
    const inspect = createInspector(config, new Date());
    const renewed: VhostSecrets[] = [];
    for (const [index, one] of watched) {
      // Before the files are read: a change in between is for the next look.
      const stamp = await stampOf(index, stamps);
      if (one.settled === stamp) continue;
      const { secret, findings } = await inspect(index);
      if (isStopped) return;
      const faults = findings.filter(
        (finding) => finding.severity === "error" || finding.isUntimely,
      );
      if (secret && isSame(secret, one.secret)) settle(one, stamp);
      else if (secret && faults.length === 0) {
        adopt(one, secret, stamp, findings);
        renewed.push(secret);
      } else doubt(one, stamp, faults);
    }
    if (renewed.length > 0) options.renew(renewed);
  }

  function settle(one: Watched, stamp: string): void {
    one.settled = stamp;
    one.doubted = undefined;
    one.complaint = undefined;
  }

  function adopt(
    one: Watched,
    secret: VhostSecrets,
    stamp: string,
    findings: readonly SecretFinding[],
  ): void {
    one.secret = secret;
    one.expiresAt = expiryOf(secret);
    settle(one, stamp);
    const until = new Date(one.expiresAt).toISOString();
    log.info(
      { event: "certificate", vhost: keyOf(secret.vhost) },
      `New certificate of "${keyOf(secret.vhost)}" in use, valid until ${until}`,
    );
    for (const { message } of findings) log.warn(message);
  }

  function doubt(one: Watched, stamp: string, faults: readonly SecretFinding[]): void {
    const complaint = faults.map(({ message }) => message).join("; ");
    if (one.doubted === stamp && one.complaint !== complaint) {
      one.complaint = complaint;
      const key = keyOf(one.secret.vhost);
      log.warn(
        { event: "certificate", vhost: key },
        `"${key}" keeps its certificate: ${complaint}`,
      );
    }
    one.doubted = stamp;
  }

  function keyOf(index: number): string {
    const vhost = config.vhosts[index];
    return vhost ? vhostKey(vhost) : "";
  }

  async function stampOf(index: number, stamps: Stamps): Promise<string> {
    const vhost = config.vhosts[index];
    const paths = KEYS.flatMap((key) => vhost?.[key] ?? []);
    return (await Promise.all(paths.map(stamps))).join(" ");
  }

  return {
    look() {
      looking ??= lookOnce().finally(() => {
        looking = undefined;
      });
      return looking;
    },
    describe(index) {
      const one = watched.get(index);
      if (!one) return undefined;
      return {
        expiresAt: one.expiresAt,
        daysLeft: Math.floor((one.expiresAt - Date.now()) / MS_PER_DAY),
        problem: one.complaint,
      };
    },
    stop() {
      isStopped = true;
    },
  };
}

type Stamps = (path: string) => Promise<string>;

/** What tells one state of a file from another; each file is asked once. */
function createStamps(): Stamps {
  const known = new Map<string, Promise<string>>();
  return (path) => {
    const found =
      known.get(path) ??
      stat(path, { bigint: true }).then(
        ({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join(),
        (error: NodeJS.ErrnoException) => error.code ?? error.message,
      );
    known.set(path, found);
    return found;
  };
}

function isSame(one: VhostSecrets, other: VhostSecrets): boolean {
  return (["cert", "key", "ca", "ocsp"] as const).every((part) => {
    const [a, b] = [one[part], other[part]];
    return a === b || (a !== undefined && b !== undefined && Buffer.compare(a, b) === 0);
  });
}

function expiryOf({ cert }: VhostSecrets): number {
  return new X509Certificate(cert).validToDate.getTime();
}
