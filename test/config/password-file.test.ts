import assert from "node:assert/strict";
import test from "node:test";
import { parsePasswordFile, type Scheme } from "../../config/password-file.ts";

const BCRYPT = "$2y$05$ZyR/b7X3DGI8e4goFJPGxeF.3K4ZEhHRbfI5bGlJfEkL6gaU./56C";
const APR1 = "$apr1$0E2DKx31$McklZldiuywzCo53X/B8Y/";
const SHA1 = "5en6G6MezRroT3XKqkdPOmY/BfQ=";
const SHA256 = "$5$KzihKBnePx/efdsP$8XStIEKYSsbOVmknUbKZQ97mg7V3hCdIwGo2.x9gRF/";
const SHA512 = `$6$ydzHnRc2ST2Ax6RM$${"a".repeat(86)}`;

const taken: readonly [line: string, name: string, scheme: Scheme, secret: string][] = [
  [`ann:${BCRYPT}`, "ann", "bcrypt", BCRYPT],
  [`ann:${BCRYPT.replace("2y", "2a")}`, "ann", "bcrypt", BCRYPT.replace("2y", "2a")],
  [`ann:${BCRYPT}:a comment`, "ann", "bcrypt", BCRYPT],
  [`ann:${APR1}`, "ann", "apr1", APR1],
  [`ann:${SHA256}`, "ann", "sha-crypt", SHA256],
  [`ann:${SHA512}\r`, "ann", "sha-crypt", SHA512],
  [
    `ann:$6$rounds=10000$${SHA512.slice(3)}`,
    "ann",
    "sha-crypt",
    `$6$rounds=10000$${SHA512.slice(3)}`,
  ],
  [`ann:{SHA}${SHA1}`, "ann", "sha1", SHA1],
  [`ann:{sha}${SHA1}`, "ann", "sha1", SHA1],
  [
    "ann:{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQxMjM0",
    "ann",
    "salted-sha1",
    "5en6G6MezRroT3XKqkdPOmY/BfQxMjM0",
  ],
  ["ann:secret", "ann", "plain", "secret"],
  ["ann:with: colons and spaces ", "ann", "plain", "with: colons and spaces "],
  ["ann:{PLAIN}abcdefghijklm", "ann", "plain", "abcdefghijklm"],
  ["ann:{PLAIN}$a$b", "ann", "plain", "$a$b"],
  ["ann:$ecret", "ann", "plain", "$ecret"],
  ["\u00e5nn b:p\u00e4ss", "\u00e5nn b", "plain", "p\u00e4ss"],
  [" ann:p", " ann", "plain", "p"],
];

for (const [line, name, scheme, secret] of taken)
  test(`parsePasswordFile takes ${JSON.stringify(line)}`, () => {
    const { users, faults } = parsePasswordFile(`${line}\n`);
    assert.deepEqual(users, [{ name, scheme, secret }]);
    assert.equal(faults.filter(({ severity }) => severity === "error").length, 0);
    assert.equal(faults.length, scheme === "plain" ? 1 : 0);
  });

const refused: readonly [line: string, message: RegExp][] = [
  ["ann", /^Expected "user:password"$/],
  [":secret", /^Expected the name of a user/],
  ["ann:", /^Expected a password behind the colon$/],
  ["ann:{PLAIN}", /^Expected a password behind \{PLAIN\}$/],
  ["ann:LLEWiKmzU.sq.", /^Looks like DES crypt/],
  ["ann:LLEWiKmzU.sq.:comment", /^Looks like DES crypt/],
  ["ann:_J9..rasmBYk8r9AiWNc", /^Looks like DES crypt/],
  ["ann:$1$abcdefgh$0123456789012345678901", /^Is hashed in a way/],
  ["ann:$y$j9T$abc$def", /^Is hashed in a way/],
  ["ann:$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", /^Is hashed in a way/],
  ["ann:$$x", /^Is hashed in a way/],
  ["ann:{MD5}abc", /^Expected \{SHA\}, \{SSHA\} or \{PLAIN\}/],
  ["ann:{SHA}abc", /^Expected 20 bytes/],
  ["ann:{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", /^Expected more than 20 bytes/],
  [`ann:${BCRYPT.slice(0, -1)}`, /^Is cut short/],
  [`ann:${BCRYPT.replace("$05$", "$15$")}`, /^A bcrypt cost of 15 takes seconds/],
  [`ann:${BCRYPT.replace("$05$", "$03$")}`, /^Is cut short, or no bcrypt hash/],
  [`ann:${APR1}x`, /^Is cut short, or no apr1 hash$/],
  [`ann:${SHA256}x`, /^Is cut short, or no SHA crypt hash$/],
  [`ann:$5$rounds=900000$${SHA256.slice(3)}`, /^900000 rounds take seconds/],
  ["ann:tab\there", /^Holds a control character/],
  ["a\u0000nn:secret", /^Holds a control character/],
  ["\ufffdnn:secret", /not UTF-8$/],
  [`${"n".repeat(256)}:secret`, /^A user name can have 255 bytes$/],
  [`ann:${"p".repeat(256)}`, /^A password can have 255 bytes$/],
];

for (const [line, message] of refused)
  test(`parsePasswordFile refuses ${JSON.stringify(line.slice(0, 60))}`, () => {
    const { users, faults } = parsePasswordFile(`# users\n${line}\n`);
    assert.deepEqual(users, []);
    assert.deepEqual(
      faults.map(({ line: at, severity }) => [at, severity]),
      [[2, "error"]],
    );
    assert.match(faults[0]?.message ?? "", message);
    const secret = line.slice(line.indexOf(":") + 1);
    if (secret.length > 8) assert.ok(!faults[0]?.message.includes(secret));
  });

test("parsePasswordFile passes over empty lines, comments and a byte order mark", () => {
  const { users, faults } = parsePasswordFile(`\ufeffann:${BCRYPT}\r\n\r\n  \n#bob:x\nbob:${APR1}`);
  assert.deepEqual(
    users.map(({ name }) => name),
    ["ann", "bob"],
  );
  assert.deepEqual(faults, []);
});

test("parsePasswordFile says once that passwords can be read, and that a user comes twice", () => {
  const { users, faults } = parsePasswordFile(`a:${BCRYPT}\nb:x\nc:y\nb:${BCRYPT}\n`);
  assert.deepEqual(users.find(({ name }) => name === "b")?.secret, "x");
  assert.deepEqual(
    faults.map(({ line, severity, message }) => `${line} ${severity} ${message.slice(0, 40)}`),
    [
      "4 warning Has no effect: line 2 names the same use",
      "2 warning Holds passwords that everybody can read ",
    ],
  );
});

test("parsePasswordFile takes 50,000 users and no more", () => {
  const lines = Array.from({ length: 50_001 }, (_, index) => `u${index}:${APR1}`);
  const { users, faults } = parsePasswordFile(lines.join("\n"));
  assert.equal(users.length, 50_000);
  assert.deepEqual(faults, [{ line: 50_001, severity: "error", message: "More than 50000 users" }]);
});
