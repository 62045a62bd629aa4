// Mixed load: files over clear HTTP/1.1 with kept and fresh connections, over TLS and HTTP/2, programs, clients that leave, WebSockets.
// Each client asks, waits a moment and asks again, so that the rate is bounded; what it gets is counted in a tally.

import { leaveEarly, openClear, openHttp2, openTls, Refused, type Link } from "./links.ts";
import type { Tally } from "./tally.ts";
import { openEchoSocket, type EchoSocket } from "./web-socket.ts";

export type Ports = { readonly clear: number; readonly secure: number };

export type Traffic = {
  /** Every client finishes what it is at and leaves. */
  stop(): Promise<void>;
};

const PATHS = [
  { path: "/small", status: 200, weight: 8 },
  { path: "/large", status: 200, weight: 1 },
  { path: "/missing", status: 404, weight: 1 },
] as const;
const PROGRAM = { path: "/run?good", status: 200 };
/** What a client with too few descriptors on the other side may get. */
const UNAVAILABLE = 503;
const KEPT_REQUESTS = 200;
/** After a failure, so that a server that is down is not hammered. */
const REST_MS = 100;

type Kind = {
  readonly name: string;
  readonly count: number;
  /** Waits up to twice as long between two requests. */
  readonly pauseMs: number;
  run(session: Session): Promise<void>;
};

type Session = {
  readonly ports: Ports;
  readonly tally: Tally;
  readonly name: string;
  isOver(): boolean;
  pause(): Promise<void>;
};

const KINDS: readonly Kind[] = [
  { name: "kept", count: 6, pauseMs: 40, run: (session) => ask(session, KEPT_REQUESTS, clear) },
  { name: "fresh", count: 4, pauseMs: 60, run: (session) => ask(session, 1, clear) },
  {
    name: "TLS, kept",
    count: 3,
    pauseMs: 50,
    run: (session) => ask(session, KEPT_REQUESTS, secure),
  },
  { name: "TLS, fresh", count: 2, pauseMs: 150, run: (session) => ask(session, 1, secure) },
  { name: "HTTP/2", count: 2, pauseMs: 50, run: overHttp2 },
  { name: "program", count: 2, pauseMs: 150, run: (session) => ask(session, 5, clear, PROGRAM) },
  { name: "leaves", count: 1, pauseMs: 200, run: leave },
  { name: "WebSocket", count: 4, pauseMs: 80, run: talk },
];
const HTTP2_STREAMS = 3;

export function startTraffic(ports: Ports, tally: Tally): Traffic {
  let isStopping = false;
  const clients = KINDS.flatMap((kind) =>
    Array.from({ length: kind.count }, async () => {
      const session: Session = {
        ports,
        tally,
        name: kind.name,
        isOver: () => isStopping,
        pause: () => rest(Math.random() * 2 * kind.pauseMs),
      };
      while (!isStopping) {
        try {
          await kind.run(session);
        } catch (error) {
          if (!noteFailure(session, error)) await rest(REST_MS);
        }
        await session.pause();
      }
    }),
  );
  return {
    async stop() {
      isStopping = true;
      await Promise.all(clients);
    },
  };
}

/** Whether it was none after all. */
function noteFailure({ tally, name }: Session, error: unknown): boolean {
  if (error instanceof Refused) {
    tally.retried += 1;
    return true;
  }
  const {
    message,
    port = 0,
    openedAt = performance.now(),
    status,
  } = error as Error &
    Partial<Link> & {
      readonly status?: number;
    };
  if (status !== undefined) tally.answer(name, status);
  if (status === UNAVAILABLE) tally.turnedAway += 1;
  else tally.failures.push({ client: name, message, port, openedAt, at: performance.now() });
  return false;
}

function clear({ ports }: Session): Promise<Link> {
  return openClear(ports.clear);
}

function secure({ ports }: Session): Promise<Link> {
  return openTls(ports.secure);
}

type Wanted = { readonly path: string; readonly status: number };

async function ask(
  session: Session,
  times: number,
  open: (session: Session) => Promise<Link>,
  wanted?: Wanted,
): Promise<void> {
  const link = await open(session);
  try {
    for (let n = 0; n < times && !session.isOver(); n += 1) {
      if (await askOnce(session, link, wanted ?? pick())) return;
      if (n + 1 < times) await session.pause();
    }
  } finally {
    link.close();
  }
}

/** Whether the link has ended with it. */
async function askOnce(
  { tally, name }: Session,
  link: Link,
  { path, status }: Wanted,
): Promise<boolean> {
  try {
    const answer = await link.ask(path);
    if (answer.status !== status)
      throw Object.assign(new Error(`${path} is answered with ${answer.status}`), {
        status: answer.status,
      });
    tally.answer(name, status);
    return answer.isLast;
  } catch (error) {
    throw Object.assign(error as Error, { port: link.port, openedAt: link.openedAt });
  }
}

async function overHttp2(session: Session): Promise<void> {
  const link = await openHttp2(session.ports.secure);
  session.tally.http2Connections += 1;
  let isOver = false;
  const stream = async (): Promise<void> => {
    for (let n = 0; n < KEPT_REQUESTS && !isOver && !session.isOver(); n += 1) {
      try {
        isOver ||= await askOnce(session, link, pick());
      } catch (error) {
        // Every stream that was under way is a request.
        isOver = true;
        noteFailure(session, error);
      }
      await session.pause();
    }
  };
  try {
    await Promise.all(Array.from({ length: HTTP2_STREAMS }, stream));
  } finally {
    link.close();
  }
}

async function leave({ ports, tally, name }: Session): Promise<void> {
  const { status } = await leaveEarly(ports.clear, "/run?endless");
  if (status !== 200) throw Object.assign(new Error(`Answered with ${status}`), { status });
  tally.answer(name, status);
  tally.left += 1;
}

async function talk(session: Session): Promise<void> {
  const { tally } = session;
  const socket: EchoSocket = await openEchoSocket(session.ports.clear);
  tally.answer(session.name, 101);
  tally.webSockets += 1;
  try {
    for (let n = 0; !session.isOver(); n += 1) {
      if ((await socket.echo(`message ${n}`)) === "goodbye") return;
      tally.messages += 1;
      await session.pause();
    }
  } finally {
    socket.close();
  }
}

function pick(): Wanted {
  let left = Math.random() * PATHS.reduce((sum, { weight }) => sum + weight, 0);
  for (const one of PATHS) {
    left -= one.weight;
    if (left < 0) return one;
  }
  return PATHS[0];
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
