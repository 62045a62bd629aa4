// The memory that posix_spawn(3) reads, kept from one start to the next: to make it anew costs more calls than the start
// itself. None of it is in the heap of V8, which would move it.

import type { StartRequest } from "./child.ts";

const POINTER_BYTES = 8;
/** A pid_t and room to spare. */
const PID_BYTES = 128;
/** Of a new block; most environments fit. */
const BLOCK_BYTES = 4 * 1024;
/** Longer ones are made for one start. */
const MAX_KEPT_BYTES = 64 * 1024;
const WORD = 2 ** 32;

/** As the three arguments of execve(2); each points into one block. */
export type Packed = {
  readonly path: Buffer;
  readonly args: Buffer;
  readonly environment: Buffer;
};

/** What one start writes to; nobody else has it meanwhile. */
export class SpawnBlock {
  readonly pid = Buffer.allocUnsafeSlow(PID_BYTES);
  readonly #addressOf: (block: Buffer) => bigint;
  #block = Buffer.alloc(0);
  #address = 0;

  constructor(addressOf: (block: Buffer) => bigint) {
    this.#addressOf = addressOf;
  }

  /** Arrays of pointers, and the strings behind them. They hold until the next call. */
  pack({ program, args, environment }: StartRequest): Packed {
    const lengths: number[] = [];
    let text = "";
    const add = (value: string): void => {
      text += `${value}\0`;
      lengths.push(value.length + 1);
    };
    add(bytesOf(program));
    for (const arg of args) add(bytesOf(arg));
    const argCount = lengths.length;
    for (const [name, value] of environment) add(`${name}=${value}`);
    const pointerBytes = (lengths.length + 2) * POINTER_BYTES;
    const block = this.#room(pointerBytes + text.length);
    block.write(text, pointerBytes, "latin1");
    const pointers = new Uint32Array(block.buffer, 0, (pointerBytes / POINTER_BYTES) * 2);
    let address = this.#address + pointerBytes;
    let at = 0;
    const point = (target: number): void => {
      pointers[at++] = target % WORD;
      pointers[at++] = Math.floor(target / WORD);
    };
    for (const [index, length] of lengths.entries()) {
      if (index === argCount) point(0);
      point(address);
      address += length;
    }
    if (lengths.length === argCount) point(0);
    point(0);
    return {
      path: block.subarray(pointerBytes),
      args: block,
      environment: block.subarray((argCount + 1) * POINTER_BYTES),
    };
  }

  #room(bytes: number): Buffer {
    if (this.#block.length >= bytes) return this.#block;
    const block = Buffer.allocUnsafeSlow(Math.max(bytes, BLOCK_BYTES));
    this.#address = Number(this.#addressOf(block));
    return (this.#block = block);
  }

  /** Gives back what only one start in a long time needs. */
  trim(): void {
    if (this.#block.length > MAX_KEPT_BYTES) this.#block = Buffer.alloc(0);
  }
}

/** UTF-8, one character per byte. */
function bytesOf(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
