// What the keys of a mount of programs do.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { findProgram } from "../../../../worker/mounts/cgi/script.ts";
import { temporaryDirectory } from "../../../helpers/site.ts";
import { serveCgi } from "./cgi-server.ts";
import { ask, until } from "./clients.ts";

const TEXT = "Content-Type: text/plain\\n\\n";
const noPrlimit = (await findProgram("prlimit")) === undefined && "no prlimit(1)";
const noUnshare = (await findProgram("unshare")) === undefined && "no unshare(1)";

test("cgi-max-secs ends a program that never falls silent", async (t) => {
  const server = await serveCgi(t, `printf '${TEXT}'; while echo more; do sleep 0.02; done`, {
    config: { "cgi-max-secs": 0.3 },
  });
  const answer = await ask(server.port, "/run");
  assert.equal(answer.status, 200);
  assert.ok(!answer.isWhole);
  await until("the program ends", () => server.cgi.alive === 0);
  assert.equal(server.cgi.timedOut, 1);
});

test("cgi-max limits how many run, and counts who is refused", async (t) => {
  const server = await serveCgi(t, `printf '${TEXT}x'; sleep 600`, {
    config: { "cgi-max": 1 },
    limits: { maxWaiting: 1 },
  });
  const held = [0, 1].map(() => {
    const client = request(server.url, { agent: false });
    client.on("error", () => {}); // It is cut at the end.
    client.end();
    return client;
  });
  await until("one runs and one waits", () => server.cgi.alive === 1 && server.cgi.queued === 1);
  const answer = await ask(server.port, "/run");
  assert.equal(answer.status, 503);
  assert.match(answer.head, /^retry-after: \d+$/im);
  assert.equal(server.cgi.refused, 1);
  for (const client of held) client.destroy();
  await until("nobody is left", () => server.cgi.alive === 0 && server.cgi.queued === 0);
});

