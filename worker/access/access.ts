// From the keys of a configuration to the guards of its vhosts, mounts and protocols.

import { toByteString } from "../../config/pairs.ts";
import type { MountConfig } from "../../config/mount.ts";
import type { VhostConfig } from "../../config/vhost.ts";
import type { Configuration } from "../../ipc/messages.ts";
import type { WorkerCounters } from "../../ipc/stats.ts";
import type { Logger } from "../../log/logger.ts";
import { createAddressRule } from "./address-rules.ts";
import { createPasswordGate } from "./basic-auth.ts";
import { ANYBODY, type Guard, type PasswordGate, type Rule } from "./guard.ts";
import { createKeywordRule } from "./keyword-rule.ts";
import { createPasswordChecker, type PasswordBook } from "./password-checker.ts";

export interface Access {
  /** All guards of one vhost. */
  forVhost(vhost: VhostConfig): VhostAccess;
  stop(): void;
}

export type VhostAccess = {
  /** Before requests that match no mount; undefined where everybody may. */
  readonly guard: Guard | undefined;
  /** Before the WebSockets of those protocols that have "basic-auth", by name. */
  readonly gates: ReadonlyMap<string, PasswordGate>;
  /** Before a mount; the rules of the vhost are among its own. */
  guardOf(mount: MountConfig): Guard | undefined;
  /** Before what writes in a mount of repositories: "git-push". */
  pushGateOf(mount: MountConfig): PasswordGate | undefined;
};

/** Prepares all that guards have in common. */
export function createAccess(
  { passwordFiles, config }: Pick<Configuration, "passwordFiles" | "config">,
  log: Logger,
  counts: Pick<WorkerCounters, "deniedByRule" | "deniedByPassword">,
): Access {
  const checker = createPasswordChecker({ log });
  const books = new Map<string, PasswordBook>(
    passwordFiles.map((file) => [file.path, checker.open(file)]),
  );
  const keywords = createKeywordRule(config.global["reject-service-keywords"]);

  function gateOf(
    vhost: VhostConfig,
    keys: Pick<MountConfig, "basic-auth" | "basic-auth-realm">,
  ): PasswordGate | undefined {
    const path = keys["basic-auth"];
    if (path === undefined) return undefined;
    const book = books.get(path);
    // The supervisor sends every file that is named. To go on without one would open what it closes.
    if (!book) throw new Error(`No password file "${path}" was sent`);
    const realm = keys["basic-auth-realm"] ?? toByteString(vhost.name);
    return createPasswordGate(book, realm, () => (counts.deniedByPassword += 1));
  }

  function counted(rule: Rule): Rule {
    return (asker) => {
      const refusal = rule(asker);
      if (refusal) counts.deniedByRule += 1;
      return refusal;
    };
  }

  return {
    forVhost(vhost) {
      const rules = present([keywords, createAddressRule(vhost)]).map(counted);
      const gates = vhost["ws-protocols"].flatMap(({ name, keys }) => {
        const gate = gateOf(vhost, keys);
        return gate ? [[name, gate] as const] : [];
      });
      return {
        guard: createGuard(rules, undefined),
        pushGateOf: (mount) => {
          const path = mount["git-push"];
          return path === undefined ? undefined : gateOf(vhost, { ...mount, "basic-auth": path });
        },
        gates: new Map(gates),
        guardOf(mount) {
          const own = createAddressRule(mount);
          const gate = gateOf(vhost, mount);
          return mount.satisfy === "any" && own && gate
            ? createGuard(rules, (asker) => (own(asker) ? gate(asker) : ANYBODY))
            : createGuard(own ? [...rules, counted(own)] : rules, gate);
        },
      };
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

function present(rules: readonly (Rule | undefined)[]): readonly Rule[] {
  return rules.filter((rule) => rule !== undefined);
}
