import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { connect, Socket } from "node:net";
import { suite, test, type TestContext } from "node:test";
import { connect as openWire } from "../../../helpers/wire.ts";
import { serveCgi, type CgiServer, type CgiServerOptions } from "./cgi-server.ts";
import { ask, openDescriptors, until } from "./clients.ts";

const TEXT = "Content-Type: text/plain\\n\\n";
/** Held open by a script and all that it starts: it ends when the last of them has. */
const HOLD_LIFELINE = 'exec 3>"$SCRIPT_FILENAME.life"; echo up >&3;';
const noProc = existsSync("/proc/self/stat") ? false : "no /proc";
/** Never waited for: whoever sleeps this long is to be killed. */
const FOREVER = "sleep 600";

type Watched = CgiServer & {
  /** The program has begun. */
  readonly up: Promise<unknown>;
  /** The program and all that it started are gone. */
  readonly gone: Promise<unknown>;
};

async function serveWatched(
  t: TestContext,
  script: string,
  options: CgiServerOptions,
): Promise<Watched> {
  const server = await serveCgi(t, `${HOLD_LIFELINE} ${script}`, options);
  const path = `${server.program}.life`;
  execFileSync("mkfifo", [path]);
  const pipe = new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) });
  t.after(() => pipe.destroy());
  return { ...server, up: once(pipe, "data"), gone: once(pipe, "end") };
}

/** Everything that a run takes is given back. */
async function settled(server: CgiServer): Promise<void> {
  await until("the program ends", () => server.counters.cgiAlive === 0);
}

async function begin(url: string): Promise<IncomingMessage> {
  const client = request(url, { agent: false });
  client.end();
  const [answer] = (await once(client, "response")) as [IncomingMessage];
  return answer;
}

suite("cgi-timeout", () => {
  // Longer than a loaded machine takes to start a shell.
  const quick = { config: { "cgi-timeout": 1 } };

  test("is 504 before the head, and nothing of the program is left", async (t) => {
    const server = await serveWatched(t, `${FOREVER} & ${FOREVER}`, quick);
    assert.equal((await ask(server.port, "/run")).status, 504);
    await server.gone;
    await settled(server);
    assert.deepEqual(server.counters, { cgiStarted: 1, cgiFailed: 0, cgiTimedOut: 1, cgiAlive: 0 });
  });

  test("cuts an answer that has begun", async (t) => {
    const server = await serveWatched(t, `printf '${TEXT}half'; ${FOREVER}`, quick);
    const answer = await ask(server.port, "/run");
    assert.equal(answer.status, 200);
    assert.equal(answer.body, "half");
    assert.ok(!answer.isWhole);
    await server.gone;
    await settled(server);
    assert.deepEqual(server.counters, { cgiStarted: 1, cgiFailed: 0, cgiTimedOut: 1, cgiAlive: 0 });
  });

  test("kills who ignores SIGTERM", async (t) => {
    const server = await serveWatched(t, `trap '' TERM; while :; do ${FOREVER}; done`, {
      ...quick,
      limits: { killGraceMs: 100 },
    });
    assert.equal((await ask(server.port, "/run")).status, 504);
    await server.gone;
    await settled(server);
  });

  test("starts anew with every byte", async (t) => {
    const server = await serveCgi(
      t,
      `printf '${TEXT}'; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do printf "$i "; sleep 0.2; done`,
      { config: { "cgi-timeout": 2 } },
    );
    const answer = await ask(server.port, "/run");
    assert.equal(answer.body, "1 2 3 4 5 6 7 8 9 10 11 12 ");
    assert.ok(answer.isWhole);
  });

  test("ends a program that has closed its output and runs on, after its answer", async (t) => {
    const script = `printf '${TEXT}whole'; exec >&- 2>&-; ${FOREVER}`;
    const server = await serveWatched(t, script, quick);
    const answer = await ask(server.port, "/run");
    assert.equal(answer.body, "whole");
    assert.ok(answer.isWhole);
    await server.gone;
    await settled(server);
    assert.deepEqual(server.counters, { cgiStarted: 1, cgiFailed: 0, cgiTimedOut: 1, cgiAlive: 0 });
  });

  test("ends what keeps the output open behind a complete answer, and does not listen to it", async (t) => {
    const script = `printf 'Content-Length: 5\\n${TEXT}whole'; while echo more; do sleep 0.05; done & exit 0`;
    const server = await serveCgi(t, script, { ...quick, limits: { maxRunning: 1 } });
    // The second enters when nothing holds the pipes of the first any more.
    for (let run = 1; run <= 2; run += 1) {
      const answer = await ask(server.port, "/run");
      assert.equal(answer.body, "whole");
      assert.ok(answer.isWhole);
      await until("what was left is ended", () => server.counters.cgiTimedOut === run);
    }
  });

  test("leaves no pipe to what has left the process group", async (t) => {
    // A shell, because the start of a bigger program may take all of the time that this one has.
    const escape = `rm -f escaped; setsid sh -c 'touch escaped; exec sleep 20' &
      until test -e escaped; do sleep 0.01; done
      printf 'Content-Length: 5\\nContent-Type: text/plain\\n\\nwhole'`;
    const server = await serveCgi(t, escape, {
      ...quick,
      limits: { maxRunning: 1, killGraceMs: 50 },
    });
    for (let run = 0; run < 2; run += 1)
      assert.equal((await ask(server.port, "/run")).body, "whole");
    await settled(server);
  });

  test("does not run while the client is waited for, who has a clock of its own", async (t) => {
    const server = await serveCgi(t, `read line; printf '${TEXT}%s' "$line"`, {
      config: { "cgi-timeout": 0.2 },
      clocks: { progressMs: 1_000 },
    });
    const client = request(server.url, { method: "POST", headers: { "Content-Length": "100" } });
    client.on("error", () => {}); // Its connection is closed under it.
    client.write("half");
    const [answer] = (await once(client, "response")) as [IncomingMessage];
    assert.equal(answer.statusCode, 408);
    await settled(server);
    assert.deepEqual(server.counters, { cgiStarted: 1, cgiFailed: 0, cgiTimedOut: 0, cgiAlive: 0 });
  });
});

