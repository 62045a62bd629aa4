// Memory that system calls read into over and over.

export class ReadBuffer {
  readonly whole: Buffer;
  #first: Buffer;

  constructor(bytes: number) {
    this.whole = Buffer.allocUnsafeSlow(bytes);
    this.#first = this.whole;
  }

  /** The first so many bytes. The same object again where it can be: to make one costs as much as to copy a request. */
  first(count: number): Buffer {
    if (this.#first.length !== count) this.#first = this.whole.subarray(0, count);
    return this.#first;
  }
}