test("cgi-keep lets a program finish whose client has left", async (t) => {
  const server = await serveCgi(
    t,
    `printf '${TEXT}'; echo up >up; while [ ! -e go ]; do printf .; sleep 0.02; done; echo done >done`,
    { config: { "cgi-keep": true } },
  );
  const socket = connect(server.port, "127.0.0.1");
  socket.write("GET /run HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await until("it runs", () => existsSync(join(server.directory, "up")));
  socket.destroy();
  writeFileSync(join(server.directory, "go"), "");
  await until("it has finished", () => existsSync(join(server.directory, "done")));
  await until("it has ended", () => server.cgi.alive === 0);
});

test("cgi-body stream passes a chunked body on while it still comes", async (t) => {
  const server = await serveCgi(t, `printf '${TEXT}%s|' "$CONTENT_LENGTH"; exec cat`, {
    config: { "cgi-body": "stream" },
  });
  const client = request(server.url, { method: "POST", agent: false });
  client.write("one ");
  const answer = await new Promise<import("node:http").IncomingMessage>((resolve) =>
    client.once("response", resolve),
  );
  answer.setEncoding("latin1");
  let text = "";
  answer.on("data", (piece: string) => {
    text += piece;
    if (text === "|one ") client.end("two");
  });
  await new Promise((resolve) => answer.once("end", resolve));
  assert.equal(text, "|one two");
});

suite("cgi-rlimit", { skip: noPrlimit }, () => {
  test("sets limits before the first instruction of the program", async (t) => {
    const server = await serveCgi(
      t,
      `printf '${TEXT}'; ulimit -t; ulimit -v; ulimit -n; ulimit -f; ulimit -c; printf '%s ' "$0" "$#"`,
      {
        config: {
          "cgi-rlimit-cpu": 7,
          "cgi-rlimit-memory": 512,
          "cgi-rlimit-nofile": 33,
          "cgi-rlimit-fsize": 3,
        },
      },
    );
    const { body } = await ask(server.port, "/run");
    assert.equal(body, `7\n${512 * 1024}\n33\n${(3 * 1024 * 1024) / 512}\n0\n${server.program} 0 `);
  });

  test("ends a program that uses up its processor time", async (t) => {
    const server = await serveCgi(t, "while :; do :; done", { config: { "cgi-rlimit-cpu": 1 } });
    assert.equal((await ask(server.port, "/run")).status, 502);
    assert.ok(server.log.some(({ msg }) => /Killed by SIG(?:XCPU|KILL)/.test(String(msg))));
    assert.ok(server.cgi.cpuMs > 500);
  });

  test("leaves the answers to a program that cannot start as they are", async (t) => {
    const server = await serveCgi(t, `printf '${TEXT}x'`, { config: { "cgi-rlimit-cpu": 1 } });
    assert.equal((await ask(server.port, "/run")).body, "x");
    chmodSync(server.program, 0o644);
    assert.equal((await ask(server.port, "/run")).status, 502);
  });
});

suite("cgi-chroot", { skip: noUnshare }, () => {
  test("shows a program nothing but its root", async (t) => {
    const root = temporaryDirectory(t);
    mkdirSync(join(root, "work"));
    // A shell and the libraries that it names.
    const libraries = execFileSync("ldd", ["/bin/sh"]).toString().match(/\/\S+/g) ?? [];
    for (const path of ["/bin/sh", ...libraries]) {
      mkdirSync(join(root, dirname(path)), { recursive: true });
      copyFileSync(path, join(root, path));
    }
    const script = `#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; pwd; echo /*; echo "$SCRIPT_FILENAME"\n`;
    writeFileSync(join(root, "bin/program"), script, { mode: 0o755 });
    const server = await serveCgi(t, "", {
      program: "/bin/program",
      config: { "cgi-chroot": root, "cgi-chdir": "/work" },
    });
    assert.deepEqual(server.refusals, []);
    assert.equal(
      (await ask(server.port, "/run")).body,
      `/work\n${readdirSync(root)
        .map((name) => `/${name}`)
        .join(" ")}\n/bin/program\n`,
    );
  });

  test("does not go with a directory of programs", async (t) => {
    const root = temporaryDirectory(t);
    mkdirSync(join(root, "cgi"));
    const server = await serveCgi(t, "", { program: "/cgi", config: { "cgi-chroot": root } });
    assert.match(server.refusals.join("\n"), /cgi-chroot: A directory of programs/);
  });
});

suite("a directory of programs", () => {
  function fill(t: TestContext): string {
    const directory = join(temporaryDirectory(t), "cgi-bin");
    mkdirSync(join(directory, "sub"), { recursive: true });
    const show = `#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s|%s|%s|%s' "$SCRIPT_NAME" "$PATH_INFO" "$SCRIPT_FILENAME" "$PWD"\n`;
    writeFileSync(join(directory, "show"), show, { mode: 0o755 });
    writeFileSync(join(directory, "grüße"), show, { mode: 0o755 });
    writeFileSync(join(directory, ".hidden"), show, { mode: 0o755 });
    writeFileSync(join(directory, "data.txt"), "secret", { mode: 0o644 });
    writeFileSync(join(directory, "sub", "inner"), show, { mode: 0o755 });
    writeFileSync(join(directory, "..", "outside"), show, { mode: 0o755 });
    symlinkSync("../outside", join(directory, "escape"));
    symlinkSync("show", join(directory, "alias"));
    return directory;
  }

  test("runs the one that the next segment names, in their directory", async (t) => {
    const program = fill(t);
    const server = await serveCgi(t, "", { program });
    for (const [path, name, file] of [
      ["/show/a%20b/c", "/run/show", "show"],
      ["/gr%C3%BC%C3%9Fe/a%20b/c", "/run/grüße", "grüße"],
      ["/alias/a%20b/c", "/run/alias", "alias"],
    ] as const) {
      const { status, body } = await ask(server.port, `/run${path}`);
      assert.equal(status, 200, path);
      const text = Buffer.from(body, "latin1").toString();
      assert.equal(text, `${name}|/a b/c|${program}/${file}|${program}`);
    }
    assert.equal((await ask(server.port, "/run/show")).body.split("|")[1], "");
    assert.equal((await ask(server.port, "/run/show/")).body.split("|")[1], "/");
  });

  test("shows nothing else", async (t) => {
    const server = await serveCgi(t, "", { program: fill(t) });
    for (const [path, status] of [
      ["", 404],
      ["/", 404],
      ["/missing", 404],
      ["/.hidden", 404],
      ["/sub", 404],
      ["/sub/inner", 404],
      ["/escape", 404],
      ["/show%2F..%2F..%2Foutside", 404],
      ["/%80", 404],
      ["/data.txt", 403],
    ] as const) {
      const answer = await ask(server.port, `/run${path}`);
      assert.equal(answer.status, status, path);
      assert.doesNotMatch(answer.body, /secret|outside/);
    }
    assert.equal(server.cgi.started, 0);
  });

  test("hands a file with a known suffix to its interpreter, and nothing of the request with it", async (t) => {
    const directory = temporaryDirectory(t);
    writeFileSync(join(directory, "page.txt2"), "the text", { mode: 0o644 });
    const interpreter = join(temporaryDirectory(t), "interpreter");
    writeFileSync(
      interpreter,
      `#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s|%s|%s|' "$#" "$SCRIPT_FILENAME" "$PATH_INFO"; cat "$1"\n`,
      { mode: 0o755 },
    );
    const config = { "cgi-interpreter": { ".txt2": interpreter } };
    const server = await serveCgi(t, "", { program: directory, config });
    const { body } = await ask(server.port, "/run/page.txt2/more?-s+-d");
    assert.equal(body, `1|${join(directory, "page.txt2")}|/more|the text`);
    const single = await serveCgi(t, "", { program: join(directory, "page.txt2"), config });
    assert.deepEqual(single.refusals, []);
    assert.match((await ask(single.port, "/run/x")).body, /the text$/);
  });
});
