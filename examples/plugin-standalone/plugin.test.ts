import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { start } from "portico";

const NAME = "headline";

test("what one client writes all others read, and HTTP too", async (t) => {
  const server = await start(
    {
      vhosts: [
        {
          port: 0,
          interface: "127.0.0.1",
          mounts: [{ mountpoint: "/", origin: `callback://${NAME}` }],
          "ws-protocols": { [NAME]: { plugin: "./plugin.ts", "max-length": 5 } },
        },
      ],
    },
    { directory: import.meta.dirname, workers: 1 },
  );
  t.after(() => server.stop());
  const url = server.url();

  const reader = new WebSocket(url.replace("http", "ws"), NAME);
  assert.equal(await next(reader), "");
  const writer = new WebSocket(url.replace("http", "ws"), NAME);
  assert.equal(await next(writer), "");
  writer.send("hello");
  assert.equal(await next(reader), "hello");
  assert.equal(await (await fetch(url)).text(), "hello\n");

  writer.send("too long");
  const [closed] = (await once(writer, "close")) as [CloseEvent];
  assert.equal(closed.reason, "At most 5 characters");
  reader.close();
});

async function next(socket: WebSocket): Promise<unknown> {
  const [event] = (await once(socket, "message")) as [MessageEvent<unknown>];
  return event.data;
}
