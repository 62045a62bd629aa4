// A plugin whose answer tells who the client is.

/** To be written as plugins/who.mjs; turned on by `"ws-protocols": [{ "who": {} }]`. */
export const WHO_PLUGIN = `export default {
  name: "who",
  start: () => ({
    request(exchange) {
      exchange.send(200, [], exchange.remoteAddress + " " + exchange.remotePort + " " + exchange.secure);
    },
  }),
};`;

/** Keys of a vhost that answers with it. */
export const WHO_VHOST = {
  interface: "127.0.0.1",
  port: 0,
  "access-log": "access.log",
  mounts: [{ mountpoint: "/", origin: "callback://who" }],
  "ws-protocols": [{ who: {} }],
} as const;
