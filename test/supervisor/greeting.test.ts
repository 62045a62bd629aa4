import assert from "node:assert/strict";
import { test } from "node:test";
import { globalShape } from "../../config/server.ts";
import { vhostShape } from "../../config/vhost.ts";
import { describeConfig, describeListeners } from "../../supervisor/greeting.ts";

function configOf(count: number) {
  const vhosts = Array.from({ length: count }, (_, index) => ({
    ...vhostShape.parse({ name: `h${index}`, port: 80 }),
    mounts: [],
    "ws-protocols": [],
    where: { file: "conf", path: `vhosts[${index}]` },
  }));
  return { directory: "/etc/portico", files: [], global: globalShape.parse({}), vhosts };
}

function listenersOf(count: number) {
  const listener = {
    key: "*:80",
    address: { kind: "tcp", host: "0.0.0.0", port: 80 } as const,
    bound: "0.0.0.0:80",
    fd: 9,
    port: 80,
    secure: false,
    vhosts: Array.from({ length: count }, (_, index) => index),
    overrides: [],
  };
  return { listeners: [listener], missing: [], lacksIpv6: false, idle: [] };
}

test("describeConfig and describeListeners tell all of a few vhosts", () => {
  assert.deepEqual(describeConfig(configOf(2)), ["Vhost h0 from conf", "Vhost h1 from conf"]);
  assert.deepEqual(describeListeners(listenersOf(2), configOf(2)), [
    "Listening on 0.0.0.0:80 (http): h0, h1",
  ]);
});

test("describeConfig and describeListeners cut a thousand vhosts and say so", () => {
  const lines = describeConfig(configOf(1_000));
  assert.equal(lines.length, 51);
  assert.equal(lines.at(-1), 'And 950 more vhosts; "portico dump" tells all');
  const [line = ""] = describeListeners(listenersOf(1_000), configOf(1_000));
  assert.match(line, /^Listening on .* h48, h49 and 950 more$/);
});
