// The demo page and its protocols, served by a program of its own: node examples/test-server.ts [PORT]

import { start } from "portico";

const server = await start(
  {
    global: { "server-string": "test-server" },
    vhosts: [
      {
        name: "localhost",
        port: process.argv[2] ?? 7681,
        mounts: [
          { mountpoint: "/", origin: "file://demo/public" },
          { mountpoint: "/cgi", origin: "cgi://demo/cgi/environment.sh" },
          { mountpoint: "/post", origin: "callback://protocol-post-demo" },
          { mountpoint: "/server-status", origin: "file://../status" },
        ],
        "ws-protocols": {
          "dumb-increment-protocol": {},
          "lws-mirror-protocol": {},
          "lws-status": {},
          "lws-server-status": {},
          "protocol-post-demo": {},
        },
      },
    ],
  },
  { directory: import.meta.dirname },
);

console.log(`Serves ${server.url()}`);
process.once("SIGINT", () => void server.stop());
process.once("SIGTERM", () => void server.stop());
