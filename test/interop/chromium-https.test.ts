// A real browser over HTTP/2 with a certificate that it trusts: many files at once, a WebSocket, an upload, a cancelled download.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { launchBrowser } from "../helpers/browser.ts";
import { certificateMaker } from "../helpers/certificates.ts";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const IMAGES = 200;
const PAGE = `<!doctype html><title>many</title>
${Array.from({ length: IMAGES }, (_, n) => `<img src="/images/${n}.svg" alt="">`).join("\n")}`;

function image(n: number): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${n + 1}" height="1"/>`;
}

test("Chromium trusts the certificate and gets everything over HTTP/2", async (t) => {
  const certutil = needs(t, "certutil", ["certutil"]);
  const make = certificateMaker(t);
  if (!make || certutil === undefined) return;
  const authority = make({ names: ["Test authority"], isAuthority: true });
  const { cert, key } = make({ names: ["localhost"], by: authority });

  const home = temporaryDirectory(t);
  const database = `sql:${join(home, ".pki/nssdb")}`;
  mkdirSync(join(home, ".pki/nssdb"), { recursive: true });
  writeFileSync(join(home, "ca.pem"), authority.cert);
  execFileSync(certutil, ["-d", database, "-N", "--empty-password"]);
  execFileSync(certutil, [
    "-d",
    database,
    "-A",
    "-t",
    "C,,",
    "-n",
    "test",
    "-i",
    join(home, "ca.pem"),
  ]);
  const browser = await launchBrowser(t, home);
  if (!browser) return;

  const images = Array.from({ length: IMAGES }, (_, n) => [`www/images/${n}.svg`, image(n)]);
  const portico = await startPortico(t, {
    conf: {
      global: { "init-ssl": "1" },
      vhosts: [
        {
          name: "localhost",
          port: 0,
          "host-ssl-cert": "tls.crt",
          "host-ssl-key": "tls.key",
          sts: "1",
          "access-log": "access.log",
          mounts: [
            { mountpoint: "/", origin: "file://www" },
            { mountpoint: "/post", origin: "callback://protocol-post-demo" },
          ],
          "ws-protocols": { "lws-mirror-protocol": {}, "protocol-post-demo": {} },
        },
      ],
    },
    files: {
      "tls.crt": cert,
      "tls.key": key,
      "www/index.html": PAGE,
      "www/large.bin": Buffer.alloc(64 * 1024 * 1024),
      ...(Object.fromEntries(images) as Record<string, string>),
    },
    workers: 1,
  });
  const page = await browser.newPage();
  const url = `https://localhost:${portico.port()}/`;
  const answer = await page.goto(url);
  assert.equal(answer?.status(), 200);
  assert.match((await answer.allHeaders())["strict-transport-security"] ?? "", /^max-age=\d{8}/);
  const security = await answer.securityDetails();
  assert.equal(security?.issuer, "Test authority");
  assert.match(security?.protocol ?? "", /TLS 1\.3/);

  const widths = await page.evaluate("[...document.images].map((one) => one.naturalWidth)");
  assert.deepEqual(
    widths,
    Array.from({ length: IMAGES }, (_, n) => n + 1),
  );
  const protocols = await page.evaluate(() => [
    ...new Set(
      performance
        .getEntriesByType("resource")
        .map((entry) => (entry as PerformanceResourceTiming).nextHopProtocol),
    ),
  ]);
  assert.deepEqual(protocols, ["h2"]);

  const echoed = await page.evaluate(
    (origin) =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket(new URL("/", origin), "lws-mirror-protocol");
        socket.addEventListener("open", () => socket.send("over TLS"));
        socket.addEventListener("message", ({ data }) => resolve(data));
        socket.addEventListener("error", () => reject(new Error("No WebSocket")));
      }),
    url.replace("https", "wss"),
  );
  assert.equal(echoed, "over TLS");

  const posted = await page.evaluate(async () => {
    const form = new FormData();
    form.set("text", "a browser's");
    form.set("file", new Blob(["x".repeat(50_000)]), "upload.txt");
    return (await fetch("/post", { method: "POST", body: form })).text();
  });
  assert.match(posted, /upload\.txt/);
  assert.match(posted, /50000/);

  const cancelled = await page.evaluate(async () => {
    const controller = new AbortController();
    const { body } = await fetch("/large.bin", { signal: controller.signal });
    const first = await body?.getReader().read();
    controller.abort();
    return first?.value?.length ?? 0;
  });
  assert.ok(cancelled > 0);
  await waitUntil("the download to be counted as aborted", async () => {
    const { totals } = await portico.status();
    return totals.aborted > 0;
  });
  assert.equal((await page.goto(`${url}images/1.svg`))?.status(), 200);
});
