import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { launchBrowser, takeScreenshot, type Browser, type Page } from "../helpers/browser.ts";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";

const STATUS = join(import.meta.dirname, "../../status");
const HOSTILE = `"><img src=x onerror=alert(1)>`;

type Conf = { readonly vhosts: readonly Record<string, unknown>[] };

/** A site with the page at its root; more keys for its vhost. */
function conf(port = 0, vhost: Record<string, unknown> = {}): Conf {
  const page = { mountpoint: "/", origin: `file://${STATUS}`, default: "index.html" };
  const protocols = [{ "lws-server-status": { status: "ok" } }];
  return {
    vhosts: [{ name: "localhost", port, mounts: [page], "ws-protocols": protocols, ...vhost }],
  };
}

type Visit = {
  readonly page: Page;
  /** What the console complained about, the server's absence apart. */
  readonly complaints: string[];
  /** URLs that the page asked for. */
  readonly asked: string[];
};

async function visit(browser: Browser, url: string, path = "/"): Promise<Visit> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  const asked: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (!message.text().includes("ERR_CONNECTION_REFUSED")) complaints.push(message.text());
  });
  page.on("dialog", (dialog) => {
    complaints.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => asked.push(request.url()));
  page.on("websocket", (socket) => asked.push(socket.url().replace(/^ws/, "http")));
  await page.goto(url + path);
  await live(page);
  return { page, complaints, asked };
}

/** Waits for numbers. */
function live(page: Page): Promise<void> {
  return page.locator("#state", { hasText: /^live$/ }).waitFor();
}

/** The whole number in front of "in all" of the first tile. */
async function requestsInAll(page: Page): Promise<number> {
  const text = await page.locator("#figures > div").first().locator("dd").last().textContent();
  return Number(/^([\d,]+) in all$/.exec(text ?? "")?.[1]?.replaceAll(",", "") ?? Number.NaN);
}

/** How many pixels of a chart have the colour of a series. */
function inkOf(page: Page, chart: string, series: string): Promise<number> {
  // Reading from a copy leaves the chart's own canvas as fast as it is.
  return page.evaluate(`(() => {
    const canvas = document.querySelector("#${chart} canvas");
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const hex = getComputedStyle(canvas).getPropertyValue("--${series}").trim();
    const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
    let count = 0;
    for (let at = 0; at < data.length; at += 4)
      if (data[at] === red && data[at + 1] === green && data[at + 2] === blue) count += 1;
    return count;
  })()`);
}

async function get(
  url: string,
  times: number,
  headers: Record<string, string> = {},
): Promise<void> {
  for (let time = 0; time < times; time += 1) await (await fetch(url, { headers })).arrayBuffer();
}

async function start(
  t: TestContext,
  options: { conf?: Conf; workers?: number; expect?: readonly RegExp[] } = {},
): Promise<{ portico: Portico; browser: Browser } | undefined> {
  const browser = await launchBrowser(t);
  if (!browser) return undefined;
  const portico = await startPortico(t, { conf: conf(), workers: 2, ...options });
  return { portico, browser };
}

