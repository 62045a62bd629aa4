import assert from "node:assert/strict";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { WebSocket as Socket } from "ws";

const PLAIN = /Holds passwords that everybody can read/;

type Listing = {
  readonly max_size: number;
  readonly user: string;
  readonly files: readonly {
    readonly id: string;
    readonly name: string;
    readonly uploader: string;
    readonly size: number;
    readonly yours: 0 | 1;
  }[];
};

async function start(
  t: TestContext,
  options: Readonly<Record<string, unknown>> = {},
  isGuarded = true,
): Promise<Portico> {
  const guard = isGuarded ? { "basic-auth": "./passwords" } : {};
  return startPortico(t, {
    conf: {
      vhosts: [
        {
          name: "localhost",
          interface: "127.0.0.1",
          port: 0,
          mounts: [{ mountpoint: "/drop", origin: "callback://lws-deaddrop", ...guard }],
          "ws-protocols": { "lws-deaddrop": { "upload-dir": "drop", ...guard, ...options } },
        },
      ],
    },
    files: { passwords: "ann:secret\nbob:secret\nan_n:secret\n../x:secret\n", "drop/.keep": "" },
    workers: 2,
    expect: [PLAIN, /"lws-deaddrop" did not start/, /^Reload refused/],
  });
}

function credentials(user: string): { readonly authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${user}:secret`).toString("base64")}` };
}

function filesOf(portico: Portico): string[] {
  return readdirSync(join(portico.directory, "drop")).filter((name) => !name.startsWith("."));
}

/** The status of an upload, as it is or as a form does it. */
async function leave(
  portico: Portico,
  name: string,
  content: string | Buffer | FormData,
  { user = "ann", ...headers }: Record<string, string> = {},
): Promise<number> {
  const url = `${portico.url()}/drop/upload/${encodeURIComponent(name)}`;
  const body =
    content instanceof FormData || typeof content === "string" ? content : new Uint8Array(content);
  const who = user === "" ? {} : credentials(user);
  const response = await fetch(url, { method: "POST", body, headers: { ...who, ...headers } });
  await response.text();
  return response.status;
}

function form(content: string, field = "file"): FormData {
  const made = new FormData();
  made.append("note", "before it");
  made.append(field, new Blob([content]), "its-own-name");
  return made;
}

/** Listens to the list. */
async function watch(t: TestContext, portico: Portico, user?: string) {
  const socket = new Socket(portico.url().replace("http", "ws"), "lws-deaddrop", {
    headers: user === undefined ? {} : credentials(user),
  });
  t.after(() => socket.terminate());
  let listing: Listing | undefined;
  socket.on("message", (text: Buffer) => (listing = JSON.parse(text.toString("utf8"))));
  await once(socket, "open");
  return {
    socket,
    until: (what: string, fits: (now: Listing) => boolean): Promise<Listing> =>
      waitUntil(what, () => listing && fits(listing) && listing),
  };
}

