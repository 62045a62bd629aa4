// What a WebSocket keeps in memory while nothing happens: ten thousand of them wait most of the time.

import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { test } from "node:test";
import { queryObjects, setFlagsFromString } from "node:v8";
import { runInThisContext } from "node:vm";
import { Http1Connection } from "../../worker/http/http1-connection.ts";
import { WebSocketPeer } from "../../worker/peer.ts";
import { defineProtocol } from "../../worker/protocol.ts";
import { RawClient } from "../plugins/clients.ts";
import { startProtocolServer } from "../plugins/protocol-server.ts";

const COUNT = 20;

/** Whether the engine keeps it in its compact form, and not as a hash table (3 KB for a socket). */
function isCompact(object: object): boolean {
  setFlagsFromString("--allow-natives-syntax");
  const hasFastProperties: unknown = runInThisContext("(object) => %HasFastProperties(object)");
  assert.ok(typeof hasFastProperties === "function");
  return hasFastProperties(object) === true;
}

test("A WebSocket that waits keeps nothing of HTTP", async (t) => {
  const quiet = defineProtocol({ name: "quiet", start: () => ({}) });
  const server = await startProtocolServer(t, { protocols: [quiet] });
  for (let count = 0; count < COUNT; count += 1) await RawClient.upgrade(t, server.port, "quiet");
  assert.equal(server.upgrader.open, COUNT);
  assert.equal(queryObjects(WebSocketPeer, { format: "count" }), COUNT);
  // The last may still be on the stack, or in a slot of the parser's.
  assert.ok(queryObjects(Http1Connection, { format: "count" }) <= 1);
  assert.ok(queryObjects(IncomingMessage, { format: "count" }) <= 1);
  for (const socket of server.sockets) assert.ok(isCompact(socket));
});
