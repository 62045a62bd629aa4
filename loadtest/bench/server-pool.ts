// The servers of one benchmark: each is started when it is first asked for, and all end together.

import type { Server } from "./servers.ts";

export type ServerPool<C> = {
  /** The server of a contender, which runs. */
  get(contender: C): Promise<Server>;
  end(): Promise<void>;
};

export function createServerPool<C>(start: (contender: C) => Promise<Server>): ServerPool<C> {
  const running = new Map<C, Server>();
  return {
    async get(contender) {
      const known = running.get(contender);
      if (known) return known;
      const server = await start(contender);
      running.set(contender, server);
      return server;
    },
    async end() {
      const servers = [...running.values()];
      running.clear();
      await Promise.all(servers.map((server) => server.stop()));
    },
  };
}
