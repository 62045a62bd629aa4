import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { certificateMaker } from "../helpers/certificates.ts";
import { shakeHands, testBothWays } from "./tls-front.ts";

/** SSL_OP_NO_TLSv1_2 and its like, as files write them. */
const NO_TLS_1_2 = String(0x08000000);
const NO_TLS_1_3 = String(0x20000000);
const SERVER_PREFERENCE = String(0x00400000);

testBothWays(
  "createTlsFront shows the certificate of the name that the client asks for",
  async (t, startFront) => {
    const make = certificateMaker(t);
    if (!make) return;
    const names = ["first.example", "b.example", "*.b.example", "x.b.example", "bücher.example"];
    const front = await startFront(t, {
      vhosts: names.map((name) => ({ name, pair: make({ names: [name.replace("ü", "ue")] }) })),
    });
    const cases = [
      ["first.example", "first.example"],
      ["b.example", "b.example"],
      ["B.Example", "b.example"],
      ["a.b.example", "*.b.example"],
      ["x.b.example", "x.b.example"],
      ["y.x.b.example", "first.example"],
      ["xn--bcher-kva.example", "buecher.example"],
      ["nobody.example", "first.example"],
      ["*.b.example", "*.b.example"],
      ["b.example.", "b.example"],
      [`${"x".repeat(240)}.example`, "first.example"],
      [undefined, "first.example"],
    ] as const;
    for (const [servername, certificate] of cases) {
      const found = await shakeHands(front.port, servername === undefined ? {} : { servername });
      assert.equal(found.certificate, certificate, String(servername));
    }
  },
);

testBothWays(
  "createTlsFront gives an address with vhosts of its own to them",
  async (t, startFront) => {
    const make = certificateMaker(t);
    if (!make) return;
    const front = await startFront(t, {
      vhosts: ["a.example", "b.example", "c.example"].map((name) => ({
        name,
        pair: make({ names: [name] }),
      })),
      overrides: [{ address: "127.0.0.2", vhosts: [1, 2] }],
    });
    const shown = async (host: string, servername: string) =>
      (await shakeHands(front.port, { host, servername })).certificate;
    assert.equal(await shown("127.0.0.1", "c.example"), "a.example");
    assert.equal(await shown("127.0.0.2", "c.example"), "c.example");
    assert.equal(await shown("127.0.0.2", "a.example"), "b.example");
  },
);

