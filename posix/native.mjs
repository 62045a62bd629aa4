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

const F_SETFD = 2;
/** SD_LISTEN_FDS_START, and more than any unit has. */
const FIRST_GIVEN = 3;
const MAX_GIVEN = 4_096;

/** Node marks what it was started with as close-on-exec. Sockets of a service manager (sd_listen_fds(3)) are for the next program. */
async function keepGivenSockets() {
  const { LISTEN_FDS = "", LISTEN_PID } = process.env;
  if (LISTEN_PID !== String(process.pid) || !/^[1-9]\d*$/.test(LISTEN_FDS)) return;
  const native = await openLibc();
  if (!native) return;
  const fcntl = native.libc.func("int fcntl(int fd, int cmd, int arg)");
  const count = Math.min(Number(LISTEN_FDS), MAX_GIVEN);
  for (let fd = FIRST_GIVEN; fd < FIRST_GIVEN + count; fd += 1) fcntl(fd, F_SETFD, 0);
}

/**
 * Replaces this process by another program under the same pid (execve(2)). Returns only when that failed.
 * @param {string} program
 * @param {readonly string[]} args without argv[0]
 */
export async function replaceProcess(program, args) {
  await keepGivenSockets();
  if (typeof process.execve === "function") {
    process.execve(program, [program, ...args], process.env);
    return;
  }
  const native = await openLibc();
  if (!native) return;
  const fcntl = native.libc.func("int fcntl(int fd, int cmd, int arg)");
  const execve = native.libc.func(
    "int execve(const char* path, const char** argv, const char** envp)",
  );
  // Node marks its standard streams close-on-exec; the next program wants them.
  for (const fd of [0, 1, 2]) fcntl(fd, F_SETFD, 0);
  const environment = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  execve(program, [program, ...args, null], [...environment, null]);
}
