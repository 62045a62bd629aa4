// The Huffman code of HPACK (RFC 7541 5.2 and Appendix B). It is canonical: codes of one length count upwards with their
// symbols, so the lengths are all there is to know. Decoding walks a table by half bytes.

/** Bits of the code of each byte. */
// prettier-ignore
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
/** End of string: 30 ones. It must not be written out; its first bits pad the last byte. */
const EOS = 256;
const EOS_BITS = 30;
/** No more padding than this (RFC 7541 5.2). */
const MAX_PADDING_BITS = 7;

/** Of a step: what is in its number. */
const STATE_MASK = 0xff;
const EMITS = 0x100;
const FAILS = 0x200;
const BYTE_SHIFT = 16;

const CODES = assignCodes();
/** By state * 16 + half byte: the next state, and perhaps a byte. A code has five bits or more, so there is never a second one. */
const STEPS = new Int32Array(256 * 16);
/** States in which a string may end. */
const MAY_END = new Uint8Array(256);
buildSteps();

/** Decodes into `into`, which must have room for twice as many bytes; returns where it ends, or -1 for a malformed string. */
export function decodeHuffman(
  source: Uint8Array,
  start: number,
  end: number,
  into: Uint8Array,
): number {
  let state = 0;
  let at = 0;
  for (let from = start; from < end; from += 1) {
    const byte = source[from] ?? 0;
    const high = STEPS[(state << 4) | (byte >> 4)] ?? FAILS;
    if (high & EMITS) {
      into[at] = high >> BYTE_SHIFT;
      at += 1;
    }
    const low = STEPS[((high & STATE_MASK) << 4) | (byte & 0xf)] ?? FAILS;
    if (low & EMITS) {
      into[at] = low >> BYTE_SHIFT;
      at += 1;
    }
    if ((high | low) & FAILS) return -1;
    state = low & STATE_MASK;
  }
  return MAY_END[state] ? at : -1;
}

/** Bytes that `text` (one character per byte) takes when it is encoded. */
export function huffmanBytes(text: string): number {
  let bits = 0;
  for (let at = 0; at < text.length; at += 1) bits += LENGTHS[text.charCodeAt(at)] ?? EOS_BITS;
  return Math.ceil(bits / 8);
}

/** Encodes `text` (one character per byte) at `at`; returns where it ends. */
export function encodeHuffman(text: string, into: Uint8Array, at: number): number {
  let held = 0n;
  let heldBits = 0n;
  let to = at;
  for (let from = 0; from < text.length; from += 1) {
    const symbol = text.charCodeAt(from);
    const bits = BigInt(LENGTHS[symbol] ?? EOS_BITS);
    held = (held << bits) | BigInt(CODES[symbol] ?? 0);
    heldBits += bits;
    while (heldBits >= 8n) {
      heldBits -= 8n;
      into[to] = Number(held >> heldBits);
      to += 1;
      held &= (1n << heldBits) - 1n;
    }
  }
  if (heldBits > 0n) {
    const padding = 8n - heldBits;
    into[to] = Number((held << padding) | ((1n << padding) - 1n));
    to += 1;
  }
  return to;
}

function lengthOf(symbol: number): number {
  return symbol === EOS ? EOS_BITS : (LENGTHS[symbol] ?? EOS_BITS);
}

function assignCodes(): readonly number[] {
  const symbols = Array.from({ length: EOS + 1 }, (_, symbol) => symbol);
  symbols.sort((a, b) => lengthOf(a) - lengthOf(b) || a - b);
  const codes: number[] = [];
  let code = 0;
  let bits = 0;
  for (const symbol of symbols) {
    code *= 2 ** (lengthOf(symbol) - bits);
    bits = lengthOf(symbol);
    codes[symbol] = code;
    code += 1;
  }
  return codes;
}

/** The inner nodes of the code's tree are the states; the root is 0. There are exactly 256. */
function buildSteps(): void {
  type Node = { readonly state: number; readonly next: (Node | number | undefined)[] };
  const nodes: Node[] = [];
  const addNode = (): Node => {
    const node: Node = { state: nodes.length, next: [] };
    nodes.push(node);
    return node;
  };
  const root = addNode();
  for (let symbol = 0; symbol <= EOS; symbol += 1) {
    let node = root;
    for (let bit = lengthOf(symbol) - 1; bit > 0; bit -= 1) {
      const way = ((CODES[symbol] ?? 0) >> bit) & 1;
      const found = node.next[way];
      const inner: Node = typeof found === "object" ? found : addNode();
      node.next[way] = inner;
      node = inner;
    }
    node.next[(CODES[symbol] ?? 0) & 1] = symbol;
  }
  for (const node of nodes)
    for (let half = 0; half < 16; half += 1) {
      let at = node;
      let step = 0;
      for (let bit = 3; bit >= 0; bit -= 1) {
        const found = at.next[(half >> bit) & 1];
        if (typeof found === "object") at = found;
        else {
          step |= found === EOS || found === undefined ? FAILS : EMITS | (found << BYTE_SHIFT);
          at = root;
        }
      }
      STEPS[(node.state << 4) | half] = step | at.state;
    }
  let padded: Node | number | undefined = root;
  for (let bits = 0; bits <= MAX_PADDING_BITS && typeof padded === "object"; bits += 1) {
    MAY_END[padded.state] = 1;
    padded = padded.next[1];
  }
}
