import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import { launchBrowser, takeScreenshot } from "../helpers/browser.ts";
import { needs } from "../helpers/programs.ts";
import { startPortico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

type Cgit = { readonly url: string; readonly head: string };
type Git = (...args: string[]) => string;

const STATIC_FILES = "/usr/share/cgit";

/** A Portico with cgit over a fresh repository under /git; undefined once the test is skipped. */
async function serveCgit(
  t: TestContext,
  more: (run: Git, directory: string) => void = () => {},
): Promise<Cgit | undefined> {
  const program = needs(t, "cgit", ["/usr/lib/cgit/cgit.cgi", "/usr/libexec/cgit/cgit.cgi"]);
  const git = program && needs(t, "git", ["git"]);
  if (git === undefined) return undefined;
  const directory = temporaryDirectory(t);
  const repository = join(directory, "demo");
  const run = gitIn(git, repository);
  makeRepository(run, repository);
  more(run, repository);
  const head = run("rev-parse", "HEAD").trim();
  const settings = join(directory, "cgitrc");
  writeFileSync(
    settings,
    `css=/git/static/cgit.css
logo=/git/static/cgit.png
root-title=Portico test
snapshots=tar.gz tar.bz2 zip
enable-index-owner=0
enable-blame=1
max-stats=year
readme=:README
repo.url=demo
repo.path=${join(directory, "demo", ".git")}
repo.desc=A repository made for the test
`,
  );
  const mounts = [
    {
      mountpoint: "/git",
      origin: `cgi://${program}`,
      "cgi-timeout": 30,
      "cgi-env": [{ CGIT_CONFIG: settings }],
    },
    { mountpoint: "/git/static", origin: `file://${STATIC_FILES}` },
  ];
  const conf = { vhosts: [{ name: "localhost", port: 0, mounts }] };
  const portico = await startPortico(t, { conf, workers: 1 });
  return { url: `${portico.url()}/git`, head };
}

function gitIn(git: string, directory: string): Git {
  mkdirSync(directory, { recursive: true });
  return (...args) =>
    execFileSync(git, args, {
      cwd: directory,
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOME: directory, GIT_CONFIG_NOSYSTEM: "1" },
    });
}

/** Two commits, so that there is a diff. */
function makeRepository(run: Git, directory: string): void {
  mkdirSync(join(directory, "src"), { recursive: true });
  run("init", "--quiet", "--initial-branch=main");
  run("config", "user.name", "Ada Lovelace");
  run("config", "user.email", "ada@example.com");
  writeFileSync(join(directory, "README"), "A house with a portico.\n");
  writeFileSync(join(directory, "src", "arch.txt"), "one\ntwo\nthree\n");
  run("add", ".");
  run("commit", "--quiet", "--message=Lay the first stone");
  writeFileSync(join(directory, "src", "arch.txt"), "one\ntwo and a half\nthree\n");
  run("commit", "--quiet", "--all", "--message=Raise the <second> arch");
}

/** The snapshot holds the tree of the second commit. */
function assertSnapshot(bytes: Buffer): void {
  const tar = gunzipSync(bytes).toString("latin1");
  assert.match(tar, /A house with a portico\./);
  assert.match(tar, /two and a half/);
}

