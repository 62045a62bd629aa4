// A file in memory that parent and child share (memfd_create(2)): the child writes where it is, the parent reads that even
// while the child answers nothing.

import { closeSync, ftruncateSync, readSync } from "node:fs";
import { openLibc } from "./native.mjs";

const MFD_CLOEXEC = 1;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffffffffffffffffn;

export type SharedFile = {
  /** To be inherited by the child. */
  readonly fd: number;
  /** All of it as it is now. */
  read(): Buffer;
  close(): void;
};

/** Makes them; undefined where the platform cannot. */
export async function createSharedFiles(
  bytes: number,
): Promise<(() => SharedFile | undefined) | undefined> {
  if (process.platform !== "linux") return undefined;
  const native = await openLibc();
  if (!native) return undefined;
  const memfdCreate = native.libc.func("int memfd_create(const char* name, uint flags)");
  return () => {
    const fd: number = memfdCreate("portico", MFD_CLOEXEC);
    if (fd < 0) return undefined;
    ftruncateSync(fd, bytes);
    return {
      fd,
      read() {
        const content = Buffer.alloc(bytes);
        return content.subarray(0, readSync(fd, content, 0, bytes, 0));
      },
      close: () => closeSync(fd),
    };
  };
}

/** The first words of an inherited one, so that writing one is a store to memory; undefined where that cannot be. */
export async function mapSharedFile(fd: number, words: number): Promise<Int32Array | undefined> {
  const native = await openLibc();
  if (!native) return undefined;
  const { koffi, libc } = native;
  const bytes = words * Int32Array.BYTES_PER_ELEMENT;
  const mmap = libc.func(
    "void* mmap(void* addr, size_t length, int prot, int flags, int fd, long offset)",
  );
  const address = mmap(null, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address === null || koffi.address(address) === MAP_FAILED) return undefined;
  return new Int32Array(koffi.view(address, bytes) as ArrayBuffer);
}
