import assert from "node:assert/strict";
import { test } from "node:test";
import { protocolShape } from "../../../config/protocol.ts";
import { createProtocolHost, type ProtocolHost } from "../../../worker/protocol-host.ts";
import { HttpError, type ProtocolInstance } from "../../../worker/protocol.ts";
import { startSite, type TestSite } from "../../helpers/site.ts";
import { request } from "../../helpers/wire.ts";

function host(instance: ProtocolInstance): ProtocolHost {
  const definition = { name: "test", start: () => instance };
  return createProtocolHost(definition, instance, protocolShape.parse({}), false);
}

function start(
  t: Parameters<typeof startSite>[0],
  protocols: ReadonlyMap<string, ProtocolHost>,
): Promise<TestSite> {
  const keys = { origin: "callback://test", pmo: { key: "value" } };
  return startSite(t, {
    vhosts: [{ name: "h", protocols, mounts: [{ mountpoint: "/form", keys }] }],
  });
}

test("callback mount hands requests to the protocol of its vhost", async (t) => {
  const instance: ProtocolInstance = {
    async request(exchange, rest, pmo) {
      let body = "";
      for await (const chunk of exchange.body) body += String(chunk);
      if (body === "") throw new HttpError(422, "No body");
      exchange.send(201, [["X-Rest", rest]], `${body} ${JSON.stringify(pmo)}`);
    },
  };
  const site = await start(t, new Map([["test", host(instance)]]));
  const reply = await request(site.port, "POST /form/a?b", ["Content-Length: 3"], "abc");
  assert.deepEqual(
    [reply.status, reply.headers.get("x-rest"), reply.body],
    [201, "/a", 'abc {"key":"value"}'],
  );
  assert.equal((await request(site.port, "POST /form")).status, 422);
  assert.deepEqual(site.refused, []);
});

test("callback mount refuses a protocol that is not enabled, or takes no requests", async (t) => {
  const missing = await start(t, new Map());
  assert.deepEqual(missing.refused, [
    'origin: The protocol "test" is not among the ws-protocols of this vhost',
  ]);
  const deaf = await start(t, new Map([["test", host({})]]));
  assert.deepEqual(deaf.refused, [
    'origin: The protocol "test" takes WebSockets only, no requests',
  ]);
});
