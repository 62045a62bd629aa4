// A program behind TLS, HTTP/2 and a password: what it is told, and how its death looks to a client.

import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico } from "../helpers/server.ts";
import { tlsSite } from "./tls-site.ts";

/** Prints its environment, and how much there was to read; or half an answer, until the client has seen it, and dies. */
const PROGRAM = `#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
[ "$PATH_INFO" = /dies ] && { printf half; read line; kill -SEGV $$; }
env; echo "INPUT=$(wc -c | tr -d ' ')"
`;

test("a program is told all of a request by HTTP/2, and its death resets the stream", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const mount = { mountpoint: "/run", origin: "cgi://./program.cgi", "basic-auth": "./passwords" };
  const site = tlsSite([
    {
      name: "a.test",
      pair: make({ names: ["a.test"] }),
      keys: { mounts: [{ mountpoint: "/", origin: "file://./site/a.test" }, mount] },
    },
  ]);
  const portico = await startPortico(t, {
    conf: site.conf,
    // "secret", with bcrypt.
    files: {
      ...site.files,
      "program.cgi": PROGRAM,
      passwords: "ann:$2b$04$SKjzGZ8qsZuy4CYff1./TOEKFtF4WI70BufgpAbXs7YD/dAo22Iba\n",
    },
    workers: 1,
    expect: [/^CGI program failed/],
    env: { A_SECRET_OF_THE_SERVER: "1" },
  });
  const session = http2.connect(`https://127.0.0.1:${portico.port()}`, {
    rejectUnauthorized: false,
    servername: "a.test",
  });
  t.after(() => session.destroy());
  const begin = (path: string, more: http2.OutgoingHttpHeaders): http2.ClientHttp2Stream =>
    session.request({
      ":authority": "A.Test:8443",
      ":method": "POST",
      ":path": path,
      authorization: `Basic ${btoa("ann:secret")}`,
      ...more,
    });

  const stream = begin("/run/a%20b?x=%201", {
    "content-type": "text/x-test",
    cookie: ["a=1", "b=2"],
    proxy: "http://127.0.0.1:9/",
    proxy_: "http://127.0.0.1:9/",
    x_under: "1",
    "x-under": "2",
    remote_user: "root",
    te: "trailers",
  });
  stream.end("12345");
  const answer = await text(stream);
  // What a shell adds.
  const lines = answer
    .trimEnd()
    .split("\n")
    .filter((line) => !/^(?:PWD|OLDPWD|SHLVL|_)=/.test(line));
  const port = String(portico.port());
  assert.deepEqual(
    Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    ),
    {
      AUTH_TYPE: "Basic",
      CONTENT_LENGTH: "5",
      CONTENT_TYPE: "text/x-test",
      DOCUMENT_ROOT: `${portico.directory}/site/a.test`,
      GATEWAY_INTERFACE: "CGI/1.1",
      HTTPS: "on",
      HTTP_COOKIE: "a=1; b=2",
      HTTP_HOST: "A.Test:8443",
      HTTP_X_UNDER: "2",
      INPUT: "5",
      PATH: "/usr/local/bin:/usr/bin:/bin",
      PATH_INFO: "/a b",
      PATH_TRANSLATED: `${portico.directory}/site/a.test/a b`,
      QUERY_STRING: "x=%201",
      REDIRECT_STATUS: "200",
      REMOTE_ADDR: "127.0.0.1",
      REMOTE_PORT: String(session.socket?.localPort),
      REMOTE_USER: "ann",
      REQUEST_METHOD: "POST",
      REQUEST_URI: "/run/a%20b?x=%201",
      SCRIPT_FILENAME: `${portico.directory}/program.cgi`,
      SCRIPT_NAME: "/run",
      SERVER_NAME: "a.test",
      SERVER_PORT: port,
      SERVER_PROTOCOL: "HTTP/2.0",
      SERVER_SOFTWARE: /^SERVER_SOFTWARE=(portico\/\S+)$/m.exec(answer)?.[1],
      SSL_CLIENT_VERIFY: "NONE",
    },
  );

  const dying = begin("/run/dies", { "content-length": "5" });
  const [first] = (await once(dying, "data")) as [Buffer];
  assert.equal(first.toString(), "half");
  const failed = once(dying, "error") as Promise<[Error]>;
  dying.end("line\n");
  const [error] = await failed;
  assert.match(error.message, /NGHTTP2_INTERNAL_ERROR|NGHTTP2_CANCEL/);
  assert.ok(!session.destroyed);
});