suite("a client that goes", () => {
  const patient = { config: { "cgi-timeout": 600 } };
  const ways: readonly (readonly [how: string, script: string, leave: (socket: Socket) => void])[] =
    [
      [
        "with a reset while the program is silent",
        `(trap '' TERM; exec >&- 2>&-; while :; do ${FOREVER}; done) & wait`,
        (socket) => void socket.resetAndDestroy(),
      ],
      [
        "with a close while the program is silent",
        `(trap '' TERM; while :; do ${FOREVER}; done) & wait`,
        (socket) => void socket.destroy(),
      ],
      [
        "with a close while the program writes",
        `(trap '' TERM; while :; do echo more; sleep 0.02; done) & wait`,
        (socket) => void socket.destroy(),
      ],
    ];
  for (const [how, script, leave] of ways)
    test(`${how} takes it and all it started along`, async (t) => {
      const server = await serveWatched(t, `printf '${TEXT}first'; ${script}`, patient);
      leave((await begin(server.url)).socket);
      await server.gone;
      await settled(server);
      assert.deepEqual(server.counters, {
        cgiStarted: 1,
        cgiFailed: 0,
        cgiTimedOut: 0,
        cgiAlive: 0,
      });
      assert.deepEqual(
        server.log.filter(({ level }) => Number(level) >= 40),
        [],
      );
    });

  test("before there is a head takes the program with it", async (t) => {
    const server = await serveWatched(t, FOREVER, patient);
    const socket = connect(server.port, "127.0.0.1");
    socket.write("GET /run HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await server.up;
    socket.destroy();
    await server.gone;
    await settled(server);
  });

  test("by halves gets its answer, as long as the program is not silent for long", async (t) => {
    const script = `printf '${TEXT}'; for i in 1 2 3 4 5 6 7 8; do sleep 0.2; printf "$i"; done`;
    const server = await serveCgi(t, script, { limits: { halfClosedMs: 1_200 } });
    const wire = await openWire(server.port);
    wire.socket.end("GET /run HTTP/1.0\r\n\r\n");
    assert.match(await wire.rest(), /\r\n\r\n12345678$/);
    await settled(server);
  });

  test("in the middle of its request body takes the program with it", async (t) => {
    const server = await serveWatched(t, `printf '${TEXT}'; wc -c; ${FOREVER}`, patient);
    const client = request(server.url, { method: "POST", headers: { "Content-Length": "100" } });
    client.on("error", () => {});
    client.write("half");
    await server.up;
    client.destroy();
    await server.gone;
    await settled(server);
  });
});

test("uploads that break off leave no descriptor", { skip: noProc }, async (t) => {
  const server = await serveCgi(t, `printf '${TEXT}'; cat >/dev/null`);
  const breakOff = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      const started = server.counters.cgiStarted;
      const client = request(server.url, { method: "POST", headers: { "Content-Length": "100" } });
      client.on("error", () => {});
      client.write("half");
      await until("the program runs", () => server.counters.cgiStarted > started);
      client.destroy();
      await settled(server);
    }
  };
  await breakOff(1);
  const before = openDescriptors() ?? 0;
  await breakOff(20);
  await until("no descriptor more than before", () => (openDescriptors() ?? 0) <= before);
});

