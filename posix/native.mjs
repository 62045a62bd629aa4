// libc through koffi: the only importer of koffi. Plain JavaScript, because the launcher needs it before it knows
// that this Node can read TypeScript.

/**
 * libc, or undefined where koffi has no build for this platform.
 * @returns {Promise<{ koffi: any, libc: any } | undefined>}
 */
export async function openLibc() {
  try {
    const { default: koffi } = await import("koffi");
    return { koffi, libc: koffi.load(null) };
  } catch {
    return undefined;
  }
}

/**
 * Replaces this process by another program under the same pid (execve(2)). Returns only when that failed.
 * @param {string} program
 * @param {readonly string[]} args without argv[0]
 */
export async function replaceProcess(program, args) {
  if (typeof process.execve === "function") {
    process.execve(program, [program, ...args], process.env);
    return;
  }
  const native = await openLibc();
  if (!native) return;
  const F_SETFD = 2;
  const fcntl = native.libc.func("int fcntl(int fd, int cmd, int arg)");
  const execve = native.libc.func(
    "int execve(const char* path, const char** argv, const char** envp)",
  );
  // Node marks its standard streams close-on-exec; the next program wants them.
  for (const fd of [0, 1, 2]) fcntl(fd, F_SETFD, 0);
  const environment = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  execve(program, [program, ...args, null], [...environment, null]);
}
