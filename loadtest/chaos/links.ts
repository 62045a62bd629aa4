// Connections of every kind to the server under test. A link asks one thing after the other and says when it wants no more.

import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";
import { createAnswerReader, type Answer } from "../bench/answer-reader.ts";

const HOST = "127.0.0.1";
const PATIENCE_MS = 60_000;

/** The server will not answer this, and has said so: it may be asked again. */
export class Refused extends Error {}

export type Place = {
  /** The client's own. */
  readonly port: number;
  /** Before anybody could know of the connection. */
  readonly openedAt: number;
};

export type Link = Place & {
  /** Resolves with the whole answer. */
  ask(path: string): Promise<Answer>;
  close(): void;
};

export async function openClear(port: number): Promise<Link> {
  const socket = net.connect({ port, host: HOST, noDelay: true });
  return overHttp1(socket, await connected(socket, "connect"));
}

export async function openTls(port: number): Promise<Link> {
  const socket = tls.connect({ port, host: HOST, rejectUnauthorized: false });
  return overHttp1(socket, await connected(socket, "secureConnect"));
}

export async function openHttp2(port: number): Promise<Link> {
  const options = { host: HOST, port, rejectUnauthorized: false, ALPNProtocols: ["h2"] };
  const socket = tls.connect(options);
  const place = await connected(socket, "secureConnect");
  const session = http2.connect(`https://${HOST}:${port}`, { createConnection: () => socket });
  let isEnding = false;
  let fault: Error | undefined;
  session.on("error", (error: Error) => (fault ??= error));
  session.on("goaway", () => (isEnding = true));
  return {
    ...place,
    ask: (path) =>
      new Promise((resolve, reject) => {
        if (session.closed || session.destroyed)
          return reject(isEnding ? new Refused("Gone away") : (fault ?? new Error("Closed")));
        const stream = session.request({ ":path": path });
        let status = 0;
        let error: Error | undefined;
        stream.on("response", (fields) => (status = Number(fields[":status"])));
        stream.on("error", (problem: Error) => (error = problem));
        stream.on("close", () => {
          if (stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM)
            reject(new Refused("Refused"));
          else if (error || status === 0 || !stream.readableEnded)
            reject(error ?? fault ?? new Error(`Closed after status ${status}`));
          else resolve({ status, isLast: isEnding || session.closed });
        });
        stream.resume();
      }),
    close: () => session.destroy(),
  };
}

function overHttp1(socket: net.Socket, place: Place): Link {
  const reader = createAnswerReader(socket);
  return {
    ...place,
    ask(path) {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      return reader.answer(true);
    },
    close: () => socket.destroy(),
  };
}

/** Asks for something and leaves once its answer has begun. */
export async function leaveEarly(port: number, path: string): Promise<{ status: number }> {
  const socket = net.connect({ port, host: HOST });
  const place = await connected(socket, "connect");
  try {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    const [head] = (await Promise.race([
      once(socket, "data"),
      once(socket, "close").then(() => Promise.reject(new Error("Closed instead of an answer"))),
    ])) as [Buffer];
    return { status: Number(head.toString("latin1", 9, 12)) };
  } catch (error) {
    throw Object.assign(error as Error, place);
  } finally {
    socket.destroy();
  }
}

/** Resolves once the connection stands; a failure before that tells the port, where there was one. */
export async function connected(socket: net.Socket, event: string): Promise<Place> {
  const openedAt = performance.now();
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error("Nothing came for a minute")));
  let port = 0;
  socket.once("connect", () => (port = socket.localPort ?? 0));
  try {
    await Promise.race([
      once(socket, event),
      once(socket, "close").then(() => Promise.reject(new Error("Closed at once"))),
    ]);
  } catch (error) {
    throw Object.assign(error as Error, { port, openedAt });
  }
  // What happens later is told to whoever reads.
  socket.on("error", () => {});
  return { port, openedAt };
}
