// Prepared replies: the same head as any other answer, the right second, and buffers that stay what they were.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PreparedReply, ReplyClock, type ReplyFrame } from "../../../worker/http/prepared.ts";
import { configureFields } from "../../../worker/http/response-head.ts";

const FRAME: ReplyFrame = {
  configured: configureFields([["X-Conf", "1"]]),
  serverString: "s",
  keepAliveSecs: 5,
};
const LARGE = Buffer.alloc(100_000, "x");

function clockAt(ms: number): ReplyClock {
  const clock = new ReplyClock(() => ms);
  clock.update(0);
  return clock;
}

function render(reply: PreparedReply, clock: ReplyClock, isHead = false, closes = false): Buffer[] {
  const out: Buffer[] = [];
  const bytes = reply.write(out, FRAME, clock, isHead, closes);
  assert.equal(
    bytes,
    out.reduce((sum, buffer) => sum + buffer.length, 0),
  );
  return out;
}

test("PreparedReply renews its Date each second and leaves what is on its way alone", () => {
  const reply = new PreparedReply(200, [["X", "y"]], Buffer.from("body"));
  const [first] = render(reply, clockAt(999));
  assert.equal(
    String(first),
    "HTTP/1.1 200 OK\r\nX: y\r\nX-Conf: 1\r\nServer: s\r\nContent-Length: 4\r\nConnection: keep-alive\r\n" +
      "Keep-Alive: timeout=5\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nbody",
  );
  assert.equal(render(reply, clockAt(500))[0], first);
  const before = String(first);
  const [second] = render(reply, clockAt(1_000));
  assert.equal(String(second), before.replace("00:00:00", "00:00:01"));
  assert.equal(String(first), before);
});

test("PreparedReply sends a large body as it is, behind a head of its own", () => {
  const reply = new PreparedReply(200, [], LARGE);
  const [head, body] = render(reply, clockAt(0));
  assert.match(String(head), /Content-Length: 100000\r\n[^]*\r\n\r\n$/);
  assert.equal(body, LARGE);
});

test("PreparedReply has no body for HEAD and 304, and closes when told to", () => {
  const reply = new PreparedReply(200, [], Buffer.from("body"));
  const closing = render(reply, clockAt(0), true, true);
  assert.match(String(closing[0]), /Content-Length: 4\r\nConnection: close\r\nDate: .*\r\n\r\n$/);
  const unchanged = new PreparedReply(304, [["ETag", '"x"']], Buffer.from("body"));
  assert.doesNotMatch(String(render(unchanged, clockAt(0))[0]), /Content-Length|body/);
  assert.equal(unchanged.bodyBytes, 0);
});

test("PreparedReply leaves a configured Date alone and follows the frame it is asked with", () => {
  const reply = new PreparedReply(200, [], Buffer.from("body"));
  const out: Buffer[] = [];
  render(reply, clockAt(0));
  const configured = configureFields([["Date", "never"]]);
  const other = { ...FRAME, configured };
  reply.write(out, other, clockAt(0), false, false);
  reply.write(out, other, clockAt(5_000), false, false);
  assert.equal(String(out[0]), String(out[1]));
  assert.equal(String(out[0]).match(/Date/g)?.length, 1);
});
