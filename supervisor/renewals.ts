// What is renewed while a configuration serves, each after its own time: the secret of session tickets, and certificates.

import type { LoadedConfig } from "../config/load.ts";
import type { BoardCertificate } from "../ipc/board.ts";
import type { Logger } from "../log/logger.ts";
import { createCertificateWatch, type CertificateWatch } from "./certificate-watch.ts";
import type { Generation } from "./generation.ts";
import { createTicketSecret, type TicketSecret } from "./tickets.ts";

const MS_PER_SEC = 1_000;

/** The renewals of one server. */
export class Renewals {
  readonly tickets: TicketSecret = createTicketSecret();
  readonly #log: Logger;
  readonly #onTickets: () => void;
  #certificates: CertificateWatch | undefined;
  /** performance.now() of the last look at the files of certificates. */
  #lookedAt = 0;

  /** `onTickets`: there is a new secret, which all workers have to be told. */
  constructor(log: Logger, onTickets: () => void) {
    this.#log = log;
    this.#onTickets = onTickets;
  }

  /** From now on this generation's certificates are watched. */
  adopt(generation: Generation, { config }: LoadedConfig): void {
    this.#certificates?.stop();
    this.#certificates = createCertificateWatch({
      config,
      secrets: generation.secrets,
      log: this.#log,
      renew: (secrets) => generation.renewCertificates(secrets),
    });
  }

  /** Renews what is due. Call it every second or so. */
  tick({ config }: LoadedConfig): void {
    const { "ticket-key-secs": ticketSecs, "cert-check-secs": checkSecs } = config.global;
    if (this.tickets.renew(ticketSecs * MS_PER_SEC)) this.#onTickets();
    if (checkSecs === 0 || performance.now() - this.#lookedAt < checkSecs * MS_PER_SEC) return;
    this.#lookedAt = performance.now();
    void this.#certificates?.look();
  }

  /** The certificate of a vhost, by its index. */
  describe(vhost: number): BoardCertificate | undefined {
    return this.#certificates?.describe(vhost);
  }

  stop(): void {
    this.#certificates?.stop();
  }
}
