// One connection to a NATS server that is made again whenever it breaks. The only importer of the NATS client, which is loaded
// with the first link. Nothing waits without a bound: what cannot be sent now is refused. No URL is told, only its host and port.

import { readFile } from "node:fs/promises";
import type { Authenticator, ConnectionOptions, NatsConnection } from "@nats-io/transport-node";
import { natsAddress } from "../config/bus.ts";
import type { Logger } from "../log/logger.ts";

/** To connect, TLS included. */
const DIAL_MS = 10_000;
/** Between attempts; the client itself keeps some memory for each that fails, so it is a new one each time. */
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;
/** A server that is silent for three of these is given up. */
const PING_MS = 10_000;
/** What the server has not confirmed yet, bytes. */
const MAX_UNCONFIRMED_BYTES = 16 * 1024 * 1024;
/** A confirmation is asked for each time so much is open. */
const CONFIRMED_EACH_BYTES = 256 * 1024;
/** What a message costs beside its payload. */
const OVERHEAD_BYTES = 128;
/** What a server takes that does not say. */
const DEFAULT_PAYLOAD_BYTES = 1024 * 1024;
/** For what is still to be sent at the end. */
const GOODBYE_MS = 500;

export type NatsLinkOptions = {
  /** Tried in turn. */
  readonly urls: readonly string[];
  /** File of authorities. */
  readonly ca: string | undefined;
  /** File of a user's JWT and seed. */
  readonly credentials: string | undefined;
  readonly log: Logger;
  readonly onMessage: (subject: string, bytes: Uint8Array) => void;
  /** Connected, again perhaps: subscriptions are in place. */
  readonly onUp: () => void;
};

export type NatsLink = {
  /** Host and port of the server it has, or tries next. */
  readonly address: string;
  readonly isUp: boolean;
  /** False when it cannot be sent now. */
  publish(subject: string, bytes: Uint8Array): boolean;
  /** Holds over reconnections. */
  subscribe(subject: string, on: boolean): void;
  /** Sends what waits, for a moment, and ends. */
  close(): Promise<void>;
};

type Live = {
  readonly connection: NatsConnection;
  readonly stops: Map<string, () => void>;
  unconfirmedBytes: number;
  isConfirming: boolean;
};

