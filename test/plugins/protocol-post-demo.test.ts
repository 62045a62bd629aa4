import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test, type TestContext } from "node:test";
import postDemo from "../../plugins/protocol-post-demo.ts";
import { exchangeBytes } from "../helpers/wire.ts";
import { startProtocolServer } from "./protocol-server.ts";

const URLENCODED = "application/x-www-form-urlencoded";
const MAX_FILE_BYTES = 100_000;
const NO_PROC = existsSync("/proc/self/fd") ? false : "needs /proc";

// Uploads go through a directory of our own, so what is left of them can be seen.
const uploads = mkdtempSync(join(tmpdir(), "portico-uploads-"));
process.env["TMPDIR"] = uploads;
after(() => rmSync(uploads, { recursive: true }));

async function serve(t: TestContext): Promise<string> {
  const { port } = await startProtocolServer(t, {
    protocols: [postDemo],
    mounts: [{ mountpoint: "/post", keys: { origin: "callback://protocol-post-demo" } }],
  });
  return `http://127.0.0.1:${port}/post`;
}

function post(url: string, body: RequestInit["body"], type?: string): Promise<Response> {
  const headers = type === undefined ? {} : { "Content-Type": type };
  return fetch(url, { method: "POST", headers, body: body ?? null, duplex: "half" });
}

function fileForm(bytes: number, name = "file"): FormData {
  const form = new FormData();
  form.append(name, new Blob([Buffer.alloc(bytes, "x")]), "x<y>.bin");
  return form;
}

function row(name: string, length: number, value: string): string {
  return `<tr><td><b>${name}</b></td><td>${length}</td><td>${value}</td></tr>`;
}

