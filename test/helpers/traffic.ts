// Clients that go on until told to stop and remember every failure: fresh connections, kept ones, slow downloads.

import http from "node:http";
import type { AddressInfo } from "node:net";

/** Pause of a slow reader between two chunks. */
const SLOW_PAUSE_MS = 2;

export type Traffic = {
  /** Lets each client finish what it is at; resolves with what happened. */
  stop(): Promise<TrafficResult>;
  /** Requests answered so far. */
  readonly answered: number;
};

export type TrafficResult = { readonly answered: number; readonly failures: readonly string[] };

export type Expected = { readonly status: number; readonly bytes: number };

type Step = () => Promise<void>;

/** Runs `clients` loops of `step` side by side. */
function repeat(clients: number, step: (client: number) => Step): Traffic {
  const failures: string[] = [];
  let answered = 0;
  let state: "running" | "stopping" = "running";
  const loops = Array.from({ length: clients }, async (_, client) => {
    const once = step(client);
    while (state === "running") {
      try {
        await once();
        answered += 1;
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        failures.push(`${code ?? ""} ${message}`.trim());
      }
    }
  });
  return {
    get answered() {
      return answered;
    },
    async stop() {
      state = "stopping";
      await Promise.all(loops);
      return { answered, failures };
    },
  };
}

/** A connection for each request. */
export function freshConnections(url: string, clients: number, expected: Expected): Traffic {
  return repeat(clients, () => () => fetchOnce(url, false, expected));
}

/** One connection for each client, kept as long as the server lets it. */
export function keptConnections(url: string, clients: number, expected: Expected): Traffic {
  return repeat(clients, () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    return () => fetchOnce(url, agent, expected);
  });
}

/** Downloads that take their time. */
export function slowDownloads(url: string, clients: number, expected: Expected): Traffic {
  return repeat(clients, () => () => fetchOnce(url, false, expected, SLOW_PAUSE_MS));
}

/** One GET; rejects on any error, another status, or a body of another length. */
export function fetchOnce(
  url: string,
  agent: http.Agent | false,
  expected: Expected,
  pauseMs = 0,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent }, (response) => {
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (pauseMs === 0) return;
        response.pause();
        setTimeout(() => response.resume(), pauseMs);
      });
      response.once("error", reject);
      response.once("end", () => {
        if (response.statusCode !== expected.status)
          reject(new Error(`status ${response.statusCode}`));
        else if (bytes !== expected.bytes)
          reject(new Error(`${bytes} bytes instead of ${expected.bytes}`));
        else resolve();
      });
    });
    request.once("error", reject);
  });
}

/** The port a listening server got. */
export function portOf(server: { address(): AddressInfo | string | null }): number {
  return (server.address() as AddressInfo).port;
}
