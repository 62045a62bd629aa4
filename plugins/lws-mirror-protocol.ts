// Everything a client sends goes to every client of its room, the sender included, in every worker and generation.
// The room is `?mirror=NAME` of the upgrade's URL. Who joins sees what comes after; order is kept per sender.

import { defineProtocol, type Peer } from "../worker/protocol.ts";

const MAX_ROOM_NAME = 30;
const TOPIC = "mirror";

export default defineProtocol({
  name: "lws-mirror-protocol",
  // Each message is queued once per listener, so one sender must not fill all their queues alone.
  maxMessageBytes: 64 * 1024,
  start(context) {
    const rooms = new Map<string, Set<Peer>>();
    const roomOf = new Map<Peer, string>();

    function deliver(room: string, text: string): void {
      for (const peer of rooms.get(room) ?? []) peer.send(text);
    }

    // One topic for all rooms: clients name rooms as they like, so a topic each would let them exhaust the bus.
    const unsubscribe = context.bus.subscribe(TOPIC, (message) => {
      const [room, text] = unpack(message);
      deliver(room, text);
    });

    return {
      open(peer) {
        const room = roomFromTarget(peer.target);
        if (room.length > MAX_ROOM_NAME) {
          peer.close(1008, `Room names have at most ${MAX_ROOM_NAME} characters`);
          return;
        }
        roomOf.set(peer, room);
        const peers = rooms.get(room) ?? new Set();
        rooms.set(room, peers.add(peer));
      },
      message(peer, message) {
        const room = roomOf.get(peer);
        if (room === undefined) return;
        context.count("messages");
        // A binary frame need not be UTF-8, but the text frames made of it must.
        const text = message.toString("utf8");
        deliver(room, text);
        context.bus.publish(TOPIC, pack(room, text));
      },
      close(peer) {
        const room = roomOf.get(peer);
        if (room === undefined) return;
        roomOf.delete(peer);
        const peers = rooms.get(room);
        peers?.delete(peer);
        if (peers?.size === 0) rooms.delete(room);
      },
      stop: unsubscribe,
    };
  },
});

function roomFromTarget(target: string): string {
  const start = target.indexOf("?");
  return start < 0 ? "" : (new URLSearchParams(target.slice(start)).get("mirror") ?? "");
}

/** On the bus: one byte with the length of the room's name, the name, the text. */
function pack(room: string, text: string): Buffer {
  const name = Buffer.from(room);
  return Buffer.concat([Buffer.of(name.length), name, Buffer.from(text)]);
}

function unpack(message: Buffer): [room: string, text: string] {
  const end = 1 + (message[0] ?? 0);
  return [message.toString("utf8", 1, end), message.toString("utf8", end)];
}