testBothWays(
  "createTlsFront applies the TLS keys of each vhost on a shared port",
  async (t, startFront) => {
    const make = certificateMaker(t);
    if (!make) return;
    const pair = make({ names: ["*.example"] });
    const vhosts = [
      { name: "default.example", keys: {} },
      { name: "old.example", keys: { "ssl-option-set": [NO_TLS_1_3] } },
      { name: "new.example", keys: { "ssl-option-set": [NO_TLS_1_2] } },
      {
        name: "back.example",
        keys: { "ssl-option-set": [NO_TLS_1_2, NO_TLS_1_3], "ssl-option-clear": [NO_TLS_1_2] },
      },
      { name: "cipher.example", keys: { ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" } },
      { name: "suite.example", keys: { "tls13-ciphers": "TLS_CHACHA20_POLY1305_SHA256" } },
      { name: "group.example", keys: { "ecdh-curve": "secp384r1" } },
      { name: "prefer.example", keys: { "ssl-option-set": [SERVER_PREFERENCE] } },
    ].map((vhost) => ({ ...vhost, pair }));
    const { port } = await startFront(t, { vhosts });
    const shake = (servername: string, options: Parameters<typeof shakeHands>[1] = {}) =>
      shakeHands(port, { servername, ...options });

    const old = { maxVersion: "TLSv1.2" } as const;
    assert.equal((await shake("old.example")).version, "TLSv1.2");
    assert.equal((await shake("new.example")).version, "TLSv1.3");
    assert.equal((await shake("back.example")).version, "TLSv1.2");
    await assert.rejects(shake("new.example", old), {
      code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
    });
    const cipher = await shake("cipher.example", old);
    assert.equal(cipher.cipher, "ECDHE-ECDSA-AES256-GCM-SHA384");
    assert.equal((await shake("suite.example")).cipher, "TLS_CHACHA20_POLY1305_SHA256");
    assert.equal((await shake("group.example", old)).group, "secp384r1");

    const plain = await shake("default.example");
    assert.equal(plain.version, "TLSv1.3");
    // The client decides, unless the server has SSL_OP_CIPHER_SERVER_PREFERENCE.
    const reversed = {
      ...old,
      ciphers: "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256",
    };
    assert.equal(
      (await shake("default.example", reversed)).cipher,
      "ECDHE-ECDSA-CHACHA20-POLY1305",
    );
    assert.equal((await shake("prefer.example", reversed)).cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
  },
);

testBothWays(
  "createTlsFront offers by default what Mozilla's intermediate list has and no more",
  async (t, startFront) => {
    const make = certificateMaker(t);
    if (!make) return;
    const { port } = await startFront(t, {
      vhosts: [{ name: "a.example", pair: make({ names: ["a.example"] }) }],
    });
    await assert.rejects(shakeHands(port, { ecdhCurve: "secp521r1" }), {
      code: /HANDSHAKE_FAILURE/,
    });
    await assert.rejects(
      shakeHands(port, { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA256" }),
      { code: /HANDSHAKE_FAILURE/ },
    );
    await assert.rejects(
      shakeHands(port, {
        minVersion: "TLSv1.1",
        maxVersion: "TLSv1.1",
        ciphers: "ALL:@SECLEVEL=0",
      }),
      { code: /PROTOCOL_VERSION/ },
    );
    for (const ecdhCurve of ["X25519MLKEM768", "X25519", "prime256v1", "secp384r1"])
      assert.equal((await shakeHands(port, { ecdhCurve })).version, "TLSv1.3");
  },
);

testBothWays("createTlsFront settles on a protocol that is served", async (t, startFront) => {
  const make = certificateMaker(t);
  if (!make) return;
  const pair = make({ names: ["a.example"] });
  for (const [global, keys, both, only] of [
    [{}, {}, "h2", "h2"],
    [{}, { alpn: "http/1.1, h2" }, "http/1.1", "h2"],
    [{ "default-alpn": "h2,http/1.1" }, { alpn: "http/1.1" }, "http/1.1", undefined],
    [{ "default-alpn": "http/1.1" }, {}, "http/1.1", undefined],
    [{ "default-alpn": "http/1.1" }, { alpn: "h2" }, "h2", "h2"],
  ] as const) {
    const vhosts = [{ name: "a.example", pair, keys }];
    const { port } = await startFront(t, { vhosts, global });
    assert.equal((await shakeHands(port, { ALPNProtocols: ["h2", "http/1.1"] })).alpn, both);
    assert.equal((await shakeHands(port)).alpn, false);
    const asked = shakeHands(port, { ALPNProtocols: ["h2"] });
    if (only) assert.equal((await asked).alpn, only);
    else await assert.rejects(asked, { code: /ALPN|APPLICATION_PROTOCOL/ });
  }
});

testBothWays(
  "createTlsFront resumes sessions of another worker with the same keys, between equal settings only",
  async (t, startFront) => {
    const make = certificateMaker(t);
    if (!make) return;
    const pair = make({ names: ["*.example"] });
    const vhosts = [
      { name: "a.example", pair },
      { name: "b.example", pair, keys: { "ecdh-curve": "X25519" } },
    ];
    const ticketSecret = randomBytes(32);
    const one = await startFront(t, { vhosts, ticketSecret });
    const other = await startFront(t, { vhosts, ticketSecret });
    const stranger = await startFront(t, { vhosts, ticketSecret: randomBytes(32) });
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const first = await shakeHands(one.port, { maxVersion, servername: "a.example" });
      assert.ok(first.session, maxVersion);
      const again = async (port: number, servername: string) =>
        (await shakeHands(port, { maxVersion, servername, session: first.session })).isResumed;
      assert.equal(first.isResumed, false);
      assert.equal(await again(one.port, "a.example"), true, maxVersion);
      assert.equal(await again(other.port, "a.example"), true, maxVersion);
      assert.equal(await again(stranger.port, "a.example"), false, maxVersion);
      assert.equal(await again(one.port, "b.example"), false, maxVersion);
    }
  },
);

testBothWays(
  "createTlsFront completes the chain of a certificate from host-ssl-ca",
  async (t, startFront) => {
    const make = certificateMaker(t);
    if (!make) return;
    const authority = make({ names: ["authority"], isAuthority: true });
    const pair = make({ names: ["a.example"], by: authority });
    const alone = await startFront(t, { vhosts: [{ name: "a.example", pair }] });
    const complete = await startFront(t, {
      vhosts: [{ name: "a.example", pair, ca: authority.cert }],
    });
    assert.deepEqual((await shakeHands(alone.port)).chain, ["a.example"]);
    assert.deepEqual((await shakeHands(complete.port)).chain, ["a.example", "authority"]);
  },
);

/** Relays to `port`; what the client sends first goes through `change`, one piece after the other. */
async function startRelay(
  t: { after(action: () => void): void },
  port: number,
  change: (hello: Buffer) => readonly Buffer[],
): Promise<number> {
  const open = new Set<net.Socket>();
  const relay = net.createServer({ noDelay: true }, (client) => {
    const upstream = net.connect({ port, host: "127.0.0.1", noDelay: true });
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("error", () => {});
    }
    client.once("data", (hello: Buffer) => {
      client.pause();
      const pieces = [...change(hello)];
      const next = (): void => {
        const piece = pieces.shift();
        if (piece) upstream.write(piece, () => setImmediate(next));
        else client.pipe(upstream);
      };
      next();
    });
    upstream.pipe(client);
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  t.after(() => {
    for (const socket of open) socket.destroy();
    relay.close();
  });
  return (relay.address() as net.AddressInfo).port;
}

function inPieces(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

testBothWays(
  "createTlsFront takes a hello in pieces and over many records",
  async (t, startFront) => {
    const make = certificateMaker(t);
    if (!make) return;
    const front = await startFront(t, {
      vhosts: ["a.example", "b.example"].map((name) => ({ name, pair: make({ names: [name] }) })),
    });
    const cutUp = await startRelay(t, front.port, (hello) => inPieces(hello, 7));
    const inRecords = await startRelay(t, front.port, (hello) =>
      inPieces(hello.subarray(5), 100).map((piece) =>
        Buffer.concat([Buffer.from([22, 3, 1, 0, piece.length]), piece]),
      ),
    );
    for (const port of [cutUp, inRecords])
      assert.equal((await shakeHands(port, { servername: "b.example" })).certificate, "b.example");
  },
);

testBothWays(
  "createTlsFront cuts clients that stall before, in and after their hello, and no others",
  async (t, startFront) => {
    const make = certificateMaker(t);
    if (!make) return;
    const front = await startFront(t, {
      vhosts: [{ name: "a.example", pair: make({ names: ["a.example"] }) }],
      handshakeMs: 300,
    });
    const hellos: Buffer[] = [];
    const relay = await startRelay(t, front.port, (hello) => {
      hellos.push(hello);
      return [hello];
    });
    await shakeHands(relay);
    const [hello = Buffer.alloc(0)] = hellos;
    const stalled = [0, 3, 50, hello.length].map(async (length) => {
      const socket = net.connect({ port: front.port, host: "127.0.0.1" });
      let answered = 0;
      socket.on("error", () => {});
      socket.on("data", (chunk) => (answered += chunk.length));
      if (length > 0) socket.write(hello.subarray(0, length));
      await once(socket, "close");
      return answered > 0;
    });
    assert.equal((await shakeHands(front.port)).certificate, "a.example");
    assert.deepEqual(await Promise.all(stalled), [false, false, false, true]);
  },
);

testBothWays(
  "createTlsFront leaves what is no hello to OpenSSL, which answers with an alert",
  async (t, startFront) => {
    const make = certificateMaker(t);
    if (!make) return;
    const front = await startFront(t, {
      vhosts: [{ name: "a.example", pair: make({ names: ["a.example"] }) }],
    });
    for (const bytes of [
      Buffer.from([22, 3, 1, 0, 5, 1, 0, 0, 1, 0]),
      Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]),
      Buffer.from([22, 3, 1, 0xff, 0xff, 1, 2, 3]),
    ]) {
      const socket = net.connect({ port: front.port, host: "127.0.0.1" });
      const answer: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => answer.push(chunk));
      socket.write(bytes);
      await once(socket, "close");
      // A fatal alert: type 21, level 2.
      assert.deepEqual([Buffer.concat(answer)[0], Buffer.concat(answer)[5]], [21, 2]);
    }
    assert.equal((await shakeHands(front.port)).certificate, "a.example");
  },
);

testBothWays(
  "createTlsFront hands over plain text with every byte of it",
  async (t, startFront) => {
    const make = certificateMaker(t);
    if (!make) return;
    const front = await startFront(t, {
      vhosts: [{ name: "a.example", pair: make({ names: ["a.example"] }) }],
    });
    const socket = net.connect({ port: front.port, host: "127.0.0.1" });
    socket.end("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    const [answer] = (await once(socket, "data")) as [Buffer];
    assert.equal(answer.toString(), "text");
    assert.deepEqual(front.texts, ["GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"]);
  },
);
