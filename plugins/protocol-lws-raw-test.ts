// Sends back what comes, in pieces of 128 bytes: the test of raw connections of lws.
// A vhost gives it connections by "listen-accept-protocol".

import { Transform } from "node:stream";
import { defineProtocol } from "../worker/protocol.ts";

const PIECE_BYTES = 128;

export default defineProtocol({
  name: "protocol-lws-raw-test",
  start: () => ({
    raw({ stream }) {
      const pieces = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          for (let at = 0; at < chunk.length; at += PIECE_BYTES)
            this.push(chunk.subarray(at, at + PIECE_BYTES));
          done();
        },
      });
      stream.pipe(pieces).pipe(stream);
    },
  }),
});