test("cgit serves its pages, a diff and a snapshot, and its static files are served inside its mount", async (t) => {
  const cgit = await serveCgit(t);
  if (!cgit) return;
  const page = async (path: string): Promise<string> => {
    const response = await fetch(cgit.url + path);
    assert.equal(response.status, 200, path);
    assert.match(response.headers.get("content-type") ?? "", /^text\/html/);
    return await response.text();
  };
  assert.match(await page("/"), /A repository made for the test/);
  assert.match(await page("/demo/"), /Raise the &lt;second&gt; arch/);
  const log = await page("/demo/log/");
  assert.match(log, /Lay the first stone/);
  assert.match(log, new RegExp(`href='/git/demo/commit/\\?id=${cgit.head}'`));
  const diff = await page(`/demo/commit/?id=${cgit.head}`);
  assert.match(diff, /class='del'>-two</);
  assert.match(diff, /class='add'>\+two and a half</);
  assert.match(await page("/demo/tree/src/arch.txt"), /two and a half/);
  assert.match(await page("/demo/log/?qt=grep&q=first+stone"), /Lay the first stone/);

  const plain = await fetch(`${cgit.url}/demo/plain/src/arch.txt`);
  assert.equal(await plain.text(), "one\ntwo and a half\nthree\n");
  const snapshot = await fetch(`${cgit.url}/demo/snapshot/demo-main.tar.gz`);
  assert.match(snapshot.headers.get("content-type") ?? "", /^application\/x-gzip/);
  assertSnapshot(Buffer.from(await snapshot.arrayBuffer()));

  const css = await fetch(`${cgit.url}/static/cgit.css`);
  assert.equal(await css.text(), readFileSync(join(STATIC_FILES, "cgit.css"), "utf8"));
  const head = await fetch(`${cgit.url}/demo/`, { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal((await fetch(`${cgit.url}/no/such/repository/`)).status, 404);
});

/** Makes a diff of some megabytes. */
const BIG_LINES = 20_000;

test("cgit serves every page that it has, and a big diff", async (t) => {
  const cgit = await serveCgit(t, (run, directory) => {
    const lines = (word: string): string =>
      Array.from({ length: BIG_LINES }, (_, index) => `${word} ${index}\n`).join("");
    writeFileSync(join(directory, "big.txt"), lines("before"));
    run("add", ".");
    run("commit", "--quiet", "--message=Many stones");
    writeFileSync(join(directory, "big.txt"), lines("after"));
    run("commit", "--quiet", "--all", "--message=Other stones");
    run("tag", "--annotate", "--message=Built", "v1");
  });
  if (!cgit) return;
  const { head } = cgit;
  for (const [path, type, content] of [
    ["/?p=about", /^text\/html/, /Portico test/],
    ["/demo/about/", /^text\/html/, /A house with a portico/],
    ["/demo/refs/", /^text\/html/, /\/tag\/\?h=v1/],
    ["/demo/refs/heads/", /^text\/html/, /main/],
    ["/demo/refs/tags/", /^text\/html/, /v1/],
    ["/demo/tag/?h=v1", /^text\/html/, /Built/],
    ["/demo/log/src/arch.txt", /^text\/html/, /Raise the &lt;second&gt; arch/],
    ["/demo/log/?ofs=2", /^text\/html/, /Lay the first stone/],
    ["/demo/tree/", /^text\/html/, /big\.txt/],
    ["/demo/blame/src/arch.txt", /^text\/html/, /two and a half/],
    ["/demo/diff/?id=HEAD~2&id2=HEAD~3", /^text\/html/, /two and a half/],
    ["/demo/rawdiff/?id=HEAD~2", /^text\/plain/, /^\+two and a half$/m],
    ["/demo/patch/?id=HEAD~2", /^text\/plain/, /^Subject: .*Raise the <second> arch$/m],
    ["/demo/stats/?period=y", /^text\/html/, /Ada Lovelace/],
    ["/demo/atom/?h=main", /^text\/xml/, /<title>Other stones<\/title>/],
    ["/demo/blob/src/arch.txt", /^text\/plain/, /^two and a half$/m],
    ["/demo/plain/src/", /^text\/html/, /arch\.txt/],
    ["/demo/HEAD", /^application\/octet-stream/, /^ref: refs\/heads\/main$/m],
    ["/demo/info/refs", /^text\/plain/, new RegExp(`^${head}\trefs/heads/main$`, "m")],
    ["/?q=demo", /^text\/html/, /A repository made for the test/],
  ] as const) {
    const response = await fetch(cgit.url + path);
    assert.equal(response.status, 200, path);
    assert.match(response.headers.get("content-type") ?? "", type, path);
    assert.ok(content.test(await response.text()), `${path} is not what it should be`);
  }

  const diff = await (await fetch(`${cgit.url}/demo/commit/?id=${head}`)).text();
  for (const [sort, word] of [
    ["del", "-before"],
    ["add", "+after"],
  ] as const)
    assert.equal(diff.split(`<div class='${sort}'>${word} `).length - 1, BIG_LINES);
  assert.match(diff, /<\/html>\s*$/);

  // The first bytes of gzip, bzip2 and zip.
  for (const [suffix, magic] of [
    ["tar.gz", "1f8b"],
    ["tar.bz2", "425a"],
    ["zip", "504b"],
  ] as const) {
    const snapshot = await fetch(`${cgit.url}/demo/snapshot/demo-v1.${suffix}`);
    assert.equal(snapshot.status, 200);
    const bytes = Buffer.from(await snapshot.arrayBuffer());
    assert.equal(bytes.toString("hex", 0, 2), magic);
    assert.match(snapshot.headers.get("content-disposition") ?? "", /demo-v1/);
  }
  for (const path of ["/demo/tree/missing", "/demo/commit/?id=0000", "/demo/snapshot/demo-v2.zip"])
    assert.notEqual((await fetch(cgit.url + path)).status, 200, path);
});

test("cgit works in a browser, from its index to a download", async (t) => {
  const cgit = await serveCgit(t);
  const browser = cgit && (await launchBrowser(t));
  if (!cgit || !browser) return;
  const page = await browser.newPage();
  const failures: string[] = [];
  page.on("requestfailed", (request) => failures.push(`${request.url()} failed`));
  page.on("response", (response) => {
    if (response.status() >= 400) failures.push(`${response.url()} ${response.status()}`);
  });

  await page.goto(`${cgit.url}/`);
  assert.equal(await page.title(), "Portico test");
  // Both come from the file mount inside the CGI mount.
  assert.equal(await page.evaluate("document.querySelector('#header img').naturalWidth > 0"), true);
  assert.equal(await page.evaluate("document.styleSheets[0].cssRules.length > 50"), true);
  await takeScreenshot(page, "cgit-index");

  await page.getByRole("link", { name: "demo", exact: true }).click();
  await page.getByText("Ada Lovelace").first().waitFor();
  await takeScreenshot(page, "cgit-summary");

  await page.getByRole("link", { name: "log", exact: true }).click();
  await page.getByText("Lay the first stone").waitFor();
  await takeScreenshot(page, "cgit-log");

  await page.getByRole("link", { name: "Raise the <second> arch" }).first().click();
  assert.equal(
    await page.locator("table.diff .add").allInnerTexts().then(String),
    "+two and a half",
  );
  assert.equal(await page.locator("table.diff .del").allInnerTexts().then(String), "-two");
  await takeScreenshot(page, "cgit-diff");

  await page.getByRole("link", { name: "tree", exact: true }).click();
  await page.getByRole("link", { name: "src", exact: true }).click();
  await page.getByRole("link", { name: "arch.txt", exact: true }).click();
  await page.getByText("two and a half").waitFor();
  await takeScreenshot(page, "cgit-tree");

  await page.getByRole("link", { name: "summary", exact: true }).click();
  await page.getByRole("link", { name: "Raise the <second> arch" }).first().click();
  await page.locator("table.diff").waitFor();
  // A browser that turns a page load into a download calls the load failed.
  assert.deepEqual(failures, []);
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: /\.tar\.gz$/ }).click();
  assertSnapshot(readFileSync(await (await download).path()));
});
