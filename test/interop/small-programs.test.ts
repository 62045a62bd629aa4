// Small CGI programs of Debian, each with manners of its own.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { needs } from "../helpers/programs.ts";
import { startPortico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

async function serve(t: TestContext, mount: Record<string, unknown>): Promise<string> {
  const conf = {
    vhosts: [{ name: "localhost", port: 0, mounts: [{ mountpoint: "/", ...mount }] }],
  };
  // Those that refuse say so by their exit status too.
  return (await startPortico(t, { conf, workers: 1, expect: [/^CGI program failed/] })).url();
}

test("man2html and the programs beside it answer, and refuse in their own words", async (t) => {
  if (needs(t, "man2html", ["/usr/lib/cgi-bin/man/man2html"]) === undefined) return;
  const url = await serve(t, { origin: "cgi:///usr/lib/cgi-bin/man/", "cgi-timeout": 30 });
  for (const [path, status, content] of [
    ["/man2html", 200, /Manual Pages - Main Contents/],
    ["/man2html?man", 200, /Index to man/],
    // Not a page of the manual.
    ["/man2html/etc/passwd", 403, /DOCTYPE HTML/],
    ["/mansec?1", 200, /<HTML>/i],
    ["/mansearch?query=portico", 200, /Swish\+\+/],
    ["/man2html/../../../../etc/passwd", 404, /404 Not Found/],
  ] as const) {
    const answer = await fetch(url + path);
    assert.equal(answer.status, status, path);
    assert.match(answer.headers.get("content-type") ?? "", /^text\/html/, path);
    assert.match(await answer.text(), content, path);
  }
});

test("haserl reads forms and files, and sets cookies", async (t) => {
  const haserl = needs(t, "haserl", ["haserl"]);
  if (haserl === undefined) return;
  const directory = temporaryDirectory(t);
  writeFileSync(
    join(directory, "form"),
    `#!${haserl} --accept-all --upload-limit=1000
<%# A shell in a page %>Set-Cookie: one=1
Set-Cookie: two=2
Content-Type: text/plain

<%= "$GET_a|$POST_name|$COOKIE_c|$POST_file_name" %>
`,
    { mode: 0o755 },
  );
  const url = await serve(t, { origin: `cgi://${directory}` });
  const get = await fetch(`${url}/form?a=1%2B1`, { headers: { Cookie: "c=3" } });
  assert.equal(get.status, 200);
  assert.deepEqual(get.headers.getSetCookie(), ["one=1", "two=2"]);
  assert.equal((await get.text()).trim(), "1+1||3|");
  const post = await fetch(`${url}/form`, {
    method: "POST",
    body: new URLSearchParams({ name: "Ada Löwe" }),
  });
  assert.equal((await post.text()).trim(), "|Ada Löwe||");
  const upload = new FormData();
  upload.set("file", new Blob(["content"]), "plan.txt");
  upload.set("name", "Ada");
  // In one piece with its head: haserl loses a form that it reads in two.
  const encoded = new Response(upload);
  const uploaded = await fetch(`${url}/form`, {
    method: "POST",
    headers: { "Content-Type": encoded.headers.get("content-type") ?? "" },
    body: await encoded.arrayBuffer(),
  });
  assert.match(await uploaded.text(), /\|Ada\|\|plan\.txt/);
});
