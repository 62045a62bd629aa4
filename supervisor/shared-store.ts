// The key-value maps of protocol plugins: held here, copied in every worker, so that they outlive workers and generations.
// Changes are put in one order here and told to everybody, the sender included: the last one holds everywhere.

import { MAX_SCOPE_BYTES } from "../ipc/bus.ts";
import {
  MAX_STORE_BYTES,
  MAX_STORE_KEY_BYTES,
  MAX_STORE_KEYS,
  MAX_STORE_VALUE_BYTES,
  type StoreChange,
} from "../ipc/store.ts";
import type { WorkerProcess } from "./worker-process.ts";

const NOBODY = 0;
/** Maps: one for each protocol of each vhost that stores anything. */
const MAX_SCOPES = 10_000;

export type SharedStore<Member> = {
  /** Sends all there is to a worker that starts, and from now on each change. */
  join(worker: Member): void;
  change(from: Member, change: StoreChange): void;
  depart(worker: Member): void;
  /** Forgets the maps of protocols that are no longer enabled. */
  keepOnly(scopes: ReadonlySet<string>): void;
};

/** Who sends and gets changes. */
export type StoreMember = Pick<WorkerProcess, "id" | "tell" | "kill">;

/** The store of one supervisor. `onRefuse` is told of a change that exceeds a limit. */
export function createSharedStore<Member extends StoreMember = WorkerProcess>(
  onRefuse: (from: Member, why: string) => void,
): SharedStore<Member> {
  const maps = new Map<string, Map<string, Uint8Array>>();
  const members = new Set<Member>();
  let bytes = 0;

  function put(scope: string, key: string, data: Uint8Array | undefined): void {
    const map = maps.get(scope) ?? new Map<string, Uint8Array>();
    const old = map.get(key);
    if (old) bytes -= key.length + old.length;
    if (data) {
      bytes += key.length + data.length;
      // A view into the frame it came in would keep that alive.
      map.set(key, Uint8Array.from(data));
    } else map.delete(key);
    if (map.size > 0) maps.set(scope, map);
    else maps.delete(scope);
  }

  function refusal({ scope, key, data, isGone }: StoreChange): string | undefined {
    if (isGone) return undefined;
    const map = maps.get(scope);
    const old = map?.get(key);
    if (!map && maps.size >= MAX_SCOPES) return `more than ${MAX_SCOPES} maps`;
    if (!old && (map?.size ?? 0) >= MAX_STORE_KEYS) return `more than ${MAX_STORE_KEYS} keys`;
    const growth = data.length - (old ? old.length : -key.length);
    return bytes + growth > MAX_STORE_BYTES ? `more than ${MAX_STORE_BYTES} bytes` : undefined;
  }

  return {
    join(worker) {
      members.add(worker);
      for (const [scope, map] of maps)
        for (const [key, data] of map)
          worker.tell("stored", { scope, key, data, isGone: false, from: NOBODY });
    },
    change(from, change) {
      const { scope, key } = change;
      const breach = breachOf(change);
      if (breach !== undefined) return from.kill(breach);
      const why = refusal(change);
      if (why !== undefined) onRefuse(from, why);
      else put(scope, key, change.isGone ? undefined : change.data);
      // After a refusal the sender learns what holds instead.
      const data = maps.get(scope)?.get(key);
      const settled = { scope, key, data: data ?? new Uint8Array(), isGone: !data, from: from.id };
      for (const worker of why === undefined ? members : [from]) worker.tell("stored", settled);
    },
    depart: (worker) => void members.delete(worker),
    keepOnly(scopes) {
      for (const [scope, map] of maps)
        if (!scopes.has(scope)) for (const key of map.keys()) put(scope, key, undefined);
    },
  };
}

/** What no worker of ours sends: it keeps to these limits by itself. */
function breachOf({ scope, key, data }: StoreChange): string | undefined {
  if (Buffer.byteLength(scope) > MAX_SCOPE_BYTES) return "Named a store too long";
  if (Buffer.byteLength(key) > MAX_STORE_KEY_BYTES) return "Sent too long a key of a store";
  if (data.length > MAX_STORE_VALUE_BYTES) return "Sent too large a value of a store";
  return undefined;
}
