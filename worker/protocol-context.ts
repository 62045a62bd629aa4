// What a protocol running on a vhost may use: bus, board, timers, log. A plugin that throws in a callback of its own is
// logged and goes on; its timers end with the vhost.

import { protocolScope, vhostKey } from "../config/listeners.ts";
import type { VhostConfig } from "../config/vhost.ts";
import type { Configuration } from "../ipc/messages.ts";
import type { Logger } from "../log/logger.ts";
import type { Activity } from "./activity.ts";
import type { BoardClient } from "./board-client.ts";
import type { BusClient } from "./bus.ts";
import type { Counters } from "./counters.ts";
import { createCount } from "./protocol-counts.ts";
import type { ProtocolHost } from "./protocol-host.ts";
import type { ProtocolContext } from "./protocol.ts";
import type { StoreClient } from "./store.ts";

export type ProtocolServices = {
  readonly configuration: Configuration;
  readonly counters: Pick<Counters, "protocol">;
  readonly log: Logger;
  readonly bus: BusClient;
  readonly store: StoreClient;
  readonly activity: Activity;
  readonly board: Pick<BoardClient, "watch" | "readHistory">;
  /** Port the vhost is reached at. */
  readonly port: number;
  /** Called when the vhost stops. */
  readonly cleanups: Set<() => void>;
};

/** The context of the protocol `name` on `vhost`. */
export function createProtocolContext(
  name: string,
  vhost: VhostConfig,
  services: ProtocolServices,
): ProtocolContext {
  const { configuration, cleanups } = services;
  const log = services.log.child({ vhost: vhost.name, protocol: name });
  const scope = protocolScope(vhost, name);
  const bus = services.bus.scoped(scope);
  const store = services.store.scoped(scope);

  const noted = services.activity.named(activityName(name, vhost));
  function guard<Args extends unknown[]>(action: (...args: Args) => void): typeof action {
    const watched = noted(action);
    return (...args) => {
      try {
        watched(...args);
      } catch (error) {
        log.error({ err: error }, "Protocol threw in a callback");
      }
    };
  }

  return {
    vhost: {
      name: vhost.name,
      port: services.port,
      secure: vhost["host-ssl-cert"] !== undefined,
    },
    directory: configuration.config.directory,
    version: configuration.version,
    worker: configuration.worker,
    log,
    count: createCount(services.counters.protocol(scope)),
    bus: {
      publish: (topic, message) => bus.publish(topic, message),
      subscribe: (topic, listener) => bus.subscribe(topic, guard(listener)),
      onDeparture: (listener) => bus.onDeparture(guard(listener)),
      onArrival: (listener) => bus.onArrival(guard(listener)),
    },
    store: { ...store, onChange: (listener) => store.onChange(guard(listener)) },
    watchBoard: (listener) => services.board.watch(guard(listener)),
    readHistory: () => services.board.readHistory(),
    every(ms, action) {
      const timer = setInterval(guard(action), ms);
      const cancel = (): void => {
        clearInterval(timer);
        cleanups.delete(cancel);
      };
      cleanups.add(cancel);
      return cancel;
    },
  };
}

/** What the supervisor says of a worker that hangs in this protocol. */
export function activityName(protocol: string, vhost: VhostConfig): string {
  return `the protocol "${protocol}" of vhost ${vhostKey(vhost)}`;
}

/** Stops what startProtocols started. */
export function stopProtocols(protocols: ReadonlyMap<string, ProtocolHost>, log: Logger): void {
  for (const [name, { instance }] of protocols) {
    try {
      instance.stop?.();
    } catch (error) {
      log.error({ err: error, protocol: name }, "Protocol failed to stop");
    }
  }
}
