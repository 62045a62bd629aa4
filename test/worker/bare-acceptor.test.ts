import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import net from "node:net";
import test from "node:test";
import { createLogger } from "../../log/logger.ts";
import { openLibc } from "../../posix/native.mjs";
import { openPoller } from "../../posix/poller.ts";
import { createBareAcceptor } from "../../worker/bare-acceptor.ts";
import { createCounters } from "../../worker/counters.ts";

const skip = process.platform !== "linux" && "Bare descriptors are for Linux";

/** Whether any epoll instance of this process watches what has this inode. */
function isWatched(inode: number): boolean {
  return readdirSync("/proc/self/fdinfo").some((fd) => {
    try {
      const info = readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
      return info.split("\n").some((line) => line.includes(` ino:${inode.toString(16)} `));
    } catch {
      // That of the listing itself.
      return false;
    }
  });
}

test(
  "createBareAcceptor counts what it takes, and a closed one is not woken by clients of those who listen on",
  { skip },
  async (t) => {
    const poller = await openPoller();
    const native = await openLibc();
    assert.ok(poller && native);
    const bound = new net.BoundSocket({ host: "127.0.0.1", port: 0 });
    // As the supervisor keeps it.
    const fd: number = native.libc.func("int dup(int fd)")(bound.fd());
    const inode = statSync(`/proc/self/fd/${fd}`).ino;
    const listener = {
      address: "test",
      port: 0,
      fd,
      secure: false,
      vhosts: [],
      overrides: [],
    };
    const log = await createLogger({ name: "test", level: "silent" });
    const counters = createCounters();
    const gone = Promise.withResolvers<void>();
    const acceptor = createBareAcceptor(listener, counters, log, poller, (transport) => {
      transport.onceClosed(gone.resolve);
      transport.destroy();
    });
    t.after(() => {
      poller.stop();
      bound.close();
    });
    await acceptor.listen();
    const { port } = bound.address();
    const client = net.connect({ port, host: "127.0.0.1" }).on("error", () => {});
    await once(client, "close");
    await gone.promise;
    assert.equal(counters.worker.connectionsAccepted, 1);
    assert.equal(counters.openConnections, 0);
    assert.equal(isWatched(inode), true);
    acceptor.close();
    assert.equal(isWatched(inode), false);
  },
);
