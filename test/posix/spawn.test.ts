import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  readdirSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { suite, test, type TestContext } from "node:test";
import type { Child, Starter, StartRequest } from "../../posix/child.ts";
import { openLibc } from "../../posix/native.mjs";
import { createNodeStarter } from "../../posix/spawn-node.ts";
import { openSpawnStarter, openStarter } from "../../posix/spawn.ts";
import { temporaryDirectory } from "../helpers/site.ts";
import { until } from "../worker/mounts/cgi/clients.ts";

const noProc = existsSync("/proc/self/fd") ? false : "no /proc";
const MB = 1024 * 1024;
/** Longer than any program here takes. */
const PATIENCE_MS = 60_000;

type Ended = {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly exit: Awaited<Child["exited"]>;
};

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function ended(child: Child): Promise<Ended> {
  // Neither a signal listener nor a child of libc's keeps a process of Node's alive.
  const patience = setInterval(() => {}, 1000);
  const [stdout, stderr, exit] = await Promise.all([
    collect(child.stdout),
    collect(child.stderr),
    child.exited,
  ]);
  clearInterval(patience);
  return { stdout, stderr: stderr.toString("latin1"), exit };
}

function script(t: TestContext, lines: string): string {
  const path = join(temporaryDirectory(t), "program");
  writeFileSync(path, lines.startsWith("#!") ? lines : `#!/bin/sh\n${lines}\n`);
  chmodSync(path, 0o755);
  return path;
}

function requestFor(program: string, more: Partial<StartRequest> = {}): StartRequest {
  const environment = new Map([["PATH", "/usr/local/bin:/usr/bin:/bin"]]);
  return { program, args: [], environment, cwd: "/", stdin: "none", ...more };
}

function descriptors(): string[] {
  return readdirSync("/proc/self/fd");
}

const starters: readonly (readonly [string, () => Promise<Starter | undefined>])[] = [
  ["posix_spawn", openSpawnStarter],
  ["child_process", async () => createNodeStarter()],
];

