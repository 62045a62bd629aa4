// A layout like that of Mailman 2: setgid wrappers in C, each a mount of its own, with archives and icons nested between.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "../helpers/programs.ts";
import { startPortico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const PROGRAMS =
  "admin admindb confirm create edithtml listinfo options private rmlist roster subscribe".split(
    " ",
  );
/** No group of ours: what the wrapper gains. */
const LIST_GROUP = 54_321;
const SETGID = 0o2755;

const WRAPPER = `#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static const char *of(const char *name) { const char *value = getenv(name); return value ? value : "-"; }
int main(int argc, char **argv) {
  char body[256] = "";
  if (getenv("CONTENT_LENGTH")) fgets(body, sizeof body, stdin);
  printf("Content-Type: text/plain\\n\\n%s %s %s %s %d %d\\n", of("REQUEST_METHOD"), of("SCRIPT_NAME"), of("PATH_INFO"),
         body[0] ? body : "-", argc, (int)getegid());
  return 0;
}
`;

test("a dozen setgid wrappers are mounts, with archives and icons nested between them", async (t) => {
  const compiler = needs(t, "gcc", ["gcc"]);
  if (compiler === undefined) return;
  const directory = temporaryDirectory(t);
  chmodSync(directory, 0o755);
  const wrapper = join(directory, "wrapper");
  writeFileSync(join(directory, "wrapper.c"), WRAPPER);
  execFileSync(compiler, ["-o", wrapper, join(directory, "wrapper.c")]);
  const isRoot = process.getuid?.() === 0;
  for (const name of PROGRAMS) {
    const program = join(directory, name);
    copyFileSync(wrapper, program);
    if (isRoot) chownSync(program, 0, LIST_GROUP);
    chmodSync(program, isRoot ? SETGID : 0o755); // Behind chown(2), which clears the bit.
  }
  for (const place of ["archives", "icons"]) mkdirSync(join(directory, place));
  writeFileSync(join(directory, "archives", "2026-November.txt"), "From ada\n");
  writeFileSync(join(directory, "icons", "mailman.jpg"), "an icon");

  const mounts = [
    { mountpoint: "/", origin: ">http://lists.example.com/mailman/listinfo" },
    ...PROGRAMS.map((name) => ({
      mountpoint: `/mailman/${name}`,
      origin: `cgi://${join(directory, name)}`,
    })),
    { mountpoint: "/pipermail", origin: `file://${join(directory, "archives")}` },
    { mountpoint: "/mailman/admin/icons", origin: `file://${join(directory, "icons")}` },
  ];
  const conf = { vhosts: [{ name: "localhost", port: 0, mounts }] };
  const portico = await startPortico(t, { conf, workers: 1 });
  const text = async (path: string, options: RequestInit = {}): Promise<string> => {
    const response = await fetch(portico.url() + path, options);
    assert.equal(response.status, 200, path);
    return await response.text();
  };
  const group = isRoot ? LIST_GROUP : process.getegid?.();
  for (const name of PROGRAMS)
    assert.equal(
      await text(`/mailman/${name}/friends`),
      `GET /mailman/${name} /friends - 1 ${group}\n`,
    );
  assert.equal(
    await text("/mailman/subscribe/friends", { method: "POST", body: "email=ada" }),
    `POST /mailman/subscribe /friends email=ada 1 ${group}\n`,
  );
  assert.equal(await text("/pipermail/2026-November.txt"), "From ada\n");
  assert.equal(await text("/mailman/admin/icons/mailman.jpg"), "an icon");
  // Not a name that begins like one.
  assert.equal(await text("/mailman/admindb"), `GET /mailman/admindb - - 1 ${group}\n`);
  const home = await fetch(portico.url(), { redirect: "manual" });
  assert.match(home.headers.get("location") ?? "", /\/mailman\/listinfo/);
});
