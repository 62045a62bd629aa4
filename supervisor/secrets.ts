// Certificates and keys: only the supervisor reads them; workers get the bytes. Also the keys of TLS session tickets.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ConfigError, type ProvisionProblem } from "../config/problems.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { VhostConfig } from "../config/vhost.ts";
import type { VhostSecrets } from "../ipc/messages.ts";

const TICKET_KEY_BYTES = 48;

/** Keys that let any worker resume a TLS session another one began. They live in memory only. */
export function createTicketKeys(): Uint8Array {
  return randomBytes(TICKET_KEY_BYTES);
}

/** Reads the files of every TLS vhost. Throws ConfigError naming each file that cannot be read. */
export async function readSecrets(loaded: LoadedConfig): Promise<VhostSecrets[]> {
  const problems: ProvisionProblem[] = [];
  const secrets: VhostSecrets[] = [];
  for (const [index, vhost] of loaded.config.vhosts.entries()) {
    const read = async (
      key: "host-ssl-cert" | "host-ssl-key" | "host-ssl-ca",
    ): Promise<Uint8Array | undefined> => {
      const path: VhostConfig[typeof key] = vhost[key];
      if (path === undefined) return undefined;
      return readFile(path).catch((error: NodeJS.ErrnoException) => {
        problems.push({ vhost: index, path: key, message: `Cannot read "${path}": ${error.code}` });
        return undefined;
      });
    };
    const [cert, key, ca] = [
      await read("host-ssl-cert"),
      await read("host-ssl-key"),
      await read("host-ssl-ca"),
    ];
    if (cert && key) secrets.push({ vhost: index, cert, key, ca });
  }
  if (problems.length > 0) throw new ConfigError(problems.map((problem) => loaded.place(problem)));
  return secrets;
}
