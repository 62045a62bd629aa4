// The container image without a container engine: what the Dockerfile says is done step by step in a copy of this machine,
// with its Node in place of the base image.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { suite, test } from "node:test";
import { buildPackage } from "../../packaging/build.ts";
import { needs } from "../helpers/programs.ts";
import { waitUntil } from "../helpers/server.ts";
import { openThrowawayRoot } from "../helpers/throwaway-root.ts";

const ROOT = join(import.meta.dirname, "../..");
const PATIENCE_MS = 600_000;

type Step = { readonly word: string; readonly rest: string };

/** The instructions, each with its continued lines, and without comments. */
function readSteps(): Step[] {
  return readFileSync(join(ROOT, "Dockerfile"), "utf8")
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [word = "", ...rest] = line.split(" ");
      return { word, rest: rest.join(" ") };
    });
}

const steps = readSteps();
const lastStage = steps.slice(steps.findLastIndex(({ word }) => word === "FROM"));

/** The one instruction of that name in the last stage. */
function only(word: string): string {
  const found = lastStage.filter((step) => step.word === word);
  assert.equal(found.length, 1, word);
  return found[0]?.rest ?? "";
}

function asList(text: string): string[] {
  return JSON.parse(text) as string[];
}

suite("Dockerfile", () => {
  test("copies what there is, and what it ignores is not needed", () => {
    const ignored = readFileSync(join(ROOT, ".dockerignore"), "utf8").split("\n");
    for (const { rest } of steps.filter(({ word }) => word === "COPY")) {
      const sources = rest.split(" ").slice(0, -1);
      if (sources[0]?.startsWith("--from=")) continue;
      for (const source of sources) {
        assert.ok(existsSync(join(ROOT, source)), source);
        assert.ok(!ignored.includes(source), source);
      }
    }
    const wanted = /^FROM node:(\d+)-/.exec(`FROM ${lastStage[0]?.rest}`)?.[1];
    assert.equal(wanted, process.versions.node.split(".")[0]);
    assert.equal(only("STOPSIGNAL"), "SIGTERM");
  });

  test(
    "makes a server that is process 1, nobody's root, healthy, and ends by its stop signal",
    { timeout: PATIENCE_MS },
    async (t) => {
      if (
        needs(t, "curl", ["curl"]) === undefined ||
        needs(t, "setpriv", ["setpriv"]) === undefined
      )
        return;
      const machine = await openThrowawayRoot(t);
      if (machine === undefined) return;
      const { get, run, path, command } = machine;
      const server = "/opt/portico";
      assert.ok(lastStage.some(({ rest }) => rest === `--from=build /src/build/portico ${server}`));
      get("rm", "-rf", server, "/etc/portico", "/usr/local/bin/portico");
      get("sh", "-c", "userdel portico || true");
      buildPackage(path(server));
      symlinkSync(join(ROOT, "node_modules"), path(`${server}/node_modules`));
      cpSync(join(ROOT, "packaging/container"), path("etc/portico"), { recursive: true });
      for (const { rest } of lastStage.filter(({ word }) => word === "RUN")) get("sh", "-ec", rest);
      // A site that somebody mounted, and one program that leaves another behind.
      writeFileSync(path("srv/www/index.html"), "from the volume");
      mkdirSync(path("srv/cgi"));
      writeFileSync(
        path("srv/cgi/leave"),
        "#!/bin/sh\nsetsid sleep 0.1 </dev/null >/dev/null 2>&1 &\nprintf 'Content-Type: text/plain\\n\\nleft'\n",
        { mode: 0o755 },
      );
      const site = readFileSync(path("etc/portico/conf.d/site"), "utf8");
      const program = '{ "mountpoint": "/leave", "origin": "cgi:///srv/cgi/leave" },';
      writeFileSync(
        path("etc/portico/conf.d/site"),
        site.replace('"mounts": [', `"mounts": [${program}`),
      );

      const [uid = "", gid = ""] = only("USER").split(":");
      const environment = lastStage.filter(({ word }) => word === "ENV").map(({ rest }) => rest);
      const node = join(ROOT, "node_modules/.bin");
      const asImage = [
        ..."setpriv --clear-groups --bounding-set=-all --no-new-privs".split(" "),
        `--reuid=${uid}`,
        `--regid=${gid}`,
        "env",
        "-i",
        `PATH=${node}:/usr/local/bin:/usr/bin:/bin`,
        ...environment,
      ];
      const [unshare = "", ...inRoot] = command(
        "unshare",
        "--pid",
        "--mount-proc",
        "--fork",
        "--kill-child",
        ...asImage,
        ...asList(only("ENTRYPOINT")),
        ...asList(only("CMD")),
      );
      // A pipe that belongs to the user of the image, as engines make it.
      const pipe = path("tmp/stdout");
      execFileSync("mkfifo", [pipe]);
      chownSync(pipe, Number(uid), Number(gid));
      const reader = spawn("cat", [pipe], { stdio: ["ignore", "pipe", "inherit"] });
      const output = openSync(pipe, "w");
      const child = spawn(unshare, inRoot, { stdio: ["ignore", output, "pipe"] });
      closeSync(output);
      const exited = once(child, "exit");
      let log = "";
      let accessLog = "";
      child.stderr?.on("data", (bytes: Buffer) => (log += bytes.toString()));
      reader.stdout.on("data", (bytes: Buffer) => (accessLog += bytes.toString()));
      await waitUntil(
        "the server",
        () => /serves with/.test(log),
        () => log,
      );

      const check = only("HEALTHCHECK").replace(/^.*? CMD /, "");
      const [program0 = "", ...args] = asList(check);
      assert.equal(run(...asImage, program0, ...args).code, 0);
      assert.equal(get("curl", "-sS", "http://127.0.0.1:8080/"), "from the volume");
      assert.equal(get("curl", "-sS", "http://127.0.0.1:8080/leave"), "left");
      await waitUntil(
        "lines of the access log",
        () => /"GET \/leave /.test(accessLog),
        () => log,
      );

      const ours = (): string[] =>
        get("ps", "-eo", "uid=,stat=,args=")
          .split("\n")
          .filter((line) => line.trimStart().startsWith(uid));
      assert.ok(ours().length > 1, ours().join("\n"));
      await waitUntil(
        "what the program left to be reaped",
        () => !ours().some((line) => /\bsleep\b|<defunct>/.test(line)),
        () => ours().join("\n"),
      );
      assert.doesNotMatch(log, /"level":[456]/);

      // As an engine does: to the process that is 1 in its own world.
      get("pkill", "-TERM", "-u", uid, "--oldest");
      assert.deepEqual(await exited, [0, null], log);
      assert.notEqual(run(...asImage, program0, ...args).code, 0);
    },
  );
});
