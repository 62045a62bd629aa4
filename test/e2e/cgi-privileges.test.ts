// What a program has of the server: its user, its umask, and nothing else.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startPortico } from "../helpers/server.ts";

const PROGRAM = `#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
umask; pwd; id -u; id -g; id -G; grep CapEff /proc/self/status; ls -l /proc/$$/fd
`;

test(
  "a program runs as the workers' user, with three descriptors and no right of root",
  { skip: process.getuid?.() !== 0 && "needs root" },
  async (t) => {
    const portico = await startPortico(t, {
      conf: {
        global: { username: "nobody" },
        vhosts: [
          {
            name: "localhost",
            port: 0,
            "access-log": "access.log",
            mounts: [{ mountpoint: "/run", origin: "cgi://./program.cgi" }],
          },
        ],
      },
      files: { "program.cgi": PROGRAM },
      workers: 1,
    });
    const answer = await (await fetch(`${portico.url()}/run`)).text();
    const [umask, place, user, group, groups, capabilities, , ...descriptors] = answer
      .trimEnd()
      .split("\n");
    assert.equal(Number.parseInt(umask ?? "", 8), process.umask());
    assert.equal(place, portico.directory);
    for (const id of [user, group]) assert.match(id ?? "", /^[1-9]\d*$/);
    assert.equal(groups, group);
    assert.equal(capabilities, "CapEff:\t0000000000000000");
    // Beside the script that the shell has open itself.
    const targets = descriptors.map((line) => line.replace(/^.* (\d+ -> \S+).*$/, "$1"));
    assert.deepEqual(
      targets.map((target) => target.replace(/:\[\d+\]/, "")),
      ["0 -> /dev/null", "1 -> pipe", `10 -> ${portico.directory}/program.cgi`, "2 -> pipe"],
    );
  },
);
