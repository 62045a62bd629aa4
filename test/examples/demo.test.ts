import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import { loadConfig } from "../../config/load.ts";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";

const ROOT = join(import.meta.dirname, "../..");
const DEMO = join(ROOT, "examples/demo");
const STATUS = join(ROOT, "status");
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => existsSync(path));
const NO_BROWSER = CHROMIUM === undefined ? "needs Chromium in /usr/bin" : false;

const read = (...path: string[]): string => readFileSync(join(...path), "utf8");
const withoutComments = (text: string): string => text.replaceAll(/^\s*#.*$/gm, "");
const pages = [DEMO, STATUS].flatMap((directory) =>
  globSync(join(directory, "**/*.{html,css,js}")).map((file) => read(file)),
);

suite("The demo", () => {
  test("is a configuration nothing is to be said about", async () => {
    const { config, remarks } = await loadConfig(DEMO);
    assert.deepEqual(remarks, []);
    assert.deepEqual(
      config.vhosts.map(({ name, port }) => ({ name, port })),
      [{ name: "localhost", port: 7681 }],
    );
  });

  test("shows lines of JSON that are those of its configuration", () => {
    const { vhosts } = JSON.parse(withoutComments(read(DEMO, "conf.d/localhost")));
    const shown = [...read(DEMO, "public/index.html").matchAll(/<pre class="config">([^<]+)</g)];
    assert.ok(shown.length >= 6);
    for (const [, text] of shown) {
      const part: unknown = JSON.parse(`{${text}}`);
      assert.ok(isPartOf(part, vhosts[0]), `Not in conf.d/localhost: ${text}`);
    }
  });

  test("asks no other site for anything, and makes no markup of what it is told", () => {
    assert.ok(pages.length >= 7);
    for (const text of pages) {
      assert.doesNotMatch(text, /(?:src|href|url\(|from|import)[\s=("']*(?:https?:)?\/\//);
      assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write/);
    }
  });
});

/** Whether all of `part` is in `whole`; an element of an array may be at any place of the other. */
function isPartOf(part: unknown, whole: unknown): boolean {
  if (Array.isArray(part))
    return (
      Array.isArray(whole) &&
      part.every((element) => whole.some((other) => isPartOf(element, other)))
    );
  if (typeof part !== "object" || part === null) return part === whole;
  if (typeof whole !== "object" || whole === null) return false;
  const members = new Map(Object.entries(whole));
  return Object.entries(part).every(([key, value]) => isPartOf(value, members.get(key)));
}

suite("The demo in a browser", { skip: NO_BROWSER }, () => {
  test("every tile works for two visitors at once, on a desk and on a phone", async (t) => {
    const { desk, phone, errors } = await visit(t);

    await drawLine(desk, 40);
    await waitUntil("the phone to see it", async () => (await ink(phone)) > 0);
    const first = await ink(phone);
    await phone.locator("#mirror").focus();
    await phone.keyboard.press("Space");
    for (let step = 0; step < 20; step += 1) await phone.keyboard.press("ArrowDown");
    await waitUntil("the desk to see that", async () => (await ink(desk)) > first);

    const count = desk.locator("#increment");
    await waitUntil("the count to go on", async () => Number(await count.textContent()) > 10);
    await desk.locator("#increment-reset").click();
    await waitUntil("the count to start again", async () => Number(await count.textContent()) < 10);

    await desk.locator("#open-start").click();
    await desk.locator("#open-client:enabled").click();
    await desk.locator("#open-log li", { hasText: "closed with 3000, “Bye!”" }).waitFor();
    await desk.locator("#open-start:enabled").click();
    await desk.locator("#open-server:enabled").click();
    await desk.locator("#open-log li", { hasText: "closed with 1001, “seeya”" }).waitFor();

    await phone.locator("#status-summary", { hasText: "2 connections" }).waitFor();
    assert.equal(await phone.locator("#status-rows tr").count(), 2);

    await desk.locator("button[name=send]").click();
    await desk.locator("#post-result td", { hasText: "Žluťoučký & <kůň>" }).waitFor();
    const buffer = Buffer.from("hello");
    const upload = { name: "hello.txt", mimeType: "text/plain", buffer };
    await desk.locator("input[type=file]").setInputFiles(upload);
    await desk.locator("button[name=upload]").click();
    await desk.locator("#post-result", { hasText: "hello.txt, length 5" }).waitFor();

    await desk.locator("#cgi button").click();
    const output = desk.locator("#cgi-result");
    await waitUntil("the program", async () => (await output.textContent()) !== "");
    assert.match((await output.textContent()) ?? "", /^GREETING=from the configuration$/m);
    assert.match((await output.textContent()) ?? "", /^QUERY_STRING=name=value$/m);

    assert.deepEqual(errors, []);
  });

  test("who came before a reload and who came after share one drawing", async (t) => {
    const { portico, browser, desk, errors } = await visit(t);
    assert.equal((await portico.control("reload")).ok, true);
    const late = await openPage(browser, portico.url(), errors);
    await drawLine(desk, 40);
    await waitUntil("the newcomer to see it", async () => (await ink(late)) > 0);
    const before = await ink(desk);
    await drawLine(late, 80);
    await waitUntil("the old one to see that", async () => (await ink(desk)) > before);
    assert.equal(await desk.locator("#mirror-state").textContent(), "live");
    assert.deepEqual(errors, []);
  });

  test("the status page shows the workers", async (t) => {
    const { portico, browser, errors } = await visit(t);
    const page = await browser.newPage();
    watch(page, errors);
    await page.goto(`${portico.url()}/server-status`);
    await page.locator("#workers td", { hasText: "serving" }).first().waitFor();
    assert.equal(await page.locator("#workers tr").count(), 1 + 2);
    await page.locator("#vhosts th", { hasText: "localhost:" }).waitFor();
    assert.equal(await page.locator("#mounts tr").count(), 1 + 4);
    assert.deepEqual(errors, []);
  });
});

type Visit = {
  readonly portico: Portico;
  readonly browser: Browser;
  readonly desk: Page;
  readonly phone: Page;
  /** What went wrong in any page, as the browser's console has it. */
  readonly errors: string[];
};

/** Serves the demo with two workers, on a free port, to two browsers. */
async function visit(t: TestContext): Promise<Visit> {
  const site = read(DEMO, "conf.d/localhost")
    .replace('"7681"', '"0"')
    .replace("file://../../../status", `file://${STATUS}`);
  const paths = globSync(["public/*", "cgi/*"], { cwd: DEMO });
  const files = Object.fromEntries(paths.map((path) => [path, readFileSync(join(DEMO, path))]));
  const portico = await startPortico(t, {
    conf: JSON.parse(withoutComments(read(DEMO, "conf"))),
    files: { ...files, "conf.d/localhost": site },
    workers: 2,
  });
  const browser = await chromium.launch({
    ...(CHROMIUM === undefined ? {} : { executablePath: CHROMIUM }),
    args: ["--no-sandbox"],
  });
  t.after(() => browser.close());
  const errors: string[] = [];
  const small = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true } as const;
  return {
    portico,
    browser,
    desk: await openPage(browser, portico.url(), errors),
    phone: await openPage(browser, portico.url(), errors, { ...small, colorScheme: "dark" }),
    errors,
  };
}

async function openPage(
  browser: Browser,
  url: string,
  errors: string[],
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  watch(page, errors);
  await page.goto(url);
  await waitUntil(
    "three live tiles",
    async () => (await page.locator(".state.open").count()) === 3,
  );
  return page;
}

function watch(page: Page, errors: string[]): void {
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
}

async function drawLine(page: Page, y: number): Promise<void> {
  const box = await page.locator("#mirror").boundingBox();
  assert.ok(box);
  await page.mouse.move(box.x + 50, box.y + y);
  await page.mouse.down();
  for (let x = 60; x < 250; x += 10) await page.mouse.move(box.x + x, box.y + y);
  await page.mouse.up();
}

/** How many points of the drawing are coloured. */
function ink(page: Page): Promise<number> {
  return page.evaluate(`(() => {
    const { width, height } = document.getElementById("mirror");
    const { data } = document.getElementById("mirror").getContext("2d").getImageData(0, 0, width, height);
    return data.filter((value, index) => index % 4 === 3 && value > 0).length;
  })()`);
}