suite("protocol-post-demo", () => {
  test("shows an urlencoded form as lws's page does, escaped", async (t) => {
    const url = await serve(t);
    const answer = await post(url, "text=%3Cb%3E%26+%22%C5%BE%22&send=a%27b&other=1", URLENCODED);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "text/html; charset=utf-8");
    assert.equal(
      await answer.text(),
      "<html><body><h1>Form results (after urldecoding)</h1>" +
        "<table><tr><td>Name</td><td>Length</td><td>Value</td></tr>" +
        row("text", 9, "&lt;b&gt;&amp; &quot;ž&quot;") +
        row("send", 3, "a&#39;b") +
        row("file", 0, "NULL") +
        row("upload", 0, "NULL") +
        "</table><br><b>filename:</b> , <b>length</b> 0</body></html>",
    );
  });

  test("takes a multipart form with a file, and keeps nothing of it", async (t) => {
    const url = await serve(t);
    const form = fileForm(70_000);
    form.append("text", "žluť");
    form.append("upload", "go");
    const answer = await post(url, form);
    const page = await answer.text();
    assert.equal(answer.status, 200);
    assert.ok(page.includes(row("text", 6, "žluť")));
    assert.ok(page.includes(row("upload", 2, "go")));
    assert.ok(page.includes("<b>filename:</b> x&lt;y&gt;.bin, <b>length</b> 70000<"));
    assert.deepEqual(readdirSync(uploads), []);
  });

  test("takes an upload that has a type and no name", async (t) => {
    const body =
      '--b\r\nContent-Disposition: form-data; name="file"\r\n' +
      "Content-Type: application/octet-stream\r\n\r\nabc\r\n--b--\r\n";
    const answer = await post(await serve(t), body, "multipart/form-data; boundary=b");
    assert.equal(answer.status, 200);
    assert.ok((await answer.text()).includes("<b>filename:</b> , <b>length</b> 3<"));
  });

  const SYSTEM_CALLS = "/proc/self/io";
  const noCalls = existsSync(SYSTEM_CALLS) ? false : `needs ${SYSTEM_CALLS}`;
  test("does not write an upload byte by byte", { skip: noCalls }, async (t) => {
    const calls = (): number =>
      Number(/^syscw: (\d+)$/m.exec(readFileSync(SYSTEM_CALLS, "latin1"))?.[1]);
    const { port } = new URL(await serve(t));
    const bytes = 20_000;
    const head = '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n';
    const before = calls();
    const received = await exchangeBytes(
      Number(port),
      "POST /post HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n" +
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n" +
        `${head.length.toString(16)}\r\n${head}\r\n${"1\r\nx\r\n".repeat(bytes)}` +
        "9\r\n\r\n--b--\r\n\r\n0\r\n\r\n",
    );
    assert.match(received, /<b>length<\/b> 20000</);
    assert.ok(calls() - before < bytes / 10);
  });

  test("takes a file of exactly the limit", async (t) => {
    const answer = await post(await serve(t), fileForm(MAX_FILE_BYTES));
    assert.match(await answer.text(), /<b>length<\/b> 100000</);
  });

  const manyFields = Array.from({ length: 33 }, (_, index) => `f${index}=1`).join("&");
  const twoFiles = fileForm(10);
  twoFiles.append("more", new Blob(["x"]), "b");
  const refused: Record<
    string,
    readonly [status: number, body: RequestInit["body"], type?: string]
  > = {
    "a file one byte too long": [413, fileForm(MAX_FILE_BYTES + 1)],
    "a file too long in a field nobody asked for": [413, fileForm(MAX_FILE_BYTES + 1, "other")],
    "two files": [413, twoFiles],
    "33 fields": [413, manyFields, URLENCODED],
    "a field of more than 64 KiB": [413, `text=${"x".repeat(64 * 1024 + 1)}`, URLENCODED],
    "a field name of more than 100 bytes": [413, `${"x".repeat(101)}=1`, URLENCODED],
    "a body that announces more than 256 KiB": [413, Buffer.alloc(256 * 1024 + 1), URLENCODED],
    "a chunked body of more than 256 KiB": [
      413,
      ReadableStream.from(Array.from({ length: 9 }, () => Buffer.alloc(32 * 1024, "&"))),
      URLENCODED,
    ],
    "another type": [415, "{}", "application/json"],
    "a type that only begins well": [415, "a=1", `${URLENCODED}ish`],
    "multipart without a boundary": [400, "x", "multipart/form-data"],
    "multipart that ends in the middle": [
      400,
      '--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nhalf',
      "multipart/form-data; boundary=b",
    ],
    "a file that ends in the middle": [
      400,
      '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhalf',
      "multipart/form-data; boundary=b",
    ],
  };
  for (const [what, [status, body, type]] of Object.entries(refused)) {
    test(`refuses ${what} with ${status}`, async (t) => {
      const url = await serve(t);
      const answer = await post(url, body, type);
      assert.equal(answer.status, status);
      await answer.arrayBuffer();
      const next = await post(url, "text=still+here", URLENCODED);
      assert.match(await next.text(), /still here/);
      assert.deepEqual(readdirSync(uploads), []);
    });
  }

  test("refuses a body of no type with 415", async (t) => {
    const answer = await post(await serve(t), Buffer.from("a=1"));
    assert.equal(answer.status, 415);
  });

  test("refuses other methods with 405 and says which one is right", async (t) => {
    const answer = await fetch(await serve(t));
    assert.equal(answer.status, 405);
    assert.equal(answer.headers.get("allow"), "POST");
  });

  test("lets go of an upload whose client leaves", { skip: NO_PROC }, async (t) => {
    const url = await serve(t);
    const client = connect(Number(new URL(url).port), "127.0.0.1");
    client.write(
      "POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n" +
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n" +
        '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhalf',
    );
    while (openUploads() !== 1) await new Promise(setImmediate);
    client.destroy();
    while (openUploads() !== 0) await new Promise(setImmediate);
    assert.deepEqual(readdirSync(uploads), []);
  });
});

/** Descriptors of this process that are files below our directory, with a name or without. */
function openUploads(): number {
  const targets = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // closed since it was listed
    }
  });
  return targets.filter((target) => target.startsWith(uploads)).length;
}
