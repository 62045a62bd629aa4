import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { startPortico, type Portico } from "../helpers/server.ts";
import { exchangeBytes, parseReplies, type Reply } from "../helpers/wire.ts";

const HIDDEN = "HIDDEN";
const ANN = `Authorization: Basic ${Buffer.from("ann:secret").toString("base64")}\r\n`;

/** The open mount serves the same tree, so whatever gets around the guard by its spelling is served. */
async function start(t: TestContext): Promise<Portico> {
  const keys = { "basic-auth": "./passwords" };
  return startPortico(t, {
    conf: {
      vhosts: [
        {
          name: "localhost",
          port: 0,
          mounts: [
            { mountpoint: "/", origin: "file://./www" },
            { mountpoint: "/in", origin: "file://./www/in", ...keys },
            { mountpoint: "/in/open", origin: "file://./www/in/open" },
            { mountpoint: "/in/open/deep", origin: "file://./www/in/open/deep", ...keys },
          ],
        },
      ],
    },
    workers: 1,
    files: {
      passwords: "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n",
      "www/index.html": "root",
      "www/in/secret.txt": HIDDEN,
      "www/in/dir/index.html": HIDDEN,
      "www/in/open/file.txt": "open",
      "www/in/open/deep/secret.txt": HIDDEN,
    },
  });
}

async function ask(portico: Portico, target: string, method = "GET", fields = ""): Promise<Reply> {
  const head = `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${fields}\r\n`;
  const { replies } = parseReplies(await exchangeBytes(portico.port(), head), [method]);
  const [reply] = replies;
  assert.ok(reply, target);
  return reply;
}

const guarded = [
  "/in",
  "/in/",
  "/in?x",
  "/in/secret.txt",
  "/in/secret.txt?x=/in/open/",
  "/in/missing",
  "/in/dir",
  "/in/dir/",
  "/in/openx",
  "/in/open/deep",
  "/in/open/deep/secret.txt",
  "//in/secret.txt",
  "///in///secret.txt",
  "/in//open/..//secret.txt",
  "/./in/secret.txt",
  "/x/../in/secret.txt",
  "/in/./secret.txt",
  "/in/x/../secret.txt",
  "/in/../in/secret.txt",
  "/in/open/../secret.txt",
  "/in/open/%2e%2e/secret.txt",
  "/in/open/%2E./secret.txt",
  "/in/open/..%2fsecret.txt",
  "/in/open/..%2Fopen%2fdeep/secret.txt",
  "/%69n/secret.txt",
  "/%69%6E/%73ecret.txt",
  "/in%2fsecret.txt",
  "/in%2Fsecret.txt",
  "/%2fin/secret.txt",
  "/%2e/in/secret.txt",
  "/x/%2e%2e/in/secret.txt",
  "/x%2f..%2fin%2fsecret.txt",
  "http://localhost/in/secret.txt",
  "http://localhost//in/secret.txt",
  "HTTP://localhost:80/%69n/secret.txt",
];

const elsewhere = [
  "/IN/secret.txt",
  "/In/secret.txt",
  "/in./secret.txt",
  "/in../secret.txt",
  "/in%20/secret.txt",
  "/in;/secret.txt",
  "/in;x=y/secret.txt",
  "/in%00/secret.txt",
  "/in%0a/secret.txt",
  "/%252e%252e/in/secret.txt",
  "/%2569n/secret.txt",
  "/in%252fsecret.txt",
  "/in%5csecret.txt",
  "/in\\secret.txt",
  "/in+/secret.txt",
  "/%c0%afin/secret.txt",
  "/in%c0%afsecret.txt",
  "/\u00a0in/secret.txt",
  "/../in/secret.txt",
  "/%2e%2e/in/secret.txt",
  "/in#/../secret.txt",
  "in/secret.txt",
  "//localhost/in/secret.txt",
];

test("no spelling of a path gets around the guard of a mount", async (t) => {
  const portico = await start(t);
  for (const target of guarded) assert.equal((await ask(portico, target)).status, 401, target);
  for (const target of elsewhere) {
    const { status, body } = await ask(portico, target);
    assert.ok(status === 400 || status === 404, `${target}: ${status}`);
    assert.ok(!body.includes(HIDDEN), target);
  }
  assert.equal((await ask(portico, "/in/secret.txt", "GET", ANN)).body, HIDDEN);
  assert.equal((await ask(portico, "/in/open/deep/secret.txt", "GET", ANN)).body, HIDDEN);
  assert.equal((await ask(portico, "/in/..")).body, "root");
  assert.equal((await ask(portico, "/in/open/file.txt")).body, "open");
  assert.equal((await ask(portico, "/in/x/../open/file.txt")).body, "open");
});

test("the answer to who is not let in tells nothing of what there is", async (t) => {
  const portico = await start(t);
  for (const method of ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE", "BREW"]) {
    const [first, ...others] = await Promise.all(
      ["/in/secret.txt", "/in/missing", "/in/dir", "/in/dir/", "/in"].map(async (target) => {
        const { status, headers, body } = await ask(portico, target, method);
        const fields = [...headers].filter(([name]) => name !== "date");
        return { status, fields, body };
      }),
    );
    for (const other of others) assert.deepEqual(other, first, method);
    assert.ok(first && (first.status === 401 || method === "BREW"), method);
  }
  // Nor do conditions and ranges.
  for (const field of [
    "If-None-Match: *",
    "If-Match: *",
    "Range: bytes=0-0",
    "Expect: 100-continue",
  ])
    assert.equal((await ask(portico, "/in/secret.txt", "GET", `${field}\r\n`)).status, 401, field);
});
