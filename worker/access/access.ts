// From the keys of a configuration to the guards of its vhosts, mounts and protocols.

import { toByteString } from "../../config/pairs.ts";
import type { MountConfig } from "../../config/mount.ts";
import type { VhostConfig } from "../../config/vhost.ts";
import type { Configuration } from "../../ipc/messages.ts";
import type { Logger } from "../../log/logger.ts";
import { createPasswordGate } from "./basic-auth.ts";
import type { Guard, PasswordGate, Rule } from "./guard.ts";
import { createPasswordChecker, type PasswordBook } from "./password-checker.ts";

export interface Access {
  /** Before requests that match no mount; undefined where everybody may. */
  guardOfVhost(vhost: VhostConfig): Guard | undefined;
  /** Before a mount; the rules of its vhost are among its own. */
  guardOfMount(vhost: VhostConfig, mount: MountConfig): Guard | undefined;
  /** Before the WebSockets of those protocols that have "basic-auth", by name. */
  gatesOfProtocols(vhost: VhostConfig): ReadonlyMap<string, PasswordGate>;
  stop(): void;
}

/** Prepares all that guards have in common. */
export function createAccess(
  { passwordFiles }: Pick<Configuration, "passwordFiles">,
  log: Logger,
): Access {
  const checker = createPasswordChecker({ log });
  const books = new Map<string, PasswordBook>(
    passwordFiles.map((file) => [file.path, checker.open(file)]),
  );

  function gateOf(
    vhost: VhostConfig,
    keys: Pick<MountConfig, "basic-auth" | "basic-auth-realm">,
  ): PasswordGate | undefined {
    const path = keys["basic-auth"];
    if (path === undefined) return undefined;
    const book = books.get(path);
    // The supervisor sends every file that is named. To go on without one would open what it closes.
    if (!book) throw new Error(`No password file "${path}" was sent`);
    return createPasswordGate(book, keys["basic-auth-realm"] ?? toByteString(vhost.name));
  }

  function rulesOf(_vhost: VhostConfig): readonly Rule[] {
    return [];
  }

  return {
    guardOfVhost: (vhost) => createGuard(rulesOf(vhost), undefined),
    guardOfMount: (vhost, mount) => createGuard(rulesOf(vhost), gateOf(vhost, mount)),
    gatesOfProtocols(vhost) {
      const gates = new Map<string, PasswordGate>();
      for (const { name, keys } of vhost["ws-protocols"]) {
        const gate = gateOf(vhost, keys);
        if (gate) gates.set(name, gate);
      }
      return gates;
    },
    stop: () => checker.stop(),
  };
}

function createGuard(
  rules: readonly Rule[],
  password: PasswordGate | undefined,
): Guard | undefined {
  return rules.length === 0 && !password ? undefined : { rules, password };
}