for (const [by, open] of starters)
  suite(`a starter by ${by}`, async () => {
    const starter = await open();
    if (!starter) return void test("is not to be had here", { skip: "no koffi, or no glibc" });

    test("passes arguments, environment and directory as they are, and nothing else", async (t) => {
      const cwd = realpathSync(temporaryDirectory(t));
      const program = script(t, `printf '%s|' "$@"; pwd; env -0`);
      const environment = new Map([
        ["PATH", "/usr/bin:/bin"],
        ["UMLAUT", Buffer.from("grüße = x").toString("latin1")],
        ["EMPTY", ""],
      ]);
      const args = ["-s", "a b", "", "$(id)", "käse"];
      const { stdout, exit } = await ended(
        await starter.start(requestFor(program, { args, environment, cwd })),
      );
      const [first = "", ...rest] = stdout.toString("utf8").split("\n");
      assert.equal(first, `-s|a b||$(id)|käse|${cwd}`);
      const seen = rest
        .join("\n")
        .split("\0")
        .filter((line) => !/^(?:|PWD=.*|_=.*|SHLVL=.*|OLDPWD=.*)$/.test(line));
      assert.deepEqual(seen.toSorted(), ["EMPTY=", "PATH=/usr/bin:/bin", "UMLAUT=grüße = x"]);
      assert.deepEqual([exit.code, exit.signal], [0, null]);
    });

    test("gives an input that is at its end, or a pipe", async (t) => {
      const program = script(t, "wc -c");
      const without = await ended(await starter.start(requestFor(program)));
      assert.equal(without.stdout.toString().trim(), "0");
      const child = await starter.start(requestFor(program, { stdin: "pipe" }));
      child.stdin?.end("12345");
      assert.equal((await ended(child)).stdout.toString().trim(), "5");
    });

    test("carries 20 MB both ways at once", async () => {
      const child = await starter.start(requestFor("/bin/cat", { stdin: "pipe" }));
      const output = ended(child);
      for (let sent = 0; sent < 20; sent += 1)
        if (!child.stdin?.write(Buffer.alloc(MB, sent))) await once(child.stdin!, "drain");
      child.stdin?.end();
      const { stdout } = await output;
      assert.equal(stdout.length, 20 * MB);
      for (let piece = 0; piece < 20; piece += 1) assert.equal(stdout[piece * MB], piece);
    });

    test("tells exit codes, signals and what the child said on stderr", async (t) => {
      const failed = await ended(await starter.start(requestFor(script(t, "echo oh >&2; exit 7"))));
      assert.deepEqual([failed.exit.code, failed.exit.signal, failed.stderr], [7, null, "oh\n"]);
      const killed = await ended(await starter.start(requestFor(script(t, "kill -SEGV $$"))));
      assert.deepEqual([killed.exit.code, killed.exit.signal], [null, "SIGSEGV"]);
    });

    const faults: readonly (readonly [string, string, (t: TestContext) => StartRequest])[] = [
      ["a program that is missing", "ENOENT", () => requestFor("/nowhere/at/all")],
      ["an interpreter that is missing", "ENOENT", (t) => requestFor(script(t, "#!/nowhere/sh\n"))],
      [
        "a directory that is missing",
        "ENOENT",
        (t) => requestFor(script(t, ":"), { cwd: "/nowhere" }),
      ],
      [
        "a file that may not be run",
        "EACCES",
        (t) => {
          const program = script(t, ":");
          chmodSync(program, 0o644);
          return requestFor(program);
        },
      ],
      ["a directory for a program", "EACCES", () => requestFor("/etc")],
      [
        "an environment that is too big",
        "E2BIG",
        () => requestFor("/bin/true", { environment: new Map([["BIG", "x".repeat(200_000)]]) }),
      ],
    ];
    for (const [what, code, request] of faults)
      test(`rejects ${what} with ${code}, and keeps no descriptor`, { skip: noProc }, async (t) => {
        const wanted = request(t);
        await assert.rejects(starter.start(wanted), { code });
        const before = descriptors().length;
        for (let count = 0; count < 20; count += 1) await assert.rejects(starter.start(wanted));
        await until("all are closed", () => descriptors().length <= before);
      });

    test("never has a text without #! run by a shell", async (t) => {
      const path = script(t, ":");
      writeFileSync(path, "echo secret\n");
      // Root may read and run what is marked for it: the mark alone is not enough.
      await assert.rejects(starter.start(requestFor(path)), { code: "ENOEXEC" });
    });

    test("starts the leader of a new process group, and signals all of it", async (t) => {
      const child = await starter.start(
        requestFor(script(t, "sleep 600 & echo $$; ps -o pgid= -p $$; wait")),
      );
      const [first] = (await once(child.stdout, "data")) as [Buffer];
      assert.equal(first.toString().split("\n")[0], String(child.pid));
      assert.ok(child.kill(0));
      assert.ok(child.kill("SIGKILL"));
      // The output ends with the last who holds it: the grandchild too.
      assert.equal((await ended(child)).exit.signal, "SIGKILL");
      await until("nobody is left", () => !child.kill(0));
    });

    test("gives default signals, none of them blocked", { skip: noProc }, async (t) => {
      const program = script(t, "grep -E '^Sig(Blk|Ign)' /proc/self/status");
      assert.equal(
        (await ended(await starter.start(requestFor(program)))).stdout.toString(),
        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
      );
    });

    test("collects 100 children that end in any order", { skip: noProc }, async (t) => {
      const program = script(t, "exit $1");
      const all = await Promise.all(
        Array.from({ length: 100 }, async (_, index) =>
          ended(await starter.start(requestFor(program, { args: [String(index)] }))),
        ),
      );
      assert.deepEqual(
        all.map(({ exit }) => exit.code),
        Array.from({ length: 100 }, (_, index) => index),
      );
      const left = execFileSync("ps", ["-o", "stat=", "--ppid", String(process.pid)]).toString();
      assert.doesNotMatch(left, /^Z/m);
    });
  });

