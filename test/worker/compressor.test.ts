import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { createLogger } from "../../log/logger.ts";
import { createCompressor, type Compressor, type CompressSource } from "../../worker/compressor.ts";
import { CODINGS } from "../../worker/http/representation.ts";

const TEXT = Buffer.from("All work and no play makes Jack a dull boy. ".repeat(100));
const DECODERS = { br: brotliDecompressSync, zstd: zstdDecompressSync, gzip: gunzipSync };

async function start(t: TestContext): Promise<Compressor> {
  const compressor = createCompressor(await createLogger({ name: "test", level: "silent" }));
  t.after(() => compressor.close());
  return compressor;
}

function source(identity: string, bytes: Uint8Array = TEXT): CompressSource & { reads: number } {
  const one = {
    identity,
    size: bytes.length,
    reads: 0,
    async read() {
      one.reads += 1;
      return bytes;
    },
  };
  return one;
}

test("createCompressor encodes once, and keeps what it has encoded", async (t) => {
  const compressor = await start(t);
  for (const coding of CODINGS) {
    const text = source("a");
    assert.equal(compressor.known("a", coding), undefined);
    const results = await Promise.all([
      compressor.compress(text, coding),
      compressor.compress(text, coding),
    ]);
    assert.equal(results[0], results[1]);
    assert.ok(results[0] && results[0].length < TEXT.length / 10);
    assert.deepEqual(DECODERS[coding](results[0]), TEXT);
    assert.equal(compressor.known("a", coding), results[0]);
    assert.equal(await compressor.compress(text, coding), results[0]);
    assert.equal(text.reads, 1);
  }
});

test("createCompressor remembers what does not get smaller", async (t) => {
  const compressor = await start(t);
  const noise = source("noise", crypto.getRandomValues(new Uint8Array(5_000)));
  assert.equal(await compressor.compress(noise, "gzip"), undefined);
  assert.equal(compressor.known("noise", "gzip"), "useless");
  assert.equal(await compressor.compress(noise, "gzip"), undefined);
  assert.equal(noise.reads, 1);
});

test("createCompressor takes no more than it can hold, and reads nothing it does not take", async (t) => {
  const compressor = await start(t);
  const gate = Promise.withResolvers<Uint8Array>();
  const taken: Promise<unknown>[] = [];
  let reads = 0;
  const slow = (identity: string): CompressSource => ({
    identity,
    size: TEXT.length,
    read: () => {
      reads += 1;
      return gate.promise;
    },
  });
  for (let count = 0; count < 6; count += 1)
    taken.push(compressor.compress(slow(String(count)), "br"));
  assert.equal(await compressor.compress(slow("one more"), "br"), undefined);
  assert.equal(reads, 6);
  // The same file again is no more work.
  taken.push(compressor.compress(slow("0"), "br"));
  gate.resolve(TEXT);
  assert.ok((await Promise.all(taken)).every((bytes) => bytes !== undefined));
  assert.ok(await compressor.compress(slow("one more"), "br"));
});

test("createCompressor tells everybody who waits that the file could not be read", async (t) => {
  const compressor = await start(t);
  const broken: CompressSource = {
    identity: "a",
    size: 5_000,
    read: () => Promise.reject(new Error("gone")),
  };
  const results = await Promise.allSettled([
    compressor.compress(broken, "br"),
    compressor.compress(broken, "br"),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ["rejected", "rejected"],
  );
  assert.ok(await compressor.compress(source("a"), "br"));
});

test("createCompressor sends files as they are once it is closed", async (t) => {
  const compressor = await start(t);
  compressor.close();
  assert.equal(await compressor.compress(source("a"), "br"), undefined);
});
