// A tunnel: each raw connection gets one of its own to "onward", and bytes pass both ways until either end closes.
// A vhost gives it connections by "listen-accept-protocol", such as those that are not HTTP: ssh and https on one port.

import { connect, isIPv4, isIPv6, type NetConnectOpts } from "node:net";
import { convert, object, text } from "../config/shape.ts";
import { defineProtocol } from "../worker/protocol.ts";

/** For the other end to answer. */
const CONNECT_MS = 10_000;
/** What lwsws takes where "onward" names no port. */
const DEFAULT_PORT = 22;

export default defineProtocol({
  name: "raw-proxy",
  options: object({
    onward: convert(text(), (value, refuse): NetConnectOpts | undefined => {
      const target = parseOnward(value);
      return (
        target ?? refuse(`Expected "ipv4:ADDRESS[:PORT]", "ipv6:[ADDRESS]:PORT" or "unix:PATH"`)
      );
    }),
  }),
  start: ({ log }, { onward }) => ({
    raw({ stream, address }) {
      const far = connect({ ...onward, noDelay: true, allowHalfOpen: true });
      const timer = setTimeout(() => far.destroy(new Error("No answer")), CONNECT_MS);
      far.once("connect", () => clearTimeout(timer));
      // The end of one direction passes through; a connection that breaks takes the other along.
      stream.once("close", () => far.destroy());
      far.on("error", (error) => log.debug({ err: error, address }, "Tunnel"));
      far.once("close", () => {
        clearTimeout(timer);
        if (!far.readableEnded) stream.destroy();
      });
      stream.pipe(far);
      far.pipe(stream);
    },
  }),
});

function parseOnward(value: string): NetConnectOpts | undefined {
  const unix = /^unix:(\/.+)$/.exec(value)?.[1];
  if (unix !== undefined) return { path: unix };
  const [, family, bracketed, plain, port = String(DEFAULT_PORT)] =
    /^(ipv[46]):(?:\[([^\]]+)\]|([^[\]]+?))(?::(\d{1,5}))?$/.exec(value) ?? [];
  const host = bracketed ?? plain ?? "";
  const isAddress = family === "ipv4" ? isIPv4(host) : isIPv6(host);
  // Without brackets nothing tells where an IPv6 address ends.
  if (!isAddress && family === "ipv6" && isIPv6(`${host}:${port}`))
    return { host: `${host}:${port}`, port: DEFAULT_PORT };
  return isAddress && Number(port) > 0 && Number(port) < 65_536
    ? { host, port: Number(port) }
    : undefined;
}
