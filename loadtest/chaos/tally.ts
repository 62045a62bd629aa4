// What the clients counted, and which of their failures the death of a worker, or a want of descriptors, explains.

export type Failure = {
  readonly client: string;
  readonly message: string;
  /** The client's own port; 0 where it never got a connection. */
  readonly port: number;
  readonly openedAt: number;
  readonly at: number;
};

/** A worker that was killed, or stopped until it was, with the connections that it had. */
export type Kill = {
  readonly pid: number;
  readonly at: number;
  readonly ports: ReadonlySet<number>;
};

/** While a process was allowed no further descriptor. */
export type Shortage = { readonly from: number; until: number };

/** Requests by the first digit of the status of their answer. */
export type Classes = [number, number, number, number, number];

/** Something that comes at a time, of performance.now(). */
const SECOND_MS = 1_000;

export class Tally {
  /** Requests whose answer came, as many as the client wanted of it. */
  readonly classes: Classes = [0, 0, 0, 0, 0];
  readonly byClient: Record<string, number> = {};
  /** Of those: the client left in the middle of the answer. */
  left = 0;
  webSockets = 0;
  messages = 0;
  http2Connections = 0;
  /** Asked anew because the server had said it would not take them: HTTP/2 streams beyond a GOAWAY. */
  retried = 0;
  /** Answered with 503 where no descriptor was left. */
  turnedAway = 0;
  readonly failures: Failure[] = [];
  /** Answers by second, for what a killed worker had counted and could not tell. */
  readonly #bySecond = new Map<number, number>();

  answer(client: string, status: number): void {
    const index = Math.floor(status / 100) - 1;
    this.classes[index as 0] += 1;
    this.byClient[client] = (this.byClient[client] ?? 0) + 1;
    const second = Math.floor(performance.now() / SECOND_MS);
    this.#bySecond.set(second, (this.#bySecond.get(second) ?? 0) + 1);
  }

  get answered(): number {
    return this.classes.reduce((sum, count) => sum + count, 0);
  }

  answeredBetween(from: number, until: number): number {
    let sum = 0;
    for (let second = Math.floor(from / SECOND_MS); second <= until / SECOND_MS; second += 1)
      sum += this.#bySecond.get(second) ?? 0;
    return sum;
  }
}

/** The failures that nothing explains. */
export function unexplained(
  failures: readonly Failure[],
  kills: readonly Kill[],
  shortages: readonly Shortage[],
): Failure[] {
  return failures.filter(
    ({ port, openedAt, at }) =>
      !kills.some((kill) => kill.ports.has(port) && kill.at >= openedAt && kill.at <= at) &&
      !shortages.some(({ from, until }) => at >= from && openedAt <= until),
  );
}
