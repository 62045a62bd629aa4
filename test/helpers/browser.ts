// A headless Chromium that ends with its test. The only importer of playwright-core.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { chromium, type Browser, type Page } from "playwright-core";
import { needs } from "./programs.ts";

export type { Browser, Page };

const CHROMIUM = ["/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome"];

/** No sandbox because tests may run as root; nothing that asks servers other than ours. */
const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts a browser; undefined where there is none, and then the test is skipped. `home` has the certificates it trusts. */
export async function launchBrowser(t: TestContext, home?: string): Promise<Browser | undefined> {
  const executablePath = needs(t, "Chromium", CHROMIUM);
  if (executablePath === undefined) return undefined;
  const env = Object.fromEntries(
    Object.entries({ ...process.env, ...(home !== undefined && { HOME: home }) }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  );
  const browser = await chromium.launch({ executablePath, args: ARGUMENTS, env });
  t.after(() => browser.close());
  return browser;
}

/** Keeps a picture of the page in the directory PORTICO_SCREENSHOTS, where that is set. */
export async function takeScreenshot(page: Page, name: string): Promise<void> {
  const directory = process.env["PORTICO_SCREENSHOTS"];
  if (directory === undefined || directory === "") return;
  mkdirSync(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
}
