// Makes the pictures of the documentation: `node --test test/screenshots.ts` writes docs/images/. The demo runs with two
// workers and some traffic; nothing is asserted. It stands in test/ for the harness, and is no test: `npm test` leaves it out.

import { globSync, readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { launchBrowser, type Browser, type Page } from "./helpers/browser.ts";
import { startPortico, waitUntil, type Portico } from "./helpers/server.ts";

const ROOT = join(import.meta.dirname, "..");
const DEMO = join(ROOT, "examples/demo");
const IMAGES = join(ROOT, "docs/images");
/** As much as the charts show at first. */
const TRAFFIC_SECS = 120;
/** A reload in the middle leaves its trace in the tables. */
const RELOAD_AT_SECS = 70;
const CLIENTS = 6;
/** Longest pause of a client between two requests. */
const SLOWEST_MS = 60;
/** A wave of this length makes the charts worth looking at. */
const WAVE_SECS = 40;
const DESK = { width: 1280, height: 1095 };
/** Down to the generations. */
const TALL_DESK = { width: 1280, height: 1480 };
const PHONE = { width: 390, height: 844 };

test("pictures of the status page and of the demo", async (t) => {
  const browser = await launchBrowser(t);
  if (!browser) return;
  const portico = await startDemo(t);
  const light = await open(browser, `${portico.url()}/server-status/`, TALL_DESK, "light");
  const dark = await open(browser, `${portico.url()}/server-status/`, TALL_DESK, "dark");
  const phone = await open(browser, `${portico.url()}/server-status/`, PHONE, "dark");
  const demo = await open(browser, portico.url(), DESK, "light");
  const demoPhone = await open(browser, portico.url(), PHONE, "dark");
  const reloaded = pause(RELOAD_AT_SECS * 1000).then(() => portico.control("reload"));
  await makeTraffic(portico.url(), TRAFFIC_SECS);
  await reloaded;
  await take(light, "status-light");
  await take(dark, "status-dark");
  await take(phone, "status-phone");

  for (const [turn, colour] of ["Indigo", "Rose", "Amber", "Emerald"].entries()) {
    await demo.getByLabel(colour).click();
    await drawPetals(demo, (turn * Math.PI) / 16);
  }
  await waitUntil(
    "both to be seen",
    async () => (await demo.locator("#status-rows tr").count()) === 2,
  );
  await demo.locator("#cgi button").click();
  await demo.locator("button[name=send]").click();
  await demo.locator("#post-result td").first().waitFor();
  await take(demo, "demo");
  await take(demoPhone, "demo-phone");
});

/** The demo on a free port. */
function startDemo(t: TestContext): Promise<Portico> {
  const paths = globSync(["conf", "public/*", "cgi/*"], { cwd: DEMO });
  const files = Object.fromEntries(paths.map((path) => [path, readFileSync(join(DEMO, path))]));
  const site = readFileSync(join(DEMO, "conf.d/localhost"), "utf8")
    .replace('"7681"', '"0"')
    .replace("file://../../../status", `file://${join(ROOT, "status")}`);
  const { conf = "", ...rest } = files;
  return startPortico(t, {
    conf: String(conf),
    files: { ...rest, "conf.d/localhost": site },
    workers: 2,
  });
}

async function open(
  browser: Browser,
  url: string,
  viewport: { readonly width: number; readonly height: number },
  colorScheme: "light" | "dark",
): Promise<Page> {
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

async function take(page: Page, name: string): Promise<void> {
  await page.evaluate("scrollTo(0, 0)");
  await page.screenshot({ path: join(IMAGES, `${name}.png`) });
}

/** A few clients that keep their connections and want different things, now more, now less. */
async function makeTraffic(url: string, secs: number): Promise<void> {
  const endsAt = performance.now() + secs * 1000;
  const { headers } = await fetch(url);
  const revalidate = { "If-None-Match": headers.get("etag") ?? "" };
  const wishes: readonly (readonly [path: string, headers: Record<string, string>])[] = [
    ["/", {}],
    ["/demo.css", {}],
    ["/demo.js", {}],
    ["/icon.svg", {}],
    ["/", revalidate],
    ["/", revalidate],
    ["/missing", {}],
  ];
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (let turn = client; performance.now() < endsAt; turn += 1) {
        const [path, fields] =
          turn % 97 === 0 ? ["/cgi", {}] : (wishes[turn % wishes.length] ?? ["/", {}]);
        await get(url + path, agent, fields);
        const phase = (performance.now() / 1000 / WAVE_SECS) * 2 * Math.PI + client / 3;
        await pause(SLOWEST_MS * (0.55 + 0.45 * Math.sin(phase)) * Math.random());
      }
      agent.destroy();
    }),
  );
}

function get(url: string, agent: Agent, headers: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent, headers }, (response) => {
      response.resume();
      response.once("end", resolve);
    });
    asked.once("error", reject);
    asked.end();
  });
}

/** A rose with four petals, turned a little. */
async function drawPetals(page: Page, turn: number): Promise<void> {
  const box = await page.locator("#mirror").boundingBox();
  if (!box) throw new Error("The drawing is not visible");
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const steps = 160;
  for (let step = 0; step <= steps; step += 1) {
    const angle = (step / steps) * 2 * Math.PI;
    const radius = 0.45 * box.height * Math.cos(2 * angle);
    await page.mouse.move(x + radius * Math.cos(angle + turn), y + radius * Math.sin(angle + turn));
    if (step === 0) await page.mouse.down();
  }
  await page.mouse.up();
}
