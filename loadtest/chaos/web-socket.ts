// A WebSocket client that knows just enough of RFC 6455: short text frames, each echoed, and how the server says goodbye.

import { createHash, randomBytes } from "node:crypto";
import net from "node:net";
import { connected, type Place } from "./links.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const TEXT = 0x81;
const CLOSE = 0x88;
const MASKED = 0x80;
/** Frames of one byte of length. */
const MAX_SHORT = 125;

export type EchoSocket = Place & {
  /** Resolves once the text has come back; "goodbye" where the server closed in an orderly way instead. */
  echo(text: string): Promise<"echoed" | "goodbye">;
  close(): void;
};

/** Opens one in a room of the mirror protocol that nobody else is in. */
export async function openEchoSocket(port: number): Promise<EchoSocket> {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
  const place = await connected(socket, "connect");
  const key = randomBytes(16).toString("base64");
  let held: Buffer = Buffer.alloc(0);
  let isOver = false;
  let isGoodbye = false;
  let wake: () => void = () => {};
  socket.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    wake();
  });
  socket.on("close", () => {
    isOver = true;
    wake();
  });
  const more = async (): Promise<void> => {
    if (isOver) throw Object.assign(new Error("Closed without a goodbye"), place);
    await new Promise<void>((resolve) => (wake = resolve));
  };

  socket.write(
    `GET /?mirror=${randomBytes(8).toString("hex")} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: lws-mirror-protocol\r\n\r\n`,
  );
  let end = held.indexOf("\r\n\r\n");
  for (; end < 0; end = held.indexOf("\r\n\r\n")) await more();
  const head = held.toString("latin1", 0, end);
  held = held.subarray(end + 4);
  const accept = createHash("sha1")
    .update(key + GUID)
    .digest("base64");
  if (!head.startsWith("HTTP/1.1 101 ") || !head.includes(accept)) {
    socket.destroy();
    const status = Number(head.slice("HTTP/1.1 ".length, "HTTP/1.1 101".length));
    throw Object.assign(new Error(`No WebSocket: ${head.split("\r\n")[0]}`), { ...place, status });
  }

  async function frame(): Promise<{ head: number; text: string }> {
    for (;;) {
      const [first = 0, length = 0] = held;
      if (length > MAX_SHORT) throw new Error(`A frame of ${length} bytes was not asked for`);
      if (held.length >= 2 && held.length >= 2 + length) {
        const text = held.toString("utf8", 2, 2 + length);
        held = held.subarray(2 + length);
        return { head: first, text };
      }
      await more();
    }
  }

  return {
    ...place,
    async echo(text) {
      if (isGoodbye) return "goodbye";
      const bytes = Buffer.from(text);
      // The mask of zeros leaves the text as it is.
      socket.write(Buffer.concat([Buffer.of(TEXT, MASKED | bytes.length, 0, 0, 0, 0), bytes]));
      const answer = await frame();
      if (answer.head === CLOSE) {
        isGoodbye = true;
        return "goodbye";
      }
      if (answer.head !== TEXT || answer.text !== text)
        throw Object.assign(new Error(`"${text}" came back as "${answer.text}"`), place);
      return "echoed";
    },
    close: () => socket.destroy(),
  };
}
