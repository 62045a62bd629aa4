import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { createProxyReader, type ProxyHeader } from "../../worker/proxy-protocol.ts";

const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";
const REST = "GET / HTTP/1.1\r\n";

function read(bytes: Buffer, cuts: readonly number[] = []): ProxyHeader | undefined {
  const reader = createProxyReader();
  const edges = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
  for (const [index, from] of edges.entries()) {
    const to = edges[index + 1];
    if (to === undefined || to === from) continue;
    const result = reader.push(bytes.subarray(from, to));
    if (result?.kind === "refused") return result;
    // As a socket does: what has not been read yet comes behind.
    if (result) return { ...result, rest: Buffer.concat([result.rest, bytes.subarray(to)]) };
  }
  return undefined;
}

/** One byte after the other, and all at once. */
function readBothWays(text: string): ProxyHeader | undefined {
  const bytes = Buffer.from(text, "latin1");
  const whole = read(bytes);
  assert.deepEqual(read(bytes, [...bytes.keys()])?.kind, whole?.kind, JSON.stringify(text));
  return whole;
}

function binary(command: number, family: number, body: string, length = body.length): string {
  const head = Buffer.from([command, family, length >> 8, length & 255]).toString("latin1");
  return SIGNATURE + head + body;
}

const V4 = "\xc6\x33\x64\x07\xc0\x00\x02\x01\x1f\x90\x01\xbb";
const V6 = `\x2a\x00${"\0".repeat(13)}\x07\x20\x01\x0d\xb8${"\0".repeat(12)}\x1f\x90\x01\xbb`;
const MAPPED = `${"\0".repeat(10)}\xff\xff\xc6\x33\x64\x07${V6.slice(16)}`;

const TAKEN: readonly (readonly [bytes: string, origin: readonly [string, number] | undefined])[] =
  [
    ["PROXY TCP4 198.51.100.7 192.0.2.1 56324 443\r\n", ["198.51.100.7", 56_324]],
    ["PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", ["255.255.255.255", 65_535]],
    ["PROXY TCP6 2a00::7 2001:db8::1 1 0\r\n", ["2a00::7", 1]],
    ["PROXY TCP6 ::ffff:198.51.100.7 ::1 1 2\r\n", ["198.51.100.7", 1]],
    ["PROXY UNKNOWN\r\n", undefined],
    ["PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", undefined],
    [binary(0x21, 0x11, V4), ["198.51.100.7", 8080]],
    [binary(0x21, 0x11, `${V4}\x04\x00\x03abc\x20\x00\x00`), ["198.51.100.7", 8080]],
    [binary(0x21, 0x21, V6), ["2a00::7", 8080]],
    [binary(0x21, 0x21, MAPPED), ["198.51.100.7", 8080]],
    [binary(0x21, 0x31, "/".repeat(216)), ["unix:", 0]],
    [binary(0x21, 0x00, ""), undefined],
    [binary(0x20, 0x00, ""), undefined],
    [binary(0x20, 0x11, V4), undefined],
    [binary(0x20, 0x55, "whatever it is"), undefined],
  ];

for (const [bytes, origin] of TAKEN)
  test(`createProxyReader takes ${JSON.stringify(bytes)}`, () => {
    const header = readBothWays(bytes + REST);
    assert.equal(header?.kind, "header");
    assert.ok(header?.kind === "header");
    const { remoteAddress, remotePort } = header.origin ?? {};
    assert.deepEqual(header.origin && [remoteAddress, remotePort], origin);
    assert.equal(header.rest.toString("latin1"), REST);
  });

const REFUSED: readonly string[] = [
  REST,
  "\x16\x03\x01",
  "PROXY",
  "proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
  "PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n",
  "PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n",
  "PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n",
  "PROXY TCP4 ::1 ::2 1 2\r\n",
  "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
  "PROXY TCP6 fe80::1%lo ::2 1 2\r\n",
  "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
  "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
  "PROXY \r\n",
  "PROXY UNKNOWNX\r\n",
  `PROXY UNKNOWN ${"x".repeat(200)}`,
  binary(0x11, 0x11, V4),
  binary(0x22, 0x11, V4),
  binary(0x21, 0x12, V4),
  binary(0x21, 0x41, V4),
  binary(0x21, 0x11, V4.slice(1)),
  binary(0x21, 0x11, `${V4}\x04`),
  binary(0x21, 0x11, `${V4}\x04\x00\x04abc`),
  binary(0x21, 0x21, V4),
  binary(0x21, 0x31, "/".repeat(215)),
  binary(0x21, 0x11, V4, 5_000),
];