suite("The status page", () => {
  test("moves with the traffic, and no total ever goes back", async (t) => {
    const started = await start(t);
    if (!started) return;
    const { portico, browser } = started;
    const { page, complaints } = await visit(browser, portico.url());
    await waitUntil("a total", async () => (await requestsInAll(page)) > 0);
    const before = await requestsInAll(page);
    assert.equal(await inkOf(page, "chart-requests", "status4xx"), 0);

    let shown = before;
    let sent = 0;
    await waitUntil("the charts to have lines", async () => {
      await get(`${portico.url()}/`, 10);
      await get(`${portico.url()}/missing`, 10);
      sent += 20;
      const now = await requestsInAll(page);
      assert.ok(now >= shown, `the total went back from ${shown} to ${now}`);
      shown = now;
      const inks = [
        await inkOf(page, "chart-requests", "status4xx"),
        await inkOf(page, "chart-requests", "status2xx"),
        await inkOf(page, "chart-latency", "p99"),
        await inkOf(page, "chart-bytes", "tx"),
        await inkOf(page, "chart-connections", "webSockets"),
      ];
      return inks.every((ink) => ink > 0);
    });
    await waitUntil("all of them to be counted", async () => {
      return (await requestsInAll(page)) >= before + sent;
    });
    await takeScreenshot(page, "status-traffic");
    const { requests } = (await portico.status()).totals;
    assert.ok((await requestsInAll(page)) <= requests, "the page says more than the server");
    assert.equal(await page.locator("#workers tbody tr").count(), 2);
    await page.locator("#vhosts td", { hasText: `http://localhost:${portico.port()}` }).waitFor();
    assert.equal(await page.locator("#listeners .badge.open").count(), 2);
    assert.deepEqual(complaints, []);
  });

  test("shows the generations of a reload, and one that failed with its problems", async (t) => {
    const started = await start(t, { expect: [/vhosts\[0\]\.mounts\[0\]/, /^Reload refused/] });
    if (!started) return;
    const { portico, browser } = started;
    const { page, complaints } = await visit(browser, portico.url());
    await page.locator("#reload", { hasText: "None since the start." }).waitFor();
    assert.equal((await portico.control("reload")).ok, true);
    // The page itself keeps the old generation alive.
    await page.locator("#generations tr", { hasText: /^2\s*serving/ }).waitFor();
    await page.locator("#generations tr", { hasText: /^1\s*draining/ }).waitFor();
    await page.locator("#reload", { hasText: "Generation 2 serves" }).waitFor();
    assert.equal(await page.locator("#reload-alarm").count(), 0);

    const mounts = [{ mountpoint: "/", origin: `${HOSTILE}://x` }];
    portico.writeConf(conf(0, { mounts }));
    assert.equal((await portico.control("reload")).ok, false);
    const alarm = page.locator("#reload-alarm");
    await alarm.filter({ hasText: "Generation 2 serves on" }).waitFor();
    await alarm.locator("li", { hasText: "<img src=x onerror=alert(1)>" }).first().waitFor();
    assert.equal(await page.locator('[onerror], [src="x"]').count(), 0);
    await live(page);
    assert.deepEqual(complaints, []);
  });

  test("says that it reconnects, counts down, and is live again when the server is", async (t) => {
    const started = await start(t);
    if (!started) return;
    const { portico, browser } = started;
    const { page, complaints } = await visit(browser, portico.url());
    const port = portico.port();
    const process = (await portico.status()).pid;
    assert.equal(await portico.stop(), 0);
    await page.locator("#state", { hasText: /^reconnecting in \d+ s$/ }).waitFor();
    await page.locator("main.stale").waitFor();
    // Longer waits follow shorter ones.
    await page.locator("#state", { hasText: /^reconnecting in [2-9] s$/ }).waitFor();

    const again = await startPortico(t, { conf: conf(port), workers: 2 });
    await live(page);
    const { pid } = await again.status();
    assert.notEqual(pid, process);
    await page.locator("header p", { hasText: `process ${pid} ` }).waitFor();
    assert.equal(await page.locator("main.stale").count(), 0);
    assert.deepEqual(complaints, []);
  });

  test("says what it needs where the protocol is missing, and tries at once when told to", async (t) => {
    const started = await start(t, { conf: conf(0, { "ws-protocols": [] }) });
    if (!started) return;
    const { portico, browser } = started;
    const page = await browser.newPage();
    await page.goto(portico.url());
    await page.locator(".notice", { hasText: '"ws-protocols"' }).waitFor();
    const state = page.locator("#state");
    await state.filter({ hasText: /^reconnecting in [5-9] s$/ }).waitFor();
    const waited = await page.evaluate(`new Promise((resolve) => {
      const state = document.getElementById("state");
      let seconds = 0;
      const observer = new MutationObserver(() => {
        if (state.textContent === "connecting") resolve(seconds);
        else seconds += 1;
      });
      observer.observe(state, { characterData: true, childList: true, subtree: true });
      document.querySelector(".link button").click();
    })`);
    assert.ok(Number(waited) < 3, `it still counted ${String(waited)} seconds`);
    portico.writeConf(conf());
    assert.equal((await portico.control("reload")).ok, true);
    await page.getByRole("button", { name: "Now" }).click();
    await live(page);
    assert.equal(await page.locator(".notice").count(), 0);
  });

  test("keeps to its own server, and to its policy", async (t) => {
    const started = await start(t);
    if (!started) return;
    const { portico, browser } = started;
    const { page, complaints, asked } = await visit(browser, portico.url());
    assert.ok(asked.length >= 5, asked.join("\n"));
    for (const url of asked) assert.equal(new URL(url).origin, portico.url());
    assert.deepEqual(complaints, []);

    const blocked: string[] = await page.evaluate(`(async () => {
      const found = [];
      document.addEventListener("securitypolicyviolation", (event) =>
        found.push(event.effectiveDirective),
      );
      const style = document.createElement("style");
      style.textContent = "body { display: none }";
      const image = document.createElement("img");
      image.src = "http://127.0.0.1:9/x.png";
      document.head.append(style, image);
      await fetch("http://127.0.0.1:9/").catch(() => undefined);
      try {
        document.body.innerHTML = "<b>markup</b>";
      } catch (error) {
        found.push(error.name);
      }
      // The last of these events has come when two frames are over.
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      return found;
    })()`);
    for (const directive of ["style-src-elem", "img-src", "connect-src", "TypeError"])
      assert.ok(blocked.includes(directive), `${directive} is not among ${blocked.join(", ")}`);
  });

  test("shows hostile names as text", async (t) => {
    const page = { mountpoint: "/", origin: `file://${STATUS}`, default: "index.html" };
    const hostile = { mountpoint: `/${HOSTILE}`, origin: "file:///usr", default: HOSTILE };
    const started = await start(t, {
      conf: conf(0, { name: "<style>body{display:none}", mounts: [page, hostile] }),
    });
    if (!started) return;
    const { portico, browser } = started;
    await get(`${portico.url()}/${encodeURIComponent(HOSTILE)}`, 3, {
      "User-Agent": HOSTILE,
      Referer: HOSTILE,
    });
    const { page: shown, complaints } = await visit(browser, portico.url());
    await shown.locator("#vhosts td", { hasText: "http://<style>body{display:none}:" }).waitFor();
    await shown.locator("#mounts td", { hasText: `/${HOSTILE}` }).waitFor();
    assert.equal(await shown.locator('[onerror], [src="x"], main style').count(), 0);
    assert.deepEqual(complaints, []);
  });

  test("works from the keyboard, fits a phone and follows the dark", async (t) => {
    const started = await start(t);
    if (!started) return;
    const { portico, browser } = started;
    const { page, complaints } = await visit(browser, portico.url());
    const chart = page.locator("#chart-connections .plot");
    const moments = async (): Promise<number> => Number(await chart.getAttribute("aria-valuemax"));
    await waitUntil("a few rows", async () => (await moments()) >= 3);
    await chart.focus();
    await page.keyboard.press("Home");
    const moment = page.locator("#moment", { hasText: /^at \d\d:\d\d:\d\d$/ });
    await moment.waitFor();
    assert.equal(await chart.getAttribute("aria-valuenow"), "0");
    await page.keyboard.press("ArrowRight");
    await waitUntil("the next", async () => (await chart.getAttribute("aria-valuenow")) === "1");
    assert.match((await chart.getAttribute("aria-valuetext")) ?? "", /: HTTP \d+, WebSocket \d+$/);
    // It stays where it was put while new numbers come.
    const second = await moment.textContent();
    const rows = await moments();
    await waitUntil("another row", async () => (await moments()) > rows);
    assert.equal(await moment.textContent(), second);
    await page.keyboard.press("Escape");
    await page.locator("#moment", { hasText: /^$/ }).waitFor({ state: "attached" });

    await page.getByLabel("2 min").focus();
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.getByLabel("5 min").isChecked(), true);

    const ground = (): Promise<string> =>
      page.evaluate("getComputedStyle(document.body).backgroundColor");
    const light = await ground();
    await page.emulateMedia({ colorScheme: "dark" });
    assert.notEqual(await ground(), light);
    await page.setViewportSize({ width: 390, height: 844 });
    await waitUntil("the page to fit", () =>
      page.evaluate<boolean>("document.documentElement.scrollWidth <= 390"),
    );
    await takeScreenshot(page, "status-phone-dark");
    assert.deepEqual(complaints, []);
  });
});
