// One clock for all connections of a front: each stands in the slot of its next deadline, so a tick looks at those that may be
// due and at no others. A deadline that has moved on is noticed when the old one comes, so a request does not touch the wheel.

/** What stands on the wheel. */
export interface Ringing {
  /** A deadline may have come; returns the next one (performance.now()), or undefined to leave the wheel. */
  ring(now: number): number | undefined;
}

export type Wheel<T extends Ringing> = {
  /** Puts on the wheel what is not there yet. */
  add(item: T, deadline: number): void;
  /** Brings a deadline forward. */
  hasten(item: T, deadline: number): void;
  remove(item: T): void;
  /** Everything on the wheel. */
  items(): T[];
  readonly size: number;
  stop(): void;
};

/** Later deadlines are looked at once each time round. */
const SLOTS = 64;

/** Starts a wheel that turns every `tickMs`; deadlines are kept to a tick, never early. */
export function createWheel<T extends Ringing>(tickMs: number): Wheel<T> {
  const slots = Array.from({ length: SLOTS }, () => new Set<T>());
  const slotOf = new Map<T, Set<T>>();
  let turned = tickOf(performance.now());

  function tickOf(time: number): number {
    return Math.floor(time / tickMs);
  }

  function put(item: T, deadline: number): void {
    // The tick that begins behind the deadline, and one that is still to come.
    const tick = Math.max(tickOf(deadline) + 1, turned + 1);
    const ahead = Math.min(tick - turned, SLOTS - 1);
    const slot = slots[(turned + ahead) % SLOTS];
    if (!slot) return;
    slot.add(item);
    slotOf.set(item, slot);
  }

  function turn(): void {
    const now = performance.now();
    const target = tickOf(now);
    // After a stall of the event loop one round reaches everything.
    const from = Math.max(turned, target - SLOTS);
    turned = target;
    for (let tick = from + 1; tick <= target; tick += 1) {
      const slot = slots[tick % SLOTS];
      if (!slot || slot.size === 0) continue;
      const due = [...slot];
      slot.clear();
      for (const item of due) {
        // One that rang before it may have removed this one.
        if (!slotOf.delete(item)) continue;
        const next = item.ring(now);
        if (next !== undefined) put(item, next);
      }
    }
  }

  const timer = setInterval(turn, tickMs);
  timer.unref();

  return {
    get size() {
      return slotOf.size;
    },
    add: put,
    hasten(item, deadline) {
      const slot = slotOf.get(item);
      if (!slot) return;
      slot.delete(item);
      put(item, deadline);
    },
    remove(item) {
      slotOf.get(item)?.delete(item);
      slotOf.delete(item);
    },
    items: () => [...slotOf.keys()],
    stop: () => clearInterval(timer),
  };
}
