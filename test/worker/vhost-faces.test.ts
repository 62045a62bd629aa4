import assert from "node:assert/strict";
import { test } from "node:test";
import { vhostShape } from "../../config/vhost.ts";
import { emptyVhostCounters } from "../../ipc/stats.ts";
import { admit } from "../../worker/access/guard.ts";
import { HttpError, type Exchange } from "../../worker/http/exchange.ts";
import { createRouter, createSiteVhost, type SiteVhost } from "../../worker/router.ts";

const CLEAR = { listener: "l", localAddress: "127.0.0.1", secure: false } as const;

function overTls(clientRules = "") {
  return { ...CLEAR, secure: true, tls: { clientRules, client: undefined } };
}

function vhost(name: string, keys: Readonly<Record<string, unknown>>): SiteVhost {
  return createSiteVhost({
    config: {
      ...vhostShape.parse({ name, port: 443, ...keys }),
      mounts: [],
      "ws-protocols": [],
      where: { file: "conf", path: "" },
    },
    key: `${name}:443`,
    secure: true,
    counters: emptyVhostCounters(),
    accessLog: undefined,
    protocols: new Map(),
    mounts: [],
  });
}

/** The status that everything on the vhost is refused with; undefined where it is reached. */
function refusalOf(seen: SiteVhost): number | undefined {
  const verdict = admit(seen.guard, { remoteAddress: "", header: () => undefined });
  assert.ok(!(verdict instanceof Promise));
  const status = verdict instanceof HttpError ? verdict.status : undefined;
  assert.equal(seen.refusal?.status, status);
  return status;
}

test("Router refuses a vhost to connections made under other rules for client certificates", () => {
  const vhosts = [
    vhost("open.test", {}),
    vhost("one.test", { "client-cert-required": "1", "host-ssl-ca": "/ca/one" }),
    vhost("same.test", { "client-cert-required": "1", "host-ssl-ca": "/ca/one" }),
    vhost("other.test", { "client-cert-required": "1", "host-ssl-ca": "/ca/other" }),
    vhost("chain.test", { "host-ssl-ca": "/ca/one" }),
  ];
  const router = createRouter([{ listener: "l", vhosts, overrides: [] }]);
  const statuses = (rules: string) =>
    vhosts.map(({ config }) => refusalOf(router.vhostFor(overTls(rules), config.name)));
  assert.deepEqual(statuses(""), [undefined, 421, 421, 421, undefined]);
  assert.deepEqual(statuses("/ca/one"), [421, undefined, undefined, 421, 421]);
  assert.deepEqual(statuses("/ca/other"), [421, 421, 421, undefined, 421]);
  assert.equal(refusalOf(router.vhostFor(overTls("/ca/one"), "unknown.test")), 421);
});

test("Router shows a TLS vhost in clear as its keys allow, and never with HSTS", () => {
  const sts = { sts: "1", headers: { "strict-transport-security": "max-age=1" } };
  const vhosts = [
    vhost("closed.test", sts),
    vhost("open.test", { ...sts, "allow-http-on-https": "1" }),
    vhost("both.test", { ...sts, "allow-http-on-https": "1", "redirect-http": "1" }),
    vhost("moved.test", { ...sts, "redirect-http": "1" }),
  ];
  const router = createRouter([{ listener: "l", vhosts, overrides: [] }]);
  const [closed, open, both, moved] = vhosts.map(({ config }) =>
    router.vhostFor(CLEAR, config.name),
  ) as [SiteVhost, SiteVhost, SiteVhost, SiteVhost];
  for (const seen of [closed, open, both, moved]) {
    assert.deepEqual(seen.headers.fields, []);
    // A CGI program that sends one is not heard either.
    assert.ok(seen.headers.names.has("strict-transport-security"));
  }
  assert.deepEqual(
    [refusalOf(closed), refusalOf(open), refusalOf(both)],
    [400, undefined, undefined],
  );
  assert.equal(closed.match("/"), undefined);

  const sent: unknown[] = [];
  const ask = (authority: string | undefined) =>
    moved.match("/a")?.mount.handle(
      {
        authority,
        target: "/a?b",
        send: (...answer: unknown[]) => void sent.push(answer),
      } as unknown as Exchange,
      "/a",
    );
  void ask("moved.test:8443");
  assert.deepEqual(sent, [[301, [["Location", "https://moved.test:8443/a?b"]]]]);
  assert.throws(() => ask(undefined), { status: 400 });
  assert.equal(moved.refusal?.status, 400, "a redirect is nothing for an upgrade");
});
