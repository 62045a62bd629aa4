// How a TLS client learns whether it has everything: a goodbye (close_notify) behind what is complete, and none behind what is not.

import assert from "node:assert/strict";
import test from "node:test";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico } from "../helpers/server.ts";
import { openssl, tlsSite } from "./tls-site.ts";

const CUT = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhalf of it'\nsleep 0.1\nkill -9 $$\n";

test("only a complete answer ends with a goodbye", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const keys = {
    mounts: [
      { mountpoint: "/", origin: "file://./site/a.test" },
      { mountpoint: "/env", origin: "cgi://./env.cgi" },
      { mountpoint: "/cut", origin: "cgi://./cut.cgi" },
    ],
  };
  const site = tlsSite([{ name: "a.test", pair: make({ names: ["a.test"] }), keys }]);
  const portico = await startPortico(t, {
    conf: site.conf,
    files: { ...site.files, "cut.cgi": CUT },
    workers: 1,
    expect: [/CGI program failed: Killed by SIGKILL/],
  });
  const ask = (path: string, version: string) =>
    openssl(
      ["s_client", "-quiet", "-servername", "a.test", "-connect", `127.0.0.1:${portico.port()}`],
      `GET ${path} HTTP/${version}\r\nHost: a.test\r\nConnection: close\r\n\r\n`,
    );
  for (const version of ["1.0", "1.1"]) {
    for (const path of ["/", "/env"]) {
      const answer = await ask(path, version);
      assert.match(answer, /HTTP\/1\.1 200/);
      assert.doesNotMatch(answer, /unexpected eof/, `${path} in HTTP/${version}`);
    }
    const cut = await ask("/cut", version);
    assert.match(cut, /half of it/);
    assert.match(cut, /unexpected eof/, `HTTP/${version}`);
  }
});
