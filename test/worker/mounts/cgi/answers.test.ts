import assert from "node:assert/strict";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { request } from "node:http";
import { suite, test, type TestContext } from "node:test";
import { temporaryDirectory } from "../../../helpers/site.ts";
import { connect } from "../../../helpers/wire.ts";
import { serveCgi, type CgiServer } from "./cgi-server.ts";
import { ask, until } from "./clients.ts";

const TEXT = "Content-Type: text/plain\\n\\n";

/** Logged messages of one level and up, once the program of the test has ended. */
async function warnings(server: CgiServer): Promise<string[]> {
  await until("the program ends", () => server.counters.cgiAlive === 0);
  return server.log.filter(({ level }) => Number(level) >= 40).map(({ msg }) => String(msg));
}

/** What programs said on stderr, once the program of the test has ended. */
async function said(server: CgiServer): Promise<string[]> {
  await until("the program ends", () => server.counters.cgiAlive === 0);
  return server.log.filter(({ level }) => level === 30).map(({ msg }) => String(msg));
}

/** Programs that run on are read as they write, others once they have ended: the same answers either way. */
const READINGS = [
  ["as it comes", { briefMs: 0 }],
  ["at once", { briefMs: 60_000 }],
] as const;

for (const [how, limits] of READINGS)
  suite(`a program's answer, read ${how},`, () => {
    const serve = (t: TestContext, script: string): Promise<CgiServer> =>
      serveCgi(t, script, { limits });

    test("arrives with its headers and without a trace of the connection's", async (t) => {
      const server = await serve(
        t,
        `printf 'Content-Type: text/x-test\\r\\nX-A: 1\\r\\nConnection: close\\r\\nTransfer-Encoding: chunked\\r\\n'
       printf 'Set-Cookie: a=1\\r\\nSet-Cookie: b=2\\r\\n\\r\\none'; printf two`,
      );
      const response = await fetch(server.url);
      assert.equal(await response.text(), "onetwo");
      assert.equal(response.headers.get("content-type"), "text/x-test");
      assert.equal(response.headers.get("x-a"), "1");
      assert.deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
      assert.deepEqual(await warnings(server), []);
      assert.deepEqual(server.counters, {
        cgiStarted: 1,
        cgiFailed: 0,
        cgiTimedOut: 0,
        cgiAlive: 0,
      });
    });

    test("is framed by us, whatever it says of its connection, and the connection is kept", async (t) => {
      const server = await serve(
        t,
        `printf 'Connection: close, X-A\\nKeep-Alive: timeout=1\\nTransfer-Encoding: chunked\\nUpgrade: h2c\\nTE: x\\n'
         printf 'Trailer: X-B\\nStatus: 418 teapot\\n${TEXT}body'`,
      );
      const wire = await connect(server.port);
      wire.write("GET /run HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2));
      for (const { status, headers, body } of await wire.replies(2)) {
        assert.deepEqual([status, body], [418, "body"]);
        for (const name of ["upgrade", "te", "trailer", "status"]) assert.ok(!headers.has(name));
        assert.notEqual(headers.get("connection"), "close");
        assert.notEqual(headers.get("keep-alive"), "timeout=1");
        assert.notEqual(headers.has("content-length"), headers.has("transfer-encoding"));
      }
      wire.socket.destroy();
    });

    test("keeps its Content-Length", async (t) => {
      const server = await serve(t, `printf 'Content-Length: 5\\n${TEXT}12345'`);
      const answer = await ask(server.port, "/run");
      assert.match(answer.head, /^content-length: 5$/im);
      assert.doesNotMatch(answer.head, /^transfer-encoding:/im);
      assert.equal(answer.body, "12345");
    });

    const redirects = [
      ["Location: http://example.com/x\\n\\n", 302, "http://example.com/x"],
      ["Location: /local?x=1\\nSet-Cookie: a=1\\n\\n", 302, "/local?x=1"],
      ["Status: 303\\nLocation: /local\\n\\n", 303, "/local"],
      ["Location: //example.com/x\\n\\n", 302, "//example.com/x"],
      [
        "Status: 301 Moved\\nLocation: http://example.com/\\nContent-Type: text/plain\\n\\nx",
        301,
        "http://example.com/",
      ],
    ] as const;
    for (const [output, status, location] of redirects)
      test(`redirects: ${output}`, async (t) => {
        const server = await serve(t, `printf '${output}'`);
        const response = await fetch(server.url, { redirect: "manual" });
        assert.equal(response.status, status);
        assert.equal(response.headers.get("location"), location);
        assert.deepEqual(await warnings(server), []);
      });

    for (const status of [204, 205, 304])
      test(`has no body with ${status}`, async (t) => {
        const server = await serve(t, `printf 'Status: ${status}\\nETag: "x"\\n${TEXT}unwanted'`);
        const answer = await ask(server.port, "/run");
        assert.equal(answer.status, status);
        assert.match(answer.head, /^etag: "x"$/im);
        assert.equal(answer.body, "");
      });

    test("has no body for HEAD, though the program runs as for GET", async (t) => {
      const server = await serve(
        t,
        `printf "X-Method: $REQUEST_METHOD\\nContent-Length: 9\\n${TEXT}unwanted\\n"`,
      );
      const answer = await ask(server.port, "/run", [], "HEAD");
      assert.equal(answer.status, 200);
      assert.match(answer.head, /^x-method: HEAD$/im);
      assert.match(answer.head, /^content-length: 9$/im);
      assert.ok(answer.isWhole);
      assert.deepEqual(await warnings(server), []);
    });

    test("needs no Content-Type when it has no body", async (t) => {
      const server = await serve(t, `printf 'X-A: 1\\n\\n'`);
      const answer = await ask(server.port, "/run");
      assert.equal(answer.status, 200);
      assert.match(answer.head, /^content-length: 0$/im);
    });

    test("is cut at its Content-Length, and the rest is told of", async (t) => {
      const server = await serve(t, `printf 'Content-Length: 3\\n${TEXT}abc'; printf defghi`);
      const answer = await ask(server.port, "/run");
      assert.equal(answer.body, "abc");
      assert.ok(answer.isWhole);
      assert.deepEqual(await warnings(server), ["More output than its Content-Length: cut"]);
      assert.equal(server.counters.cgiFailed, 0);
    });

    test("stands when the exit status is not 0, and that is told of", async (t) => {
      const server = await serve(t, `printf '${TEXT}done'; exit 3`);
      const answer = await ask(server.port, "/run");
      assert.equal(answer.body, "done");
      assert.ok(answer.isWhole);
      assert.deepEqual(await warnings(server), ["CGI program failed"]);
      assert.equal(server.log.at(-1)?.["code"], 3);
      assert.equal(server.log.at(-1)?.["script"], server.program);
      assert.equal(server.counters.cgiFailed, 0);
    });
  });

for (const [how, limits] of READINGS)
  suite(`a broken answer, read ${how},`, () => {
    const isWhole = limits.briefMs > 0;
    const serve = (t: TestContext, script: string): Promise<CgiServer> =>
      serveCgi(t, script, { limits });

    const outputs: readonly (readonly [what: string, script: string, why: RegExp])[] = [
      ["nothing", ":", /No complete head, exit status 0/],
      ["nothing and a status", "exit 7", /No complete head, exit status 7/],
      ["half a head", "printf 'Content-Type: text/plain\\n'", /No complete head/],
      ["death before the head", "kill -KILL $$", /Killed by SIGKILL/],
      ["no header", "printf '\\nbody'", /No header field/],
      ["source text", "echo 'secret = hunter2;'", /Not a header field/],
      ["a bad Status", "printf 'Status: abc\\n\\n'", /Not a status/],
      ["a bad name", "printf 'X A: 1\\n\\n'", /Not a header field/],
      ["a bad length", "printf 'Content-Length: ten\\n\\n'", /Not a length/],
      ["a body of no type", "printf 'X-A: 1\\n\\nbody'", /without Content-Type/],
      ["a control byte", "printf 'X-A: a\\001b\\n\\n'", /Control byte/],
      ["a split response", "printf 'X-A: a\\rSet-Cookie: evil=1\\n\\n'", /Control byte/],
      // More than a pipe holds: a program that says it is still there.
      ...(isWhole
        ? []
        : [
            ["a head without end", "head -c 200000 /dev/zero | tr '\\0' a", /Head longer/] as const,
          ]),
    ];
    for (const [what, script, why] of outputs)
      test(`${what} is 502, with the reason in the log only`, async (t) => {
        const server = await serve(t, script);
        const answer = await ask(server.port, "/run");
        assert.equal(answer.status, 502);
        assert.doesNotMatch(answer.body, /secret|hunter/);
        assert.match((await warnings(server)).join("\n"), why);
        assert.deepEqual(server.counters, {
          cgiStarted: 1,
          cgiFailed: 1,
          cgiTimedOut: 0,
          cgiAlive: 0,
        });
      });

    for (const [what, script, why] of [
      [
        "shorter than its Content-Length",
        `printf 'Content-Length: 100\\n${TEXT}123456789'`,
        /91 bytes short/,
      ],
      [
        "that ends with the death of its program",
        `printf '${TEXT}123456789'; kill -SEGV $$`,
        /Killed by SIGSEGV/,
      ],
    ] as const)
      test(`a body ${what} is never completed`, async (t) => {
        const server = await serve(t, script);
        const answer = await ask(server.port, "/run");
        // What has begun can only be cut; what has not can still be refused.
        if (isWhole) assert.equal(answer.status, 502);
        else
          assert.deepEqual([answer.status, answer.body, answer.isWhole], [200, "123456789", false]);
        assert.match((await warnings(server)).join("\n"), why);
        assert.equal(server.counters.cgiFailed, 1);
      });
  });

test("a program that removes itself while it runs is answered as any other", async (t) => {
  const server = await serveCgi(t, `rm "$SCRIPT_FILENAME"; printf '${TEXT}gone'`);
  const answer = await ask(server.port, "/run");
  assert.deepEqual([answer.status, answer.body], [200, "gone"]);
  assert.equal((await ask(server.port, "/run")).status, 404);
});

test("an answer reaches the client while the program still reads", async (t) => {
  const server = await serveCgi(t, `printf '${TEXT}first\n'; read line; echo "$line"`);
  const client = request(server.url, { method: "POST", headers: { "Content-Length": "7" } });
  client.flushHeaders();
  const [answer] = await once(client, "response");
  const body = answer.setEncoding("utf8")[Symbol.asyncIterator]();
  assert.equal((await body.next()).value, "first\n");
  client.end("second\n");
  assert.equal((await body.next()).value, "second\n");
  assert.equal((await body.next()).done, true);
});

suite("a program that cannot start", () => {
  test("is refused at start when it is missing", async (t) => {
    const program = "/nowhere/at/all";
    const server = await serveCgi(t, "", { program, config: { "cgi-chdir": "/nowhere" } });
    assert.deepEqual(server.refusals, [
      'origin: Cannot run "/nowhere/at/all": ENOENT',
      'cgi-chdir: Cannot enter "/nowhere": ENOENT',
    ]);
  });

  test("is 404 when it has gone since", async (t) => {
    const server = await serveCgi(t, `printf '${TEXT}fine'`);
    rmSync(server.program);
    assert.equal((await ask(server.port, "/run")).status, 404);
    assert.match((await warnings(server)).join("\n"), /ENOENT/);
    assert.deepEqual(server.counters, { cgiStarted: 0, cgiFailed: 1, cgiTimedOut: 0, cgiAlive: 0 });
  });

  const breaks: readonly (readonly [
    what: string,
    why: RegExp,
    break_: (program: string) => void,
  ])[] = [
    ["may not run", /EACCES/, (program) => chmodSync(program, 0o644)],
    [
      "names an interpreter that is missing",
      /ENOENT/,
      (program) => writeFileSync(program, "#!/nowhere/sh\nsecret\n"),
    ],
    [
      "has no #! line",
      /ENOEXEC/,
      (program) => writeFileSync(program, "echo Content-Type: text/plain; echo; echo secret\n"),
    ],
    ["is empty", /ENOEXEC/, (program) => writeFileSync(program, "")],
    [
      "is a directory",
      /EACCES/,
      (program) => {
        rmSync(program);
        mkdirSync(program);
      },
    ],
  ];
  for (const [what, why, break_] of breaks)
    test(`is 502 when it ${what}, never its text`, async (t) => {
      const server = await serveCgi(t, `printf '${TEXT}fine'`);
      assert.equal((await ask(server.port, "/run")).body, "fine");
      break_(server.program);
      const answer = await ask(server.port, "/run");
      assert.equal(answer.status, 502);
      assert.doesNotMatch(answer.body, /secret|printf/);
      assert.match((await warnings(server)).join("\n"), why);
      assert.deepEqual(server.counters, {
        cgiStarted: 1,
        cgiFailed: 1,
        cgiTimedOut: 0,
        cgiAlive: 0,
      });
    });

  test("is 502 when its directory has gone", async (t) => {
    const cwd = temporaryDirectory(t);
    const server = await serveCgi(t, `printf '${TEXT}fine'`, { config: { "cgi-chdir": cwd } });
    rmSync(cwd, { recursive: true });
    assert.equal((await ask(server.port, "/run")).status, 502);
  });
});

test("a method that is not on the list is 405 with the list", async (t) => {
  const server = await serveCgi(t, `printf '${TEXT}ran'`);
  const answer = await ask(server.port, "/run", [], "PROPFIND");
  assert.equal(answer.status, 405);
  assert.match(answer.head, /^allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS$/im);
  assert.equal(server.counters.cgiStarted, 0);
});

test("nothing of a request reaches a shell or the arguments", async (t) => {
  const server = await serveCgi(
    t,
    `printf '${TEXT}'; printf '%s|' "$#" "$QUERY_STRING" "$PATH_INFO"`,
  );
  for (const query of ["-s", "-d+allow_url_include%3d1+-d+x", "foo+bar", "$(id)", "%ADd", "`id`"]) {
    const answer = await ask(server.port, `/run/;$(id)?${query}`);
    assert.equal(answer.body, `0|${query}|/;$(id)|`);
  }
});

test("stderr is logged line by line, made safe, and falls silent at the limit", async (t) => {
  const server = await serveCgi(
    t,
    `printf 'one\\n\\033[31mred\\n\\n' >&2; printf 'half a line' >&2; printf '${TEXT}fine'
     printf ' ends\\nlong%070d\\n' 0 >&2; head -c 1000000 /dev/zero | tr '\\0' x >&2`,
    { limits: { stderrBytes: 200, stderrLineBytes: 60 } },
  );
  const answer = await ask(server.port, "/run");
  assert.equal(answer.body, "fine");
  assert.ok(answer.isWhole);
  const lines = await said(server);
  assert.deepEqual(lines.slice(0, 5), [
    "one",
    "\\x1b[31mred",
    "half a line ends",
    `long${"0".repeat(56)}`,
    "0".repeat(14),
  ]);
  assert.match(lines.at(-1) ?? "", /no more than 200 bytes of stderr/);
  assert.ok(lines.join("").length < 400);
  for (const line of server.log) assert.equal(line["script"], server.program);
});

test("stderr in very short lines falls silent at their number", async (t) => {
  const server = await serveCgi(t, `yes | head -n 10000 >&2; printf '${TEXT}fine'`, {
    limits: { stderrLines: 3 },
  });
  assert.equal((await ask(server.port, "/run")).body, "fine");
  const lines = await said(server);
  assert.deepEqual(lines.slice(0, 3), ["y", "y", "y"]);
  assert.match(lines[3] ?? "", /no more than 3 lines of stderr/);
  assert.equal(lines.length, 4);
});

test("stderr of a program that failed stands in the warning too", async (t) => {
  const server = await serveCgi(t, `echo why >&2; printf '${TEXT}done'; exit 3`);
  await ask(server.port, "/run", ["X-Request-Id: r-1"]);
  assert.deepEqual(await said(server), ["why"]);
  await until("the warning is there", () => server.log.some(({ level }) => level === 40));
  const warning = server.log.find(({ level }) => level === 40);
  assert.deepEqual([warning?.["code"], warning?.["stderr"]], [3, ["why"]]);
  assert.equal(typeof warning?.["child"], "number");
  assert.equal(warning?.["vhost"], "localhost");
  assert.equal(warning?.["request"], "r-1");
});
