// AWStats: a big Perl program as CGI, which reads Portico's own log, for users that Portico has checked.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

test("awstats reports what its own server logged, to whom the password file knows", async (t) => {
  const program = needs(t, "awstats", ["/usr/lib/cgi-bin/awstats.pl"]);
  if (program === undefined) return;
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, "data"));
  mkdirSync(join(directory, "www"));
  writeFileSync(join(directory, "www", "column.html"), "<p>A column.</p>");
  const log = join(directory, "access.log");
  const settings = [
    `LogFile="${log}"`,
    "LogFormat=1",
    'SiteDomain="a.test"',
    `DirData="${join(directory, "data")}"`,
    'DirIcons="/icons"',
    "DNSLookup=0",
    "AllowToUpdateStatsFromBrowser=1",
    // What it goes by is REMOTE_USER.
    "AllowAccessFromWebToAuthenticatedUsersOnly=1",
    'AllowAccessFromWebToFollowingAuthenticatedUsers="ann"',
  ];
  writeFileSync(join(directory, "awstats.a.test.conf"), settings.join("\n"));
  const portico = await startPortico(t, {
    conf: {
      vhosts: [
        {
          name: "a.test",
          port: 0,
          "access-log": log,
          mounts: [
            { mountpoint: "/", origin: `file://${join(directory, "www")}` },
            { mountpoint: "/icons", origin: "file:///usr/share/awstats/icon" },
            ...[{}, { "basic-auth": "./passwords" }].map((keys, index) => ({
              mountpoint: ["/open", "/cgi-bin"][index],
              origin: "cgi:///usr/lib/cgi-bin/",
              "cgi-timeout": 60,
              "cgi-env": { AWSTATS_ENABLE_CONFIG_DIR: directory },
              ...keys,
            })),
          ],
        },
      ],
    },
    workers: 1,
    // Its exit status is 1 when it lets nobody in.
    expect: [/^CGI program failed/],
    // "secret", with bcrypt.
    files: { passwords: "ann:$2b$04$SKjzGZ8qsZuy4CYff1./TOEKFtF4WI70BufgpAbXs7YD/dAo22Iba\n" },
  });
  for (let count = 0; count < 7; count += 1)
    await (await fetch(`${portico.url()}/column.html`)).text();
  // Lines reach the file a moment after their answers.
  await waitUntil("seven lines", () => readFileSync(log, "latin1").split("\n").length > 7);

  const report = async (place: string, query: string, user = ""): Promise<string> => {
    const headers = user === "" ? {} : { Authorization: `Basic ${btoa(`${user}:secret`)}` };
    const configured = `config=a.test&configdir=${encodeURIComponent(directory)}`;
    const url = `${portico.url()}/${place}/awstats.pl?${configured}${query}`;
    const response = await fetch(url, { headers });
    assert.equal(response.status, 200, place);
    assert.match(response.headers.get("content-type") ?? "", /^text\/html/);
    return await response.text();
  };
  const updated = await report("cgi-bin", "&update=1&framename=mainright", "ann");
  assert.match(updated, /Statistics for:?[^]*a\.test/);
  assert.match(updated, /Viewed traffic[^]*?<b>7<\/b>[^]*?<\/tr>/);
  const pages = await report("cgi-bin", "&output=urldetail&framename=mainright", "ann");
  assert.match(pages, /\/column\.html[^]*?<td>7<\/td>/);
  const icon = /src="(\/icons\/[^"]+)"/.exec(updated)?.[1];
  assert.equal((await fetch(portico.url() + icon)).headers.get("content-type"), "image/png");
  assert.match(
    await report("open", "&framename=mainright"),
    /Access to statistics is only allowed/,
  );
  assert.equal((await fetch(`${portico.url()}/cgi-bin/awstats.pl`)).status, 401);
  // Before its log goes, which it would notice.
  assert.equal(await portico.stop(), 0);
});