suite("posix_spawn alone", async () => {
  const starter = await openSpawnStarter();
  if (!starter) return void test("is not to be had here", { skip: "no koffi, or no glibc" });
  const options = { skip: noProc };

  test("is what openStarter takes where it can", options, async () => {
    assert.equal((await openStarter()).by, "posix_spawn");
  });

  test("passes bytes that are no UTF-8", options, async (t) => {
    const environment = new Map([["BYTES", "caf\xe9\x80"]]);
    const program = script(t, `printf %s "$BYTES"`);
    assert.ok(starter.carries("caf\xe9"));
    const { stdout } = await ended(await starter.start(requestFor(program, { environment })));
    assert.equal(stdout.toString("latin1"), "caf\xe9\x80");
  });

  test("closes descriptors that this process got without close-on-exec", options, async (t) => {
    const native = await openLibc();
    const stray: number = native?.libc.func("int dup(int fd)")(0);
    t.after(() => closeSync(stray));
    const program = script(t, "ls /proc/self/fd");
    // ls itself has the directory open.
    const output = (await ended(await starter.start(requestFor(program)))).stdout.toString();
    assert.deepEqual(output.trim().split("\n"), ["0", "1", "2", "3"]);
  });

  test("lets a program open /dev/stderr and /dev/stdout by name", options, async (t) => {
    const program = script(t, "echo fault >/dev/stderr; echo word >/dev/stdout");
    const { stdout, stderr } = await ended(await starter.start(requestFor(program)));
    assert.deepEqual([stdout.toString(), stderr], ["word\n", "fault\n"]);
  });

  test("reads a program whole that ends at once, and keeps no descriptor", options, async (t) => {
    const program = script(t, "printf out; printf err >&2; exit 3");
    const brief = async () => await (await starter.start(requestFor(program))).brief?.(PATIENCE_MS);
    await brief(); // The first child makes this process listen for the end of children.
    const before = descriptors();
    const said = await brief();
    assert.deepEqual([said?.stdout.toString(), said?.stderr.toString()], ["out", "err"]);
    assert.deepEqual([said?.exit.code, said?.exit.signal], [3, null]);
    assert.deepEqual(descriptors(), before);
  });

  test("gives a small input at once, to a program that may not want it", options, async (t) => {
    const before = descriptors();
    for (const [lines, said] of [
      ["cat", "input"],
      ["exec <&-; printf closed", "closed"],
    ] as const) {
      const child = await starter.start(requestFor(script(t, lines), { stdin: "pipe" }));
      child.give?.(Buffer.from("input"));
      assert.equal(child.stdin, undefined);
      assert.equal((await child.brief?.(PATIENCE_MS))?.stdout.toString(), said);
    }
    const gone = await starter.start(requestFor(script(t, "exit 0"), { stdin: "pipe" }));
    await gone.exited;
    gone.give?.(Buffer.from("input")); // EPIPE
    assert.equal((await gone.brief?.(PATIENCE_MS))?.exit.code, 0);
    assert.deepEqual(descriptors(), before);
  });

  const longer: readonly (readonly [
    what: string,
    lines: string,
    withinMs: number,
    said: string,
  ])[] = [
    ["runs on", "printf first; read line; printf last", 1, "firstlast"],
    [
      "leaves somebody behind who may say more",
      "exec 3<&0; (read line <&3; printf last) & printf first",
      50,
      "firstlast",
    ],
    [
      "says more than a pipe holds",
      "head -c 300000 /dev/zero | tr '\\0' x",
      50,
      "x".repeat(300_000),
    ],
  ];
  for (const [what, lines, withinMs, said] of longer)
    test(`leaves the output of a program that ${what} to its streams`, options, async (t) => {
      const program = script(t, lines);
      const child = await starter.start(requestFor(program, { stdin: "pipe" }));
      assert.equal(await child.brief?.(withinMs), undefined);
      child.stdin?.end("line\n");
      assert.equal((await ended(child)).stdout.toString(), said);
    });

  test("tells processor time and peak memory, with those of grandchildren", options, async (t) => {
    const ownMb = Math.ceil(process.resourceUsage().maxRSS / 1024);
    const mb = ownMb + 64;
    const program = script(t, `dd if=/dev/zero of=/dev/null bs=${mb}M count=1 2>/dev/null`);
    const { usage } = (await ended(await starter.start(requestFor(program)))).exit;
    assert.ok(usage && usage.cpuMs > 0);
    assert.ok(usage.peakBytes !== undefined && usage.peakBytes >= mb * MB);
    // A small one is not told apart from the start of a child, which shares our memory.
    const small = await ended(await starter.start(requestFor("/bin/true")));
    assert.equal(small.exit.usage?.peakBytes, undefined);
  });
});
