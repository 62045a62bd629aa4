import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { startPortico } from "./helpers/server.ts";

const README = readFileSync(join(import.meta.dirname, "../README.md"), "utf8");

/** The code block that starts right after `text`. */
function blockAfter(text: string, language: string): string {
  const start = README.indexOf(text);
  assert.notEqual(start, -1, `README has no "${text}"`);
  const fence = `\`\`\`${language}\n`;
  const from = README.indexOf(fence, start) + fence.length;
  return README.slice(from, README.indexOf("```", from));
}

/** The configuration as printed, but on a free port, for whoever runs the tests. */
function onFreePort(conf: string): string {
  return conf
    .replace(/"port": "\d+"/, '"port": 0')
    .replace('"username": "www-data"', '"server-string": "x"');
}

test("README's site serves its files, its program and its redirect", async (t) => {
  const portico = await startPortico(t, {
    conf: onFreePort(blockAfter("## Serve your site", "json")),
    files: {
      "public/index.html": "hello",
      "hello.cgi": "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nfrom a program'\n",
    },
  });
  assert.equal(await (await fetch(`${portico.url()}/`)).text(), "hello");
  assert.equal(await (await fetch(`${portico.url()}/cgi`)).text(), "from a program");
  const moved = await fetch(`${portico.url()}/old`, { redirect: "manual" });
  assert.equal(moved.headers.get("location"), "https://example.org/new");
});

test("README's protocol plugin shouts on every worker", async (t) => {
  const portico = await startPortico(t, {
    conf: onFreePort(blockAfter("A vhost turns it on by name", "json")),
    files: { "plugins/shout.mjs": blockAfter("`my-site/plugins/shout.mjs`", "js") },
    workers: 2,
  });
  const sockets = Array.from(
    { length: 12 },
    () => new WebSocket(portico.url().replace("http", "ws"), "shout"),
  );
  t.after(() => sockets.forEach((socket) => socket.close()));
  await Promise.all(sockets.map((socket) => once(socket, "open")));
  const heard = sockets.map((socket) =>
    once(socket, "message").then(([event]) => String((event as MessageEvent).data)),
  );
  sockets[0]?.send("psst");
  assert.deepEqual(
    await Promise.all(heard),
    sockets.map(() => "PSST"),
  );
});
