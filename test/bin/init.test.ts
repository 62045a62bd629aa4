import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { loadConfig } from "../../config/load.ts";
import { runPortico, startPortico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const FILES = ["conf", "conf.d/localhost", "public/index.html"];

suite("portico init", () => {
  test("writes a configuration nothing is to be said about, and says what comes next", async (t) => {
    const directory = join(temporaryDirectory(t), "new/site");
    const { code, stdout, stderr } = await runPortico(["init", directory]);
    assert.equal(stderr, "");
    assert.equal(code, 0);
    for (const file of FILES) assert.ok(stdout.includes(`  ${file}\n`), file);
    for (const command of ["check", "run", "reload"])
      assert.match(stdout, new RegExp(`portico(?:\\.mjs)? ${command} -c \\S*/new/site `));

    const { config, remarks } = await loadConfig(directory);
    assert.deepEqual(remarks, []);
    assert.equal(config.files.length, 2);
  });

  test("every key that is switched off there works when it is switched on", async (t) => {
    const directory = temporaryDirectory(t);
    await runPortico(["init", directory]);
    const made = join(directory, "made");
    writeFileSync(made, "#!/bin/sh\n", { mode: 0o755 });
    let switchedOn = 0;
    for (const file of ["conf", "conf.d/localhost"]) {
      const path = join(directory, file);
      const text = readFileSync(path, "utf8").replaceAll(/^( *)# (?=["{])/gm, (_, indent) => {
        switchedOn += 1;
        return indent;
      });
      // What only a real machine has.
      const files = /\/etc\/letsencrypt[^"]*|\/usr\/lib\/cgi-bin\/hello/g;
      writeFileSync(path, text.replaceAll(files, made).replaceAll("/var/log/portico", directory));
    }
    assert.ok(switchedOn >= 8, `${switchedOn} lines`);
    const { config, remarks } = await loadConfig(directory);
    assert.deepEqual(remarks, []);
    assert.equal(config.vhosts[0]?.mounts.length, 3);
  });

  test("serves its page", async (t) => {
    const directory = temporaryDirectory(t);
    await runPortico(["init", directory]);
    const [conf = "", site = "", page = ""] = FILES.map((file) =>
      readFileSync(join(directory, file), "utf8"),
    );
    const anyPort = site.replace('"port": "7681"', '"port": "0"');
    assert.notEqual(anyPort, site);
    const portico = await startPortico(t, {
      conf,
      files: { "conf.d/localhost": anyPort, "public/index.html": page },
      workers: 1,
    });
    const answer = await fetch(portico.url());
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    assert.equal(await answer.text(), page);
  });

  test("takes an empty directory and refuses any other, changing nothing", async (t) => {
    const directory = temporaryDirectory(t);
    const empty = join(directory, "empty");
    mkdirSync(empty);
    assert.equal((await runPortico(["init", empty])).code, 0);

    const taken = join(directory, "taken");
    mkdirSync(taken);
    writeFileSync(join(taken, ".hidden"), "");
    const refusals: [path: string, reason: RegExp][] = [
      [taken, /is not empty/],
      [empty, /is not empty/],
      [join(taken, ".hidden"), /Cannot write into .*: EEXIST/],
      [join(taken, ".hidden/below"), /Cannot write into .*: ENOTDIR/],
    ];
    const before = readFileSync(join(empty, "conf"));
    for (const [path, reason] of refusals) {
      const { code, stdout, stderr } = await runPortico(["init", path]);
      assert.equal(code, 1, path);
      assert.equal(stdout, "");
      assert.match(stderr, reason);
    }
    assert.deepEqual(readdirSync(taken), [".hidden"]);
    assert.deepEqual(readFileSync(join(empty, "conf")), before);
  });
});