/** Starts to connect. */
export function createNatsLink(options: NatsLinkOptions): NatsLink {
  const { urls, log } = options;
  const subjects = new Set<string>();
  let live: Live | undefined;
  let isClosed = false;
  let attempt = 0;
  let retryMs = FIRST_RETRY_MS;
  let timer: NodeJS.Timeout | undefined;
  let lastComplaint = "";

  const urlOf = (index: number): string => urls[index % urls.length] ?? "";

  async function run(): Promise<void> {
    const url = urlOf(attempt);
    try {
      const connection = await dial(url, options);
      if (isClosed) return await connection.close();
      live = { connection, stops: new Map(), unconfirmedBytes: 0, isConfirming: false };
      retryMs = FIRST_RETRY_MS;
      lastComplaint = "";
      for (const subject of subjects) listen(live, subject);
      // Then the server has them.
      await connection.flush();
      log.info(`The bus reaches NATS at ${natsAddress(url)}`);
      void watch(connection, url);
      options.onUp();
      const error = await connection.closed();
      live = undefined;
      if (!isClosed) log.warn(`Lost NATS at ${natsAddress(url)}: ${reasonOf(error)}`);
    } catch (error) {
      const message = `Cannot reach NATS at ${natsAddress(url)}: ${reasonOf(error)}`;
      complain(`${message}; the bus stays on this machine until then`);
    }
    attempt += 1;
    retry();
  }

  /** What the server has against us, such as a subject that is not allowed. */
  async function watch(connection: NatsConnection, url: string): Promise<void> {
    for await (const status of connection.status())
      if (status.type === "error")
        complain(`NATS at ${natsAddress(url)}: ${reasonOf(status.error)}`);
  }

  /** Once, however often it happens: an outage may last. */
  function complain(message: string): void {
    if (isClosed || message === lastComplaint) return;
    lastComplaint = message;
    log.warn(message);
  }

  function retry(): void {
    if (isClosed) return;
    // Not all machines at the same moment.
    const waitMs = retryMs * (0.75 + Math.random() / 2);
    timer = setTimeout(() => void run(), waitMs);
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
  }

  function listen({ connection, stops }: Live, subject: string): void {
    const subscription = connection.subscribe(subject, {
      // Nothing may be thrown back into the client, which would stop to read.
      callback(error, message) {
        if (error) log.warn(`NATS refuses "${subject}": ${reasonOf(error)}`);
        else options.onMessage(message.subject, message.data);
      },
    });
    stops.set(subject, () => subscription.unsubscribe());
  }

  function confirm(way: Live): void {
    if (way.isConfirming || way.unconfirmedBytes < CONFIRMED_EACH_BYTES) return;
    way.isConfirming = true;
    const covered = way.unconfirmedBytes;
    way.connection.flush().then(
      () => {
        way.isConfirming = false;
        way.unconfirmedBytes -= covered;
        confirm(way);
      },
      // The connection is over.
      () => undefined,
    );
  }

  void run();
  return {
    get address() {
      return natsAddress(urlOf(attempt));
    },
    get isUp() {
      return live !== undefined;
    },
    publish(subject, bytes) {
      if (!live || live.connection.isClosed()) return false;
      if (bytes.length > (live.connection.info?.max_payload ?? DEFAULT_PAYLOAD_BYTES)) return false;
      const cost = bytes.length + OVERHEAD_BYTES;
      if (live.unconfirmedBytes + cost > MAX_UNCONFIRMED_BYTES) return false;
      live.connection.publish(subject, bytes);
      live.unconfirmedBytes += cost;
      confirm(live);
      return true;
    },
    subscribe(subject, on) {
      if (on) {
        subjects.add(subject);
        if (live) listen(live, subject);
      } else {
        subjects.delete(subject);
        live?.stops.get(subject)?.();
        live?.stops.delete(subject);
      }
    },
    async close() {
      isClosed = true;
      clearTimeout(timer);
      if (!live) return;
      const { connection } = live;
      const goodbye = Promise.withResolvers<void>();
      const last = setTimeout(goodbye.resolve, GOODBYE_MS);
      await Promise.race([connection.flush().catch(() => undefined), goodbye.promise]);
      clearTimeout(last);
      await connection.close().catch(() => undefined);
    },
  };
}

async function dial(url: string, options: NatsLinkOptions): Promise<NatsConnection> {
  const { connect, credsAuthenticator } = await import("@nats-io/transport-node");
  // Their bytes, not their names: the client would leave its socket without a listener for errors while it reads them.
  const ca = options.ca === undefined ? undefined : await readFile(options.ca, "utf8");
  const user = options.credentials === undefined ? undefined : await readFile(options.credentials);
  return connect(connectionOptions(url, ca, user && credsAuthenticator(user)));
}

function connectionOptions(
  url: string,
  ca: string | undefined,
  authenticator: Authenticator | undefined,
): ConnectionOptions {
  const { protocol, username, password, hostname } = new URL(url);
  // The client names a server to TLS by its name only, and TLS would look for "localhost" where that is an address.
  const tls = { host: hostname.replace(/^\[|\]$/g, ""), ...(ca !== undefined && { ca }) };
  const name = decodeURIComponent(username);
  return {
    servers: [natsAddress(url)],
    name: "portico",
    noEcho: true,
    reconnect: false,
    ignoreClusterUpdates: true,
    timeout: DIAL_MS,
    pingInterval: PING_MS,
    maxPingOut: 2,
    ...(authenticator && { authenticator }),
    ...(password !== "" && { user: name, pass: decodeURIComponent(password) }),
    ...(password === "" && name !== "" && { token: name }),
    ...((protocol === "tls:" || ca !== undefined) && { tls }),
  };
}

/** Words of the client, which has no URL to quote. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "the server closed the connection";
  const { cause } = error;
  return cause instanceof Error && cause.message !== "" ? cause.message : error.message;
}
