import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test, { type TestContext } from "node:test";
import { parsePasswordFile } from "../../../config/password-file.ts";
import checkHash, { type SlowScheme } from "../../../worker/access/hash-task.ts";
import { shaCrypt } from "../../../worker/access/sha-crypt.ts";
import { needs } from "../../helpers/programs.ts";

// The inputs are those of the specification; crypt(3) of glibc 2.36 made the hashes.
const published: readonly [settings: string, password: string, hash: string][] = [
  ["$5$saltstring", "Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"],
  [
    "$5$rounds=10000$saltstringsaltstring",
    "Hello world!",
    "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA",
  ],
  [
    "$5$rounds=10$roundstoolow",
    "the minimum number is still observed",
    "$5$rounds=1000$roundstoolow$yfvwcWrQ8l/K0DAWyuPMDNHpIVlTQebY9l/gL972bIC",
  ],
  [
    "$6$saltstring",
    "Hello world!",
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
  ],
  [
    "$6$",
    "",
    "$6$$/chiBau24cE26QQVW3IfIe68Xu5.JQ4E8Ie7lcRLwqxO5cxGuBhqF2HmTL.zWJ9zjChg3yJYFXeGBQ2y3Ba1d1",
  ],
];

for (const [settings, password, expected] of published)
  test(`shaCrypt agrees with crypt(3) about ${settings}`, () => {
    assert.equal(shaCrypt(Buffer.from(password), settings), expected);
  });

test("shaCrypt takes no other settings", () => {
  assert.equal(shaCrypt(Buffer.from("x"), "$1$salt$hash"), undefined);
});

/** Around the lengths of digests, where implementations go wrong. */
const LENGTHS = [1, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 255];

function passwordOf(length: number): string {
  return "a\u00e9:$ ".repeat(length).slice(0, length);
}

function htpasswd(program: string, option: string, password: string): string {
  const { stdout, stderr, status } = spawnSync(program, ["-nb", option, "ann", password], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

const formats: readonly [option: string, scheme: SlowScheme][] = [
  ["-B", "bcrypt"],
  ["-m", "apr1"],
  ["-2", "sha-crypt"],
  ["-5", "sha-crypt"],
];

for (const [option, scheme] of formats)
  test(`checkHash knows what htpasswd ${option} writes`, (t: TestContext) => {
    const program = needs(t, "htpasswd", ["htpasswd"]);
    if (program === undefined) return;
    for (const length of LENGTHS) {
      const password = passwordOf(length);
      if (Buffer.byteLength(password) > 255) continue;
      const { users, faults } = parsePasswordFile(htpasswd(program, option, password));
      assert.deepEqual(faults, []);
      const [user] = users;
      assert.equal(user?.scheme, scheme);
      const secret = user?.secret ?? "";
      assert.equal(checkHash({ scheme, secret, password }), true, `${length} characters`);
      const wrong = `b${password.slice(1)}`;
      assert.equal(checkHash({ scheme, secret, password: wrong }), false, `not ${length}`);
    }
  });