suite("lws-deaddrop", () => {
  test("takes files by POST, tells all who watch, gives them back, and takes them away for their owner", async (t) => {
    const portico = await start(t);
    const ann = await watch(t, portico, "ann");
    const bob = await watch(t, portico, "bob");
    const empty = await ann.until("the first list", () => true);
    assert.deepEqual(empty, { max_size: 20 * 1024 * 1024, user: "ann", files: [] });

    assert.equal(await leave(portico, "žluť & co.txt", "as it is"), 201);
    assert.equal(await leave(portico, "form.txt", form("in a form")), 201);
    assert.equal(await leave(portico, "form.txt", form("Bob's own"), { user: "bob" }), 201);
    const { files } = await bob.until("three files", (now) => now.files.length === 3);
    assert.deepEqual(
      files
        .map(({ name, uploader, size, yours }) => `${name} ${uploader} ${size} ${yours}`)
        .toSorted(),
      ["form.txt ann 9 0", "form.txt bob 9 1", "žluť & co.txt ann 8 0"],
    );
    for (const [id, content] of [
      ["ann_žluť & co.txt", "as it is"],
      ["bob_form.txt", "Bob's own"],
    ] as const) {
      assert.ok(files.some((file) => file.id === id));
      const url = `${portico.url()}/drop/get/${encodeURIComponent(id)}`;
      const answer = await fetch(url, { headers: credentials("ann") });
      assert.equal(await answer.text(), content);
      assert.equal(answer.headers.get("content-type"), "application/octet-stream");
      assert.equal(answer.headers.get("content-disposition"), "attachment");
      assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
      const head = await fetch(url, { method: "HEAD", headers: credentials("ann") });
      assert.deepEqual(
        [head.status, head.headers.get("content-length")],
        [200, String(Buffer.byteLength(content))],
      );
    }

    // The second of one name replaces the first.
    assert.equal(await leave(portico, "form.txt", "newer"), 201);
    ann.socket.send(JSON.stringify({ del: "žluť & co.txt" }));
    const left = await ann.until("two files", (now) => now.files.length === 2);
    assert.deepEqual(
      left.files.map(({ name, size, yours }) => `${name} ${size} ${yours}`).toSorted(),
      ["form.txt 5 1", "form.txt 9 0"],
    );
    assert.deepEqual(filesOf(portico).toSorted(), ["ann_form.txt", "bob_form.txt"]);
  });

  test("takes away nothing that another has left, by whatever name", async (t) => {
    const portico = await start(t);
    assert.equal(await leave(portico, "n_a.txt", "Ann's", { user: "an_n" }), 201);
    assert.equal(await leave(portico, "a.txt", "Bob's", { user: "bob" }), 201);
    const ann = await watch(t, portico, "ann");
    await ann.until("the list", (now) => now.files.length === 2);
    for (const del of ["a.txt", "bob_a.txt", "../bob_a.txt", "_n_n_a.txt", "", ".", 7, null])
      ann.socket.send(JSON.stringify({ del }));
    for (const nonsense of ["{", "null", "[]", '"x"']) ann.socket.send(nonsense);
    // Behind all of them.
    assert.equal(await leave(portico, "mine", "x"), 201);
    ann.socket.send(JSON.stringify({ del: "mine" }));
    await waitUntil("the last one to be gone", () => !filesOf(portico).includes("ann_mine"));
    assert.deepEqual(filesOf(portico).toSorted(), ["an%5fn_n_a.txt", "bob_a.txt"]);
  });

  test("keeps everything in its directory, and users apart", async (t) => {
    const portico = await start(t);
    for (const name of [
      "../up",
      "a/b",
      "..",
      ".hidden",
      "a\\b",
      "a\0b",
      "a\nb",
      "a\u202eb",
      "x".repeat(252),
      "\ud800",
    ])
      assert.ok(
        [400, 404].includes(await leave(portico, name.toWellFormed(), "x")),
        JSON.stringify(name),
      );
    assert.equal(await leave(portico, "passwd", "x", { user: "../x" }), 201);
    assert.deepEqual(filesOf(portico), ["%2e%2e%2fx_passwd"]);
    writeFileSync(join(portico.directory, "outside"), "outside");
    symlinkSync("../outside", join(portico.directory, "drop/ann_link"));
    mkdirSync(join(portico.directory, "drop/ann_directory"));
    const headers = credentials("ann");
    for (const id of [
      "ann_link",
      "ann_directory",
      "..%2foutside",
      "%2e%2e",
      "outside",
      ".keep",
      "ann_",
      "~x",
      "",
    ]) {
      const answer = await fetch(`${portico.url()}/drop/get/${id}`, { headers });
      assert.equal(answer.status, 404, id);
    }
    for (const [method, path, status] of [
      ["GET", "upload/x", 405],
      ["POST", "get/x", 405],
      ["GET", "", 404],
      ["POST", "upload", 404],
      ["POST", "else/x", 404],
    ] as const)
      assert.equal(
        (await fetch(`${portico.url()}/drop/${path}`, { method, headers })).status,
        status,
      );
    const ann = await watch(t, portico, "ann");
    const { files } = await ann.until("the list", () => true);
    assert.deepEqual(
      files.map(({ name, uploader }) => [name, uploader]),
      [["passwd", "../x"]],
    );
  });

  test("asks who it is, and takes nothing from pages of other sites", async (t) => {
    const portico = await start(t);
    assert.equal(await leave(portico, "a", "x", { user: "" }), 401);
    assert.equal(await leave(portico, "a", "x", { origin: "https://evil.example" }), 403);
    assert.equal(await leave(portico, "a", "x", { origin: "null" }), 403);
    assert.equal(await leave(portico, "a", "x", { origin: portico.url() }), 201);

    const open = await start(t, {}, false);
    assert.equal(await leave(open, "a", "x", { user: "" }), 403);
    const anybody = await start(t, { anonymous: "1" }, false);
    assert.equal(await leave(anybody, "a", "x", { user: "" }), 201);
    const nobody = await watch(t, anybody);
    const { files } = await nobody.until("the file", (now) => now.files.length === 1);
    assert.deepEqual(files[0] && [files[0].uploader, files[0].yours], ["", 0]);
    nobody.socket.send(JSON.stringify({ del: "a" }));
    assert.equal(await leave(anybody, "b", "x", { user: "" }), 201);
    await nobody.until("both files", (now) => now.files.length === 2);
  });

  test("keeps to its sizes and numbers, and leaves nothing of what it refuses", async (t) => {
    const portico = await start(t, { "max-size": "1k", "max-total-size": "2500", "max-files": 3 });
    const full = "x".repeat(1024);
    assert.equal(await leave(portico, "long", `${full}x`), 413);
    assert.equal(await leave(portico, "long", form(`${full}x`)), 413);
    assert.equal(await leave(portico, "long", Buffer.alloc(200_000)), 413);
    assert.equal(await leave(portico, "empty form", form("x", "")), 201);
    const fieldsOnly = new FormData();
    fieldsOnly.append("a", "b");
    assert.equal(await leave(portico, "none", fieldsOnly), 400);
    assert.equal(await leave(portico, "one", full), 201);
    assert.equal(await leave(portico, "two", full), 201);
    // 452 bytes are left, and a fourth file there cannot be.
    assert.equal(await leave(portico, "four", "x"), 507);
    assert.equal(await leave(portico, "empty form", "x".repeat(453)), 413);
    assert.equal(await leave(portico, "empty form", "x".repeat(452)), 201);
    assert.deepEqual(filesOf(portico).toSorted(), ["ann_empty form", "ann_one", "ann_two"]);
  });

  test("an upload that breaks off leaves nothing, and what was left long ago goes", async (t) => {
    const portico = await start(t);
    const socket = connect(portico.port(), "127.0.0.1");
    t.after(() => socket.destroy());
    socket.write(
      `POST /drop/upload/half HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${credentials("ann").authorization}\r\nContent-Length: 100\r\n\r\nhalf`,
    );
    await waitUntil("the upload to begin", () => filesOf(portico).length === 1);
    assert.match(filesOf(portico)[0] ?? "", /^~/);
    // Younger ones may belong to a worker.
    const old = join(portico.directory, "drop/~old");
    writeFileSync(old, "");
    utimesSync(old, 0, 0);
    writeFileSync(join(portico.directory, "drop/~young"), "");
    socket.destroy();
    await waitUntil("it to be gone", () => filesOf(portico).length === 2);
    assert.equal((await portico.control("reload")).ok, true);
    await waitUntil("the old one to be gone", () => filesOf(portico).length === 1);
    assert.deepEqual(filesOf(portico), ["~young"]);
  });

  test("refuses a configuration whose directory cannot be written", async (t) => {
    const portico = await start(t);
    const conf = JSON.parse(readFileSync(join(portico.directory, "conf"), "utf8"));
    conf.vhosts[0]["ws-protocols"]["lws-deaddrop"]["upload-dir"] = "missing";
    portico.writeConf(conf);
    const { ok, message } = await portico.control("reload");
    assert.equal(ok, false);
    assert.match(message, /lws-deaddrop.*ENOENT/s);
  });
});
