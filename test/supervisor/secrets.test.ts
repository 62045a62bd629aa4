import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { loadConfig } from "../../config/load.ts";
import { ConfigError, type Problem } from "../../config/problems.ts";
import { readSecrets } from "../../supervisor/secrets.ts";
import { certificateMaker, type Pair } from "../helpers/certificates.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

type Found = { readonly errors: string[]; readonly remarks: string[]; readonly vhosts: number[] };

/** Reads the files "cert" and "key" of one vhost on a line each, `later` milliseconds from now. */
async function inspect(
  t: TestContext,
  files: Partial<Pair> & { readonly ca?: string },
  { name = "a.example", later = 0 } = {},
): Promise<Found> {
  const directory = temporaryDirectory(t);
  const place = (file: string, text: string): void => writeFileSync(join(directory, file), text);
  for (const [file, text] of Object.entries(files)) place(file, text);
  const authorities = files.ca === undefined ? "" : `\n"host-ssl-ca": "ca",`;
  place(
    "conf",
    `{"global": {"init-ssl": 1}, "vhosts": [{"port": 0, "name": "${name}",${authorities}\n"host-ssl-cert": "cert",\n"host-ssl-key": "key"}]}`,
  );
  const lineOf = ({ line, column, path, message }: Problem) =>
    `${line}:${column} ${path}: ${message}`.replaceAll(directory, "DIR");
  const loaded = await loadConfig(directory);
  try {
    const { secrets, remarks } = await readSecrets(loaded, new Date(Date.now() + later));
    return { errors: [], remarks: remarks.map(lineOf), vhosts: secrets.map(({ vhost }) => vhost) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { errors: error.problems.map(lineOf), remarks: error.remarks.map(lineOf), vhosts: [] };
  }
}

test("readSecrets takes a pair that serves its vhost without a word", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const served: [certificate: string, name: string][] = [
    ["a.example", "a.example"],
    ["a.example", "A.Example"],
    ["*.b.example", "x.b.example"],
    ["*.b.example", "*.b.example"],
    ["xn--bcher-kva.example", "bücher.example"],
    ["127.0.0.1", "127.0.0.1"],
    ["a.example", "default"],
  ];
  for (const [certificate, name] of served) {
    const found = await inspect(t, make({ names: ["first.example", certificate] }), { name });
    assert.deepEqual(found, { errors: [], remarks: [], vhosts: [0] }, name);
  }
});

test("readSecrets warns of certificates that clients will refuse", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const pair = make({ names: ["a.example"] });
  const [early, late] = await Promise.all(
    [-DAY_MS, 3 * DAY_MS].map((later) => inspect(t, pair, { later })),
  );
  assert.match(
    early?.remarks.join("\n") ?? "",
    /^2:18 vhosts\[0\]\.host-ssl-cert: The certificate "DIR\/cert" is not valid before \d{4}-\d\d-\d\dT[\d:]{8}Z$/,
  );
  assert.match(late?.remarks.join("\n") ?? "", /"DIR\/cert" expired on \d{4}-\d\d-\d\dT[\d:]{8}Z$/);
  assert.deepEqual([early?.vhosts, late?.vhosts], [[0], [0]]);

  const names = ["a.example", "*.b.example", "c.example", "d.example", "e.example", "f.example"];
  for (const name of ["x.example", "y.x.b.example", "127.0.0.1", "*.c.example"]) {
    const { remarks } = await inspect(t, make({ names }), { name });
    assert.deepEqual(remarks, [
      `2:18 vhosts[0].host-ssl-cert: The certificate "DIR/cert" is not for "${name}": it names a.example, *.b.example, c.example, d.example, e.example and 1 more`,
    ]);
  }
  const { remarks } = await inspect(t, make({ names: [] }));
  assert.match(remarks.join("\n"), /is not for "a.example": it names no host/);
});

test("readSecrets refuses what cannot be read, by file and with its place", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const pair = make({ names: ["a.example"] });
  const other = make({ names: ["a.example"] });
  const damaged = (pem: string) => pem.replace(/\n[\w+/]{10}/, "\nAAAAAAAAAA");
  const encrypted = pair.key.replaceAll("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
  const cases: [files: Parameters<typeof inspect>[1], errors: string[]][] = [
    [
      { ...pair, key: other.key },
      [`3:17 vhosts[0].host-ssl-key: The private key "DIR/key" does not belong to the certificate`],
    ],
    [
      { cert: other.cert + pair.cert, key: pair.key },
      [
        `3:17 vhosts[0].host-ssl-key: The private key "DIR/key" belongs to the second certificate of the chain; the server's own one comes first`,
      ],
    ],
    [
      { cert: "", key: pair.cert },
      [
        `2:18 vhosts[0].host-ssl-cert: The certificate "DIR/cert" holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)`,
        `3:17 vhosts[0].host-ssl-key: The private key "DIR/key" holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)`,
      ],
    ],
    [
      { cert: damaged(pair.cert), key: damaged(pair.key) },
      [
        `2:18 vhosts[0].host-ssl-cert: The certificate "DIR/cert" cannot be read: it is damaged`,
        `3:17 vhosts[0].host-ssl-key: The private key "DIR/key" cannot be read: it is damaged, or of a kind this OpenSSL does not know`,
      ],
    ],
    [
      { cert: pair.cert + damaged(other.cert), key: encrypted },
      [
        `2:18 vhosts[0].host-ssl-cert: The certificate "DIR/cert" cannot be read: the second of its 2 certificates is damaged`,
        `3:17 vhosts[0].host-ssl-key: The private key "DIR/key" is encrypted, and nobody is there to type its passphrase; openssl pkey -in FILE writes it in clear`,
      ],
    ],
    [
      { ...pair, ca: "nothing" },
      [
        `2:16 vhosts[0].host-ssl-ca: The file of authorities "DIR/ca" holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)`,
      ],
    ],
  ];
  for (const [files, errors] of cases) assert.deepEqual((await inspect(t, files)).errors, errors);
});

test("readSecrets reads keys with parameters and text around them", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const { cert, key } = make({ names: ["a.example"] });
  const parameters =
    "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  const found = await inspect(t, { cert: `Subject: a\n${cert}\ntext`, key: `${parameters}${key}` });
  assert.deepEqual(found, { errors: [], remarks: [], vhosts: [0] });
});