for (const bytes of REFUSED)
  test(`createProxyReader refuses ${JSON.stringify(bytes.slice(0, 80))}`, () => {
    // "PROXY" alone is the beginning of a good one: what follows spoils it.
    assert.equal(readBothWays(`${bytes}${REST}`)?.kind, "refused");
  });

test("createProxyReader waits for the rest, and holds no more than the longest header", () => {
  for (const [bytes] of TAKEN)
    for (let cut = 0; cut < bytes.length; cut += 1)
      assert.equal(read(Buffer.from(bytes.slice(0, cut), "latin1")), undefined);
  const reader = createProxyReader();
  const flood = Buffer.from(`PROXY UNKNOWN ${"x".repeat(60)}`, "latin1");
  assert.equal(reader.push(flood), undefined);
  assert.equal(reader.push(flood)?.kind, "refused");
});

test("createProxyReader reads any header in any pieces", () => {
  const port = fc.integer({ min: 0, max: 65_535 });
  const tlv = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(
      fc.oneof(fc.ipV4(), fc.ipV6()),
      port,
      fc.array(tlv, { maxLength: 4 }),
      fc.array(fc.nat(400), { maxLength: 6 }),
      fc.boolean(),
      (address, remotePort, tlvs, cuts, isText) => {
        const family = isIP(address);
        const text = `PROXY TCP${family} ${address} ${family === 4 ? "192.0.2.1" : "::1"} ${remotePort} 443\r\n`;
        const bytes = isText
          ? Buffer.from(text)
          : binaryOf(bytesOf(address), remotePort, tlvs, family);
        if (isText && bytes.length > 107) return;
        const all = Buffer.concat([bytes, Buffer.from(REST)]);
        const header = read(
          all,
          cuts.filter((cut) => cut < all.length),
        );
        assert.ok(header?.kind === "header", JSON.stringify(header));
        assert.equal(header.rest.toString("latin1"), REST);
        assert.equal(header.origin?.remotePort, remotePort);
        assert.deepEqual(bytesOf(header.origin?.remoteAddress ?? ""), unmapped(bytesOf(address)));
      },
    ),
  );
});

test("createProxyReader survives anything", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (noise, signed) => {
      const bytes = Buffer.concat([Buffer.from(signed ? SIGNATURE : "", "latin1"), noise]);
      const header = read(bytes);
      assert.ok(header === undefined || ["header", "refused"].includes(header.kind));
    }),
  );
});

function binaryOf(
  address: readonly number[],
  remotePort: number,
  tlvs: readonly Uint8Array[],
  family: number,
): Buffer {
  const ports = Buffer.from([remotePort >> 8, remotePort & 255, 1, 187]);
  const extra = tlvs.map((value) => Buffer.from([4, 0, value.length, ...value]));
  const body = Buffer.concat([Buffer.from([...address, ...address]), ports, ...extra]);
  const command = Buffer.from([0x21, family === 4 ? 0x11 : 0x21, body.length >> 8, body.length]);
  return Buffer.concat([Buffer.from(SIGNATURE, "latin1"), command, body]);
}

/** The bytes of an address, by the URL parser: not by anything that is tested here. */
function bytesOf(address: string): number[] {
  if (isIP(address) === 4) return address.split(".").map(Number);
  const full = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = "", tail] = full.split("::");
  const groups = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  const before = groups(head);
  const behind = groups(tail ?? "");
  const zeroes = Array.from({ length: 8 - before.length - behind.length }, () => 0);
  const all = tail === undefined ? before : [...before, ...zeroes, ...behind];
  return all.flatMap((group) => [group >> 8, group & 255]);
}

function unmapped(bytes: number[]): number[] {
  const isMapped =
    bytes.length === 16 && bytes.slice(0, 12).join() === "0,0,0,0,0,0,0,0,0,0,255,255";
  return isMapped ? bytes.slice(12) : bytes;
}
