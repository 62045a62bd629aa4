import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { certificateMaker } from "../helpers/certificates.ts";
import { launchBrowser, takeScreenshot, type Browser, type Page } from "../helpers/browser.ts";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";
import { exchangeBytes } from "../helpers/wire.ts";

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
        await inkOf(page, "chart-cpu", "cpu"),
        await inkOf(page, "chart-memory", "memory"),
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
    await page.locator("#vhosts th", { hasText: `localhost:${portico.port()}` }).waitFor();
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
    const file = join(temporaryDirectory(t), "file");
    writeFileSync(file, `<script>alert(1)</script>${HOSTILE}`);
    const started = await start(t, {
      conf: conf(0, {
        name: "<style>body{display:none}",
        mounts: [page, hostile],
        "ws-protocols": [{ "lws-server-status": { filespath: file, "update-ms": 1 } }],
      }),
    });
    if (!started) return;
    const { portico, browser } = started;
    await get(`${portico.url()}/${encodeURIComponent(HOSTILE)}`, 3, {
      "User-Agent": HOSTILE,
      Referer: HOSTILE,
    });
    const { page: shown, complaints } = await visit(browser, portico.url());
    await shown.locator("#vhosts th", { hasText: "<style>body{display:none}:" }).waitFor();
    await shown.locator("#mounts th", { hasText: `/${HOSTILE}` }).waitFor();
    await shown.locator("#mounts td", { hasText: HOSTILE }).waitFor();
    await shown.locator("#facts dd", { hasText: `<script>alert(1)</script>${HOSTILE}` }).waitFor();
    await shown
      .locator("#listeners td", { hasText: "<style>body{display:none}" })
      .first()
      .waitFor();
    assert.equal(await shown.locator('[onerror], [src="x"], main :is(style, script)').count(), 0);
    assert.deepEqual(complaints, []);
  });

  test("shows what protocols count themselves", async (t) => {
    const mirror = "lws-mirror-protocol";
    const protocols = [{ "lws-server-status": { "update-ms": 1 } }, { [mirror]: {} }];
    const started = await start(t, { conf: conf(0, { "ws-protocols": protocols }) });
    if (!started) return;
    const { portico, browser } = started;
    const { page, complaints } = await visit(browser, portico.url());
    assert.equal(await page.locator("#protocols").count(), 0);
    const socket = new WebSocket(portico.url().replace("http", "ws"), mirror);
    t.after(() => socket.close());
    await once(socket, "open");
    for (const total of [1, 2]) {
      socket.send("hello");
      const row = page.locator("#protocols tbody tr", { hasText: mirror });
      await row.locator("td", { hasText: /^messages$/ }).waitFor();
      await row.locator("td", { hasText: new RegExp(`^${total}$`) }).waitFor();
    }
    assert.deepEqual(complaints, []);
  });

  test("shows what was before it was opened", async (t) => {
    const started = await start(t);
    if (!started) return;
    const { portico, browser } = started;
    await get(`${portico.url()}/missing`, 20);
    await waitUntil("them to be counted and some time to pass", async () => {
      const { totals, now, startedAt } = await portico.status();
      return totals.status4xx === 20 && now - startedAt > 4_000;
    });
    // Nobody asks for anything any more but for the page itself.
    const { page, complaints } = await visit(browser, portico.url());
    await waitUntil("the charts", async () => {
      const inks = [
        await inkOf(page, "chart-requests", "status4xx"),
        await inkOf(page, "chart-latency", "p99"),
        await inkOf(page, "chart-memory", "memory"),
      ];
      return inks.every((ink) => ink > 0);
    });
    const plot = page.locator("#chart-requests .plot");
    assert.ok(Number(await plot.getAttribute("aria-valuemax")) >= 4);
    // By the minute, too.
    await page.getByLabel("24 h").check({ force: true });
    await waitUntil("minutes", async () => {
      const text = (await plot.getAttribute("aria-valuetext")) ?? "";
      return / 4xx 0\.|4xx <0\.1|4xx [1-9]/.test(text);
    });
    assert.deepEqual(complaints, []);
  });

  test("sorts and filters its tables, by keyboard too, and keeps long ones short", async (t) => {
    const browser = await launchBrowser(t);
    if (!browser) return;
    const { vhosts } = conf();
    const more = Array.from({ length: 70 }, (_, index) => ({
      name: `host${index}.test`,
      port: 0,
      mounts: [{ mountpoint: "/", origin: "file:///usr" }],
    }));
    const portico = await startPortico(t, { conf: { vhosts: [...vhosts, ...more] }, workers: 1 });
    const busy = "GET / HTTP/1.1\r\nHost: host69.test\r\nConnection: close\r\n\r\n";
    for (let time = 0; time < 30; time += 1) await exchangeBytes(portico.port("host69.test"), busy);
    const { page, complaints } = await visit(browser, portico.url());
    const rows = page.locator("#vhosts tbody tr");
    const names = (): Promise<string[]> => page.locator("#vhosts tbody th").allTextContents();
    await rows.first().waitFor();
    assert.equal(await rows.count(), 50);
    await page.locator("#vhosts-section button", { hasText: "Show all 71" }).click();
    await waitUntil("all of them", async () => (await rows.count()) === 71);

    // By the number of requests, from the keyboard; the busiest first.
    const head = page.locator("#vhosts thead th", { hasText: /^Requests$/ });
    assert.equal(await head.getAttribute("aria-sort"), "none");
    await head.getByRole("button").focus();
    await page.keyboard.press("Enter");
    await waitUntil(
      "descending",
      async () => (await head.getAttribute("aria-sort")) === "descending",
    );
    await waitUntil("the busiest", async () => (await names())[0]?.startsWith("host69.test"));
    await page.keyboard.press("Enter");
    await waitUntil(
      "ascending",
      async () => (await head.getAttribute("aria-sort")) === "ascending",
    );
    assert.match((await names())[0] ?? "", /^host\d+\.test/);

    const filter = page.getByLabel("Filter: Virtual hosts");
    await filter.fill("HOST6");
    await waitUntil("those", async () => (await rows.count()) === 11);
    await page.locator("#vhosts-section [role=status]", { hasText: "11 of 71" }).waitFor();
    assert.ok((await names()).every((name) => name.startsWith("host6")));
    await filter.fill("no such host");
    await waitUntil("none", async () => (await rows.count()) === 0);
    // Others are as they were.
    assert.equal(await page.locator("#mounts tbody tr").count(), 50);
    assert.deepEqual(complaints, []);
  });

  test("says on top what somebody should see to", async (t) => {
    const make = certificateMaker(t);
    const browser = make && (await launchBrowser(t));
    if (!browser) return;
    const { cert, key } = make({ names: ["tls.test"], days: 3 });
    const { vhosts } = conf();
    const portico = await startPortico(t, {
      conf: {
        global: { "init-ssl": "1" },
        vhosts: [
          ...vhosts,
          { name: "tls.test", port: 0, "host-ssl-cert": "cert", "host-ssl-key": "key" },
        ],
      },
      files: { cert, key },
      workers: 2,
      expect: [/^Worker died/],
    });
    const { page, complaints } = await visit(browser, portico.url());
    await page.locator("#certificate-alarm", { hasText: "tls.test" }).waitFor();
    await page.locator("#certificates tr", { hasText: /tls\.test.*soon/ }).waitFor();
    assert.equal(await page.locator("#death-alarm").count(), 0);
    // The worker that does not serve the page, or the page comes back.
    const [victim] = (await portico.status()).workers;
    assert.ok(victim);
    process.kill(victim.pid, "SIGKILL");
    await page.locator("#death-alarm", { hasText: `worker ${victim.id},` }).waitFor();
    await page.locator("#deaths li", { hasText: `process ${victim.pid}: SIGKILL` }).waitFor();
    await live(page);
    // A lost connection is no fault of the page.
    assert.deepEqual(
      complaints.filter((complaint) => !complaint.includes("WebSocket")),
      [],
    );
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
    // Before there were workers nobody knows.
    const text = (await chart.getAttribute("aria-valuetext")) ?? "";
    assert.match(text, /: HTTP (?:\d+|–), WebSocket (?:\d+|–)$/);
    // It stays where it was put while new numbers come.
    const second = await moment.textContent();
    const rows = await moments();
    await waitUntil("another row", async () => (await moments()) > rows);
    assert.equal(await moment.textContent(), second);
    await page.keyboard.press("Escape");
    await page.locator("#moment", { hasText: /^$/ }).waitFor({ state: "attached" });

    await page.getByLabel("2 min").focus();
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.getByLabel("10 min").isChecked(), true);

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
