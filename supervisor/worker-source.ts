// Starts the workers of one generation. What they begin with is the same for all, but for certificates that were renewed
// meanwhile. A worker that hangs before it serves is killed.

import type { PasswordFile } from "../config/password-file.ts";
import type { ServerConfig } from "../config/server.ts";
import { encodeConfig, type VhostSecrets, type WorkerUser } from "../ipc/messages.ts";
import type { Handover } from "../posix/handover.ts";
import type { SharedFile } from "../posix/shared-file.ts";
import type { ListenerSet } from "./listeners.ts";
import type { TicketSecret } from "./tickets.ts";
import { WorkerProcess, type WorkerEvents } from "./worker-process.ts";

const MS_PER_SEC = 1_000;

export type GenerationSpec = {
  readonly number: number;
  readonly config: ServerConfig;
  readonly listeners: ListenerSet;
  readonly secrets: readonly VhostSecrets[];
  readonly passwordFiles: readonly PasswordFile[];
  readonly tickets: Pick<TicketSecret, "current">;
  readonly user: WorkerUser | undefined;
  readonly workers: number;
  readonly version: string;
  readonly isProbe?: true;
};

/** Whether the supervisor accepts for its workers. */
export function isBalanced({ config, isProbe }: GenerationSpec): boolean {
  return config.global.distribution === "balanced" && !isProbe;
}

/** What a worker's own generation has to hear first. */
type OwnEvents = Pick<WorkerEvents, "ready" | "rejected" | "serving" | "leaving" | "exit">;

/** What workers need from the server around their generation. */
export type WorkerHost = {
  /** A number no other worker of this server had. */
  readonly nextWorkerId: () => number;
  /** A file for a worker to note its activity in, where there can be one. */
  readonly makeActivity: () => SharedFile | undefined;
  /** How connections get to a worker that does not accept by itself. */
  readonly makeHandover: () => Handover | undefined;
  readonly events: Omit<WorkerEvents, Exclude<keyof OwnEvents, "exit">>;
};

/** The source of one generation. */
export class WorkerSource {
  readonly #spec: GenerationSpec;
  readonly #host: WorkerHost;
  #secrets: readonly VhostSecrets[];
  #stage: "first" | "later" = "first";
  /** Of the first workers, which share it. */
  #encoded: Uint8Array | undefined;

  constructor(spec: GenerationSpec, host: WorkerHost) {
    this.#spec = spec;
    this.#host = host;
    this.#secrets = spec.secrets;
  }

  /** Certificates as they are served now. */
  get secrets(): readonly VhostSecrets[] {
    return this.#secrets;
  }

  /** Workers that start from now on get these. */
  renewCertificates(renewed: readonly VhostSecrets[]): void {
    const byVhost = new Map(renewed.map((secret) => [secret.vhost, secret]));
    this.#secrets = this.#secrets.map((secret) => byVhost.get(secret.vhost) ?? secret);
  }

  /** The first workers have what they need; others come alone, and later. */
  endFirst(): void {
    this.#stage = "later";
    this.#encoded = undefined;
  }

  /** Starts one worker. */
  start(slot: number, events: OwnEvents): WorkerProcess {
    const { number, config: _config, listeners, tickets, workers: _count, ...rest } = this.#spec;
    const worker = new WorkerProcess(
      {
        ...rest,
        secrets: this.#secrets,
        ticketSecret: tickets.current,
        worker: this.#host.nextWorkerId(),
        activity: this.#host.makeActivity(),
        makeHandover: isBalanced(this.#spec) ? this.#host.makeHandover : undefined,
        slot,
        generation: number,
        config: () => this.#encode(),
        listeners: listeners.listeners,
      },
      { ...this.#host.events, ...events },
    );
    this.#hurry(worker);
    return worker;
  }

  #encode(): Uint8Array {
    const encoded = this.#encoded ?? encodeConfig(this.#spec.config);
    if (this.#stage === "first") this.#encoded = encoded;
    return encoded;
  }

  /** A worker that hangs while it starts would keep its slot for ever; the watchdog looks at those that run. */
  #hurry(worker: WorkerProcess): void {
    const limitSecs = this.#spec.config.global["ready-secs"];
    const timer = setTimeout(() => {
      if (worker.state === "starting" || worker.state === "ready")
        worker.kill(`did not serve within ready-secs (${limitSecs})`);
    }, limitSecs * MS_PER_SEC);
    timer.unref();
  }
}
