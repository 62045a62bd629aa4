import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { parsePasswordFile } from "../../../config/password-file.ts";
import { createLogger } from "../../../log/logger.ts";
import {
  createPasswordChecker,
  type PasswordBook,
  type PasswordChecker,
  type PasswordCheckerOptions,
} from "../../../worker/access/password-checker.ts";
import { HttpError } from "../../../worker/http/exchange.ts";

/** "secret", with bcrypt at its lowest cost. */
const ANN = "ann:$2b$04$SKjzGZ8qsZuy4CYff1./TOEKFtF4WI70BufgpAbXs7YD/dAo22Iba";
const HOME = "192.0.2.1";

type Started = {
  readonly checker: PasswordChecker;
  readonly book: PasswordBook;
  readonly lines: readonly string[];
  readonly pass: (ms: number) => void;
  /** "ann" for the user, a status for a refusal, "wrong". */
  readonly ask: (name: string, password: string, address?: string) => Promise<string | number>;
};

async function start(
  t: TestContext,
  text: string,
  options: Partial<PasswordCheckerOptions> = {},
): Promise<Started> {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const log = await createLogger({ name: "test", destination });
  let time = 0;
  const checker = createPasswordChecker({ log, now: () => time, ...options });
  t.after(() => checker.stop());
  const { users, faults } = parsePasswordFile(text);
  assert.deepEqual(
    faults.filter(({ severity }) => severity === "error"),
    [],
  );
  const book = checker.open({ path: "/passwords", users });
  return {
    checker,
    book,
    lines,
    pass: (ms) => void (time += ms),
    async ask(name, password, address = HOME) {
      const outcome = await book.check(name, password, address);
      if (outcome instanceof HttpError) return outcome.status;
      return outcome?.user ?? "wrong";
    },
  };
}

const schemes: readonly [what: string, line: string, password: string][] = [
  ["bcrypt", ANN, "secret"],
  ["apr1", "ann:$apr1$0E2DKx31$McklZldiuywzCo53X/B8Y/", "secret"],
  ["SHA crypt", "ann:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"],
  ["{SHA}", "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret"],
  ["{SSHA}", "ann:{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "secret"],
  ["plain", "ann:secret", "secret"],
];

for (const [what, line, password] of schemes)
  test(`PasswordChecker tells right from wrong with ${what}`, async (t) => {
    const { ask } = await start(t, line);
    assert.equal(await ask("ann", password), "ann");
    for (const wrong of ["", `${password}x`, password.slice(1), password.toUpperCase()])
      assert.equal(await ask("ann", wrong), "wrong", wrong);
    assert.equal(await ask("bob", password), "wrong");
    assert.equal(await ask("", password), "wrong");
    assert.equal(await ask("__proto__", password), "wrong");
  });

test("PasswordChecker works as much for a user that does not exist", async (t) => {
  const { checker, ask } = await start(t, ANN);
  await ask("ann", "wrong");
  assert.equal(checker.hashed, 1);
  await ask("bob", "wrong");
  assert.equal(checker.hashed, 2);
  // The password of the line that stands in opens nothing either.
  assert.equal(await ask("bob", "secret"), "wrong");
  assert.equal(await ask("bob", "secret"), "wrong");
  assert.equal(checker.hashed, 4);
});

test("PasswordChecker lets nobody in where there are no users", async (t) => {
  const { checker, ask } = await start(t, "");
  assert.equal(await ask("ann", ""), "wrong");
  assert.equal(checker.hashed, 0);
});

test("PasswordChecker hashes a right password once in ten minutes", async (t) => {
  const { checker, ask, pass } = await start(t, ANN);
  for (let visit = 0; visit < 3; visit += 1) assert.equal(await ask("ann", "secret"), "ann");
  assert.equal(checker.hashed, 1);
  assert.equal(await ask("ann", "secreT"), "wrong");
  pass(10 * 60_000);
  assert.equal(await ask("ann", "secret"), "ann");
  assert.equal(checker.hashed, 3);
});

test("PasswordChecker hashes once for all who ask the same at once", async (t) => {
  const { checker, ask } = await start(t, ANN);
  const all = await Promise.all(Array.from({ length: 100 }, () => ask("ann", "secret")));
  assert.deepEqual(new Set(all), new Set(["ann"]));
  assert.equal(checker.hashed, 1);
});

test("PasswordChecker keeps the users of two files apart", async (t) => {
  const { checker, ask } = await start(t, "ann:secret");
  const other = checker.open({
    path: "/b",
    users: [{ name: "ann", scheme: "plain", secret: "x" }],
  });
  assert.equal(await ask("ann", "secret"), "ann");
  assert.equal(await other.check("ann", "secret", HOME), undefined);
});

test("PasswordChecker slows down who guesses, and nobody who is known", async (t) => {
  const limits = { burst: 3, refillMs: 2_000, maxAddresses: 10 };
  const { checker, ask, book, pass, lines } = await start(t, ANN, { limits });
  assert.equal(await ask("ann", "secret"), "ann");
  const guesses = await Promise.all(["a", "b", "c", "d", "e"].map((guess) => ask("ann", guess)));
  assert.deepEqual(guesses, ["wrong", "wrong", "wrong", 429, 429]);
  assert.equal(checker.hashed, 4);
  assert.equal(await ask("bob", "secret"), 429);
  const refusal = await book.check("ann", "f", HOME);
  assert.ok(refusal instanceof HttpError);
  assert.deepEqual(refusal.headers, [["Retry-After", "2"]]);
  assert.equal(await ask("ann", "secret"), "ann");
  assert.equal(await ask("ann", "a", "192.0.2.2"), "wrong");
  assert.equal(lines.filter((line) => line.includes("wrong passwords from 192.0.2.1")).length, 1);
  pass(2_000);
  assert.equal(await ask("ann", "g"), "wrong");
  assert.equal(await ask("ann", "h"), 429);
});

test("PasswordChecker refuses what would wait too long, and does not count it as a guess", async (t) => {
  const limits = { burst: 3, refillMs: 2_000, maxAddresses: 10 };
  const { ask, checker } = await start(t, ANN, { maxHashes: 1, limits });
  const first = ask("ann", "a");
  for (let attempt = 0; attempt < 5; attempt += 1) assert.equal(await ask("ann", "b"), 503);
  assert.equal(await first, "wrong");
  assert.equal(checker.hashed, 1);
  assert.equal(await ask("ann", "secret"), "ann");
});

test("PasswordChecker rejects when its thread ends", async (t) => {
  const { ask, checker } = await start(t, ANN);
  const asked = ask("ann", "secret");
  checker.stop();
  await assert.rejects(asked);
});
