import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { suite, test } from "node:test";
import { MAX_LOCAL_REDIRECTS } from "../../../../worker/http/redirected-exchange.ts";
import { serveCgi } from "./cgi-server.ts";
import { ask, until } from "./clients.ts";

const TEXT = "Content-Type: text/plain\\n\\n";

suite("a local redirect", () => {
  test("is resolved here, by GET and without the body", async (t) => {
    const server = await serveCgi(
      t,
      `if [ "$PATH_INFO" = /from ]; then cat >/dev/null; printf 'Location: /run/to%%20here?x=%%201\\n\\n'; exit; fi
       printf '${TEXT}%s|%s|%s|%s|%s|%s' "$REQUEST_METHOD" "$PATH_INFO" "$QUERY_STRING" "$CONTENT_LENGTH" "$CONTENT_TYPE" "$(wc -c)"`,
    );
    const response = await fetch(`${server.url}/from?gone`, { method: "POST", body: "12345" });
    assert.equal(response.status, 200);
    assert.equal((await response.text()).replaceAll(" ", "_"), "GET|/to_here|x=%201|||0");
    assert.equal(server.cgi.started, 2);
  });

  test("to a place that is not there is 404", async (t) => {
    const server = await serveCgi(t, `printf 'Location: /nowhere\\n\\n'`);
    assert.equal((await ask(server.port, "/run")).status, 404);
  });

  for (const [what, location] of [
    ["climbs above the root", "/../../etc/passwd"],
    ["holds a space", "/a b"],
  ] as const)
    test(`that ${what} is 502`, async (t) => {
      const server = await serveCgi(t, `printf 'Location: ${location}\\n\\n'`);
      assert.equal((await ask(server.port, "/run")).status, 502);
    });

  test("in a circle is 502 after a while", async (t) => {
    const server = await serveCgi(t, `printf 'Location: /run/again\\n\\n'`);
    assert.equal((await ask(server.port, "/run")).status, 502);
    assert.equal(server.cgi.started, 1 + MAX_LOCAL_REDIRECTS);
  });

  test("frees the place of its program before it goes on", async (t) => {
    const server = await serveCgi(
      t,
      `[ "$PATH_INFO" = /to ] && { printf '${TEXT}there'; exit; }; printf 'Location: /run/to\\n\\n'`,
      { limits: { maxRunning: 1, maxWaiting: 0 } },
    );
    assert.equal((await ask(server.port, "/run")).body, "there");
  });
});

suite("a program whose name begins with nph-", () => {
  const asNph = async (t: Parameters<typeof serveCgi>[0], script: string) => {
    const plain = await serveCgi(t, script);
    const program = join(dirname(plain.program), "nph-program");
    renameSync(plain.program, program);
    return await serveCgi(t, "", { program });
  };

  test("answers with a whole response", async (t) => {
    const server = await asNph(
      t,
      `printf 'HTTP/1.1 299 As I Say\\r\\nX-A: 1\\r\\nConnection: close\\r\\n\\r\\n'; printf body`,
    );
    const answer = await ask(server.port, "/run");
    assert.equal(answer.status, 299);
    assert.match(answer.head, /^x-a: 1$/im);
    assert.equal(answer.body, "body");
    assert.ok(answer.isWhole);
  });

  for (const [what, output] of [
    ["no status line", `${TEXT}body`],
    [
      "a coding of its own",
      "HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n",
    ],
    ["an interim status", "HTTP/1.1 100 Continue\\r\\n\\r\\n"],
    ["a control byte", "HTTP/1.1 200 OK\\r\\nX-A: a\\001b\\r\\n\\r\\n"],
  ] as const)
    test(`is 502 with ${what}`, async (t) => {
      const server = await asNph(t, `printf '${output}'`);
      assert.equal((await ask(server.port, "/run")).status, 502);
      await until("the program ends", () => server.cgi.alive === 0);
    });
});
