// Reading files that the configuration names, as root perhaps, from places that others may write to: never a pipe or a device,
// which would be waited for without end, and never more than a limit.

import { constants } from "node:fs";
import { open } from "node:fs/promises";

/** The file cannot be read; `code` as of system errors, EFBIG and EINVAL for what is too large or no file. */
function refusal(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code });
}

/** Reads a regular file of at most `maxBytes`. Rejects with an error that has a code. */
export async function readRegularFile(path: string, maxBytes: number): Promise<Buffer> {
  // Without O_NONBLOCK the opening of a pipe waits for somebody to write.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await file.stat();
    if (!found.isFile()) throw refusal("EINVAL");
    const { size } = found;
    if (size > maxBytes) throw refusal("EFBIG");
    // One byte more shows that it has grown meanwhile.
    const bytes = Buffer.alloc(size + 1);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    if (bytesRead > maxBytes) throw refusal("EFBIG");
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
