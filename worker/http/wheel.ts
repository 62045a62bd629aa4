// One clock for all connections of a front: each stands in the slot of its next deadline, so a tick looks at those that may be
// due and at no others. A deadline that has moved on is noticed when the old one comes, so a request does not touch the wheel.
// Those in a slot are linked with one another: to come and to go costs a connection nothing that has to be looked up.

/** What can stand on a wheel, one at a time. */
export abstract class Ringing {
  /** The wheel's own: its neighbours, itself where it stands nowhere. */
  before: Ringing = this;
  behind: Ringing = this;

  /** A deadline may have come; returns the next one (performance.now()), or undefined to leave the wheel. */
  abstract ring(now: number): number | undefined;
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

/** Where the ring of those begins and ends that stand together. */
class Slot extends Ringing {
  override ring(): undefined {}
}

/** Starts a wheel that turns every `tickMs`; deadlines are kept to a tick, never early. */
export function createWheel<T extends Ringing>(tickMs: number): Wheel<T> {
  const slots = Array.from({ length: SLOTS }, () => new Slot());
  /** Those that are being looked at. */
  const due = new Slot();
  let size = 0;
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
    link(slot.before, item);
    link(item, slot);
    size += 1;
  }

  function remove(item: T): void {
    if (item.behind === item) return;
    link(item.before, item.behind);
    link(item, item);
    size -= 1;
  }

  function turn(): void {
    const now = performance.now();
    const target = tickOf(now);
    // After a stall of the event loop one round reaches everything.
    const from = Math.max(turned, target - SLOTS);
    turned = target;
    for (let tick = from + 1; tick <= target; tick += 1) {
      const slot = slots[tick % SLOTS];
      if (slot && slot.behind !== slot) {
        // Taken out first: those that go on may come back to where they were.
        link(due.before, slot.behind);
        link(slot.before, due);
        link(slot, slot);
      }
      while (due.behind !== due) {
        const item = due.behind as T;
        remove(item);
        const next = item.ring(now);
        if (next !== undefined) put(item, next);
      }
    }
  }

  const timer = setInterval(turn, tickMs);
  timer.unref();

  return {
    get size() {
      return size;
    },
    add: put,
    hasten(item, deadline) {
      if (item.behind === item) return;
      remove(item);
      put(item, deadline);
    },
    remove,
    items() {
      const items: T[] = [];
      for (const slot of [...slots, due])
        for (let item = slot.behind; item !== slot; item = item.behind) items.push(item as T);
      return items;
    },
    stop: () => clearInterval(timer),
  };
}

function link(one: Ringing, next: Ringing): void {
  one.behind = next;
  next.before = one;
}
