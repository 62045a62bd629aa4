import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { takeNotifyRequest } from "../../supervisor/notify.ts";
import { startNotifyReceiver } from "../helpers/notify-receiver.ts";
import { startPortico } from "../helpers/server.ts";

const PLUGIN = `export default { name: "fragile", start: () => ({}) };`;
const CGI = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv\n";

suite("takeNotifyRequest", () => {
  test("takes what is meant for us and leaves the rest", () => {
    const environment = {
      PATH: "/bin",
      NOTIFY_SOCKET: "/run/notify",
      WATCHDOG_USEC: "30000000",
      WATCHDOG_PID: "7",
    };
    assert.deepEqual(takeNotifyRequest(environment, 7), {
      address: "/run/notify",
      watchdogMs: 30_000,
    });
    assert.deepEqual(environment, { PATH: "/bin" });
  });

  test("is undefined without a socket, watchdog or not", () => {
    assert.equal(takeNotifyRequest({}), undefined);
    const environment = { NOTIFY_SOCKET: "", WATCHDOG_USEC: "30000000" };
    assert.equal(takeNotifyRequest(environment), undefined);
    assert.deepEqual(environment, {});
  });

  test("feeds no watchdog that is another's, off or nonsense", () => {
    for (const variables of [
      { WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" },
      { WATCHDOG_USEC: "0" },
      { WATCHDOG_USEC: "soon" },
      { WATCHDOG_USEC: "-5" },
      {},
    ])
      assert.deepEqual(
        takeNotifyRequest({ NOTIFY_SOCKET: "@x", ...variables }, 7),
        { address: "@x", watchdogMs: undefined },
        JSON.stringify(variables),
      );
  });
});

suite("createNotifier", () => {
  test("tells of the start, of reloads and of the end, and children cannot", async (t) => {
    const receiver = await startNotifyReceiver(t);
    if (!receiver) return;
    const conf = {
      vhosts: [
        {
          name: "localhost",
          port: 0,
          mounts: [{ mountpoint: "/env", origin: "cgi://./env.cgi" }],
        },
      ],
    };
    const portico = await startPortico(t, {
      conf,
      files: { "env.cgi": CGI },
      workers: 2,
      env: { NOTIFY_SOCKET: receiver.address, WATCHDOG_USEC: "60000000" },
      expect: [/^conf:/, /^Reload refused/],
    });

    const ready = await receiver.message("READY=1");
    assert.equal(ready.index, 0);
    assert.match(ready.text, /^STATUS=Generation 1 serves with 2 workers, 0 connections$/m);
    assert.match(ready.text, /^WATCHDOG=1$/m);

    const environment = await (await fetch(`${portico.url()}/env`)).text();
    assert.match(environment, /^GATEWAY_INTERFACE=/m);
    assert.doesNotMatch(environment, /NOTIFY|WATCHDOG/);
    const { workers } = await portico.status();
    if (process.platform === "linux")
      for (const { pid } of workers)
        assert.doesNotMatch(readFileSync(`/proc/${pid}/environ`, "latin1"), /NOTIFY|WATCHDOG/);

    const before = process.hrtime.bigint();
    await portico.control("reload");
    const reloading = await receiver.message("RELOADING=1", ready.index + 1);
    const micros = BigInt(/^MONOTONIC_USEC=(\d+)$/m.exec(reloading.text)?.[1] ?? 0);
    assert.ok(micros >= before / 1000n && micros <= process.hrtime.bigint() / 1000n);
    const reloaded = await receiver.message("READY=1", reloading.index + 1);
    assert.match(reloaded.text, /^STATUS=Generation 2 serves with 2 workers/m);

    portico.writeConf("{");
    assert.equal((await portico.control("reload")).ok, false);
    const refusing = await receiver.message("RELOADING=1", reloaded.index + 1);
    const refused = await receiver.message("READY=1", refusing.index + 1);
    assert.match(refused.text, /^STATUS=Generation 2 serves .*; the last reload was refused$/m);

    assert.equal(await portico.stop(), 0);
    const stopping = await receiver.message("STOPPING=1", refused.index + 1);
    assert.equal(stopping.index, receiver.messages.length - 1);
  });

  test("feeds the watchdog only while the current generation has a worker that serves", async (t) => {
    const receiver = await startNotifyReceiver(t, { kind: "abstract" });
    if (!receiver) return;
    const vhost = { name: "localhost", port: 0 };
    const portico = await startPortico(t, {
      conf: {
        global: { "plugin-dir": "plugins" },
        vhosts: [{ ...vhost, "ws-protocols": [{ fragile: {} }] }],
      },
      files: { "plugins/fragile.mjs": PLUGIN },
      workers: 1,
      env: { NOTIFY_SOCKET: receiver.address, WATCHDOG_USEC: "40000" },
      expect: [/^Worker died/, /^Replacement worker refused/],
    });
    const fed = await receiver.message("WATCHDOG=1", 1);
    assert.doesNotMatch(fed.text, /READY=1/);

    rmSync(join(portico.directory, "plugins/fragile.mjs"));
    const [worker] = (await portico.status()).workers;
    assert.ok(worker);
    process.kill(worker.pid, "SIGKILL");
    const dead = await receiver.message("STATUS=Generation 1: no worker serves");
    assert.doesNotMatch(dead.text, /WATCHDOG/);

    // The reload starts a process, which takes many times the 20 ms between two feeds.
    portico.writeConf({ vhosts: [vhost] });
    assert.equal((await portico.control("reload")).ok, true);
    const ready = await receiver.message("READY=1", dead.index);
    assert.deepEqual(
      receiver.messages.slice(dead.index, ready.index).filter((text) => /WATCHDOG/.test(text)),
      [],
    );
    await receiver.message("WATCHDOG=1", ready.index + 1);
    // Before the receiver goes.
    await portico.stop();
  });

  test("a manager that is not there costs one warning", async (t) => {
    const portico = await startPortico(t, {
      conf: { vhosts: [{ name: "localhost", port: 0 }] },
      workers: 1,
      env: { NOTIFY_SOCKET: "/nonexistent/notify", WATCHDOG_USEC: "20000" },
      expect: [/^The service manager hears nothing/],
    });
    await portico.log(/^The service manager hears nothing: .*ENOENT/);
    assert.equal((await portico.control("reload")).ok, true);
    assert.equal(await portico.stop(), 0);
    await portico.log(/^Stopping/);
    const told = portico.logs.filter(({ msg }) => msg.startsWith("The service manager"));
    assert.equal(told.length, 1);
  });
});
