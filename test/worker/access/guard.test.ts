import assert from "node:assert/strict";
import test from "node:test";
import type { Guard, Verdict } from "../../../worker/access/guard.ts";
import { HttpError } from "../../../worker/http/exchange.ts";
import { startSite, type TestMount } from "../../helpers/site.ts";
import { request } from "../../helpers/wire.ts";

const CLOSED: Guard = { rules: [() => new HttpError(403, "")], password: undefined };

function mount(mountpoint: string, guard?: Guard): TestMount {
  const handle: TestMount["handle"] = (exchange) =>
    exchange.send(200, [], `${mountpoint} for ${exchange.user ?? "anybody"}`);
  return guard ? { mountpoint, handle, guard } : { mountpoint, handle };
}

test("dispatch asks the guard of the mount before everything else", async (t) => {
  const site = await startSite(t, {
    vhosts: [{ name: "a.test", mounts: [mount("/"), mount("/in", CLOSED), mount("/in/out")] }],
  });
  for (const line of ["GET /in", "GET /in/x", "POST /in", "OPTIONS /in", "TRACE /in"])
    assert.equal((await request(site.port, line)).status, 403, line);
  assert.equal((await request(site.port, "GET /in/out/x")).body, "/in/out for anybody");
  assert.equal((await request(site.port, "GET /into")).body, "/ for anybody");
});

test("dispatch asks the guard of the vhost where no mount matches", async (t) => {
  const site = await startSite(t, {
    vhosts: [{ name: "a.test", mounts: [mount("/open")], guard: CLOSED }],
  });
  for (const line of ["GET /", "GET /nothing", "OPTIONS *", "TRACE /"])
    assert.equal((await request(site.port, line)).status, 403, line);
  assert.equal((await request(site.port, "GET /open")).status, 200);
});

test("dispatch waits for a password, and names the user to the mount and in the log", async (t) => {
  const { promise, resolve } = Promise.withResolvers<Verdict>();
  const password = (): Promise<Verdict> => promise;
  const site = await startSite(t, {
    vhosts: [{ name: "a.test", mounts: [mount("/", { rules: [], password })] }],
  });
  const asked = request(site.port, "GET /");
  resolve({ user: "ann" });
  assert.equal((await asked).body, "/ for ann");
  assert.match(site.logged.join(""), /^127\.0\.0\.1 - ann \[/);
});

test("dispatch does not ask for a password whom a rule refuses", async (t) => {
  let asked = 0;
  const password = (): Verdict => {
    asked += 1;
    return { user: "ann" };
  };
  const site = await startSite(t, {
    vhosts: [{ name: "a.test", mounts: [mount("/", { rules: CLOSED.rules, password })] }],
  });
  assert.equal((await request(site.port, "GET /")).status, 403);
  assert.equal(asked, 0);
});

test("dispatch answers 500 when a password cannot be checked", async (t) => {
  const lines: string[] = [];
  const password = (): Promise<Verdict> => Promise.reject(new Error("the thread died"));
  const site = await startSite(t, {
    vhosts: [{ name: "a.test", mounts: [mount("/", { rules: [], password })] }],
    logDestination: { write: (line) => void lines.push(line) },
  });
  assert.equal((await request(site.port, "GET /")).status, 500);
  assert.match(lines.join(""), /the thread died/);
});