test("a mount runs so many programs, queues some requests, and tells the others to come back", async (t) => {
  // Each run waits for its byte.
  const script = `printf '${TEXT}'; dd bs=1 count=1 if="$SCRIPT_FILENAME.go" 2>/dev/null`;
  const limits = { maxRunning: 2, maxWaiting: 3, retryAfterSecs: 7 };
  const server = await serveCgi(t, script, { limits });
  execFileSync("mkfifo", [`${server.program}.go`]);
  const answers = Array.from({ length: 9 }, () => ask(server.port, "/run"));
  let refused = 0;
  for (const answer of answers)
    void answer.then(({ status }) => (refused += Number(status === 503)));
  await until("4 of 9 are refused", () => refused === 4);
  await until("2 of 9 run", () => server.counters.cgiStarted === 2);
  const go = openSync(`${server.program}.go`, constants.O_RDWR);
  t.after(() => closeSync(go));
  writeSync(go, "x".repeat(5));
  const all = await Promise.all(answers);
  assert.equal(all.filter(({ status, body }) => status === 200 && body === "x").length, 5);
  for (const { status, head } of all) if (status === 503) assert.match(head, /^retry-after: 7$/im);
  await settled(server);
  assert.equal(server.counters.cgiStarted, 5);
});

test("stop ends every program at once, and starts no other", async (t) => {
  const script = `trap '' TERM; printf '${TEXT}first'; (trap '' TERM; ${FOREVER}) & wait; ${FOREVER}`;
  const server = await serveWatched(t, script, { limits: { maxRunning: 1 } });
  const running = await begin(server.url);
  running.on("error", () => {}); // It is cut.
  running.resume();
  server.mount.stop?.();
  await server.gone;
  await settled(server);
  assert.equal((await ask(server.port, "/run")).status, 503);
  assert.deepEqual(server.counters, { cgiStarted: 1, cgiFailed: 0, cgiTimedOut: 0, cgiAlive: 0 });
  assert.deepEqual(server.log, []);
});

// Read as they write, and once they have ended: an answer that was not begun can still be refused.
for (const [briefMs, cut] of [
  [0, 200],
  [60_000, 502],
] as const)
  test(`500 runs, good and bad, leave no descriptor and no zombie; ${briefMs} ms to be brief`, async (t) => {
    const script = `case $QUERY_STRING in
    good) printf '${TEXT}%s' good;;
    bad) printf 'not an answer';;
    half) printf 'Content-Length: 9\n${TEXT}half';;
    dead) kill -KILL $$;;
    *) printf '${TEXT}'; exec cat;;
  esac`;
    const server = await serveCgi(t, script, { limits: { briefMs } });
    const round = async (): Promise<void> => {
      const queries = ["good", "bad", "half", "dead", "echo"];
      const all = await Promise.all(queries.map((query) => ask(server.port, `/run?${query}`)));
      assert.deepEqual(
        all.map(({ status }) => status),
        [200, 502, cut, 502, 200],
      );
    };
    await round();
    await settled(server);
    const before = openDescriptors();
    for (let count = 0; count < 99; count += 1) await round();
    await settled(server);
    assert.deepEqual(server.counters, {
      cgiStarted: 500,
      cgiFailed: 300,
      cgiTimedOut: 0,
      cgiAlive: 0,
    });
    // Sockets of clients that have closed go a moment later.
    await until("no descriptor more than before", () => (openDescriptors() ?? 0) <= (before ?? 0));
    assert.deepEqual(zombies(), []);
  });

test("a program gets three descriptors and default signals", { skip: noProc }, async (t) => {
  const script = `printf '${TEXT}'; ls /proc/self/fd; grep -E '^Sig(Blk|Ign)' /proc/self/status`;
  const server = await serveCgi(t, script);
  const lines = (await ask(server.port, "/run")).body.trimEnd().split("\n");
  // ls itself has the directory open as 3.
  assert.deepEqual(lines, [
    "0",
    "1",
    "2",
    "3",
    "SigBlk:\t0000000000000000",
    "SigIgn:\t0000000000000000",
  ]);
});

/** Children of this process that have ended and nobody has asked for. */
function zombies(): string[] {
  if (noProc) return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => readStat(pid))
    .filter((stat) => new RegExp(`\\) Z ${process.pid} `).test(stat));
}

function readStat(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return ""; // It has ended meanwhile.
  }
}
