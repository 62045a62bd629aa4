// Datagrams to a service manager, as sd_notify(3) sends them. Node has no Unix datagram sockets, so libc does it;
// where koffi has no build, systemd-notify(1) does.

import { execFile } from "node:child_process";
import { closeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { getSystemErrorName } from "node:util";
import { openLibc } from "./native.mjs";

/** How long a manager that does not read may keep one message: tries times pause. */
const SEND_TRIES = 100;
const SEND_PAUSE_MS = 20;
const PROGRAM_TIMEOUT_MS = 5_000;

/** Values of Linux, the only system with this protocol. */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Size of sun_path in unix(7), with the NUL that ends a path. */
const MAX_PATH_BYTES = 108;

export type NotifySocket = {
  /** What sends. systemd takes messages of a program only with NotifyAccess=all. */
  readonly by: "libc" | "systemd-notify";
  /** Sends one message, lines of NAME=VALUE. Rejects with NotifyError where it cannot be delivered. */
  send(message: string): Promise<void>;
  close(): void;
};

/** The service manager could not be told. */
export class NotifyError extends Error {
  readonly code = "NOTIFY";
}

/** Opens the way to NOTIFY_SOCKET: a path, or "@name" for an abstract one. */
export async function openNotifySocket(address: string): Promise<NotifySocket> {
  return (await openLibcSocket(address)) ?? openNotifyProgram(address);
}

async function openLibcSocket(address: string): Promise<NotifySocket | undefined> {
  const name = encodeAddress(address);
  const native = process.platform === "linux" && name ? await openLibc() : undefined;
  if (!native || !name) return undefined;
  const { koffi, libc } = native;
  const socket = libc.func("int socket(int domain, int type, int protocol)");
  const sendto = libc.func(
    "intptr_t sendto(int fd, void* data, size_t length, int flags, void* address, uint32_t size)",
  );
  const fd: number = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return undefined;
  let state: "open" | "closed" = "open";
  return {
    by: "libc",
    async send(message) {
      const data = Buffer.from(message);
      for (let tries = 1; ; tries += 1) {
        // Never blocks: a manager that hangs must not take us along.
        const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
        if (sendto(fd, data, data.length, flags, name, name.length) === data.length) return;
        const errno: number = koffi.errno();
        if (errno !== koffi.os.errno.EAGAIN || tries === SEND_TRIES)
          throw new NotifyError(`Cannot send to "${address}": ${getSystemErrorName(-errno)}`);
        await delay(SEND_PAUSE_MS, undefined, { ref: false });
        // By now the number may belong to another file.
        if (state === "closed") throw new NotifyError(`Gave up sending to "${address}": closed`);
      }
    },
    close() {
      if (state === "open") closeSync(fd);
      state = "closed";
    },
  };
}

/** The same by starting systemd-notify for each message. */
export function openNotifyProgram(address: string): NotifySocket {
  return {
    by: "systemd-notify",
    send: (message) =>
      new Promise((resolve, reject) => {
        const { PATH } = process.env;
        const options = { timeout: PROGRAM_TIMEOUT_MS, env: { PATH, NOTIFY_SOCKET: address } };
        execFile("systemd-notify", message.split("\n"), options, (cause) => {
          if (cause)
            reject(new NotifyError(`Cannot send to "${address}" by systemd-notify`, { cause }));
          else resolve();
        });
      }),
    close() {},
  };
}

/** As struct sockaddr_un (unix(7)); undefined for what is no Unix address, such as vsock. */
function encodeAddress(address: string): Buffer | undefined {
  if (!/^[/@]./.test(address)) return undefined;
  // A path ends with its NUL; an abstract name begins with one and ends where its length says.
  const path = address.startsWith("@") ? `\0${address.slice(1)}` : `${address}\0`;
  const bytes = Buffer.from(path);
  if (bytes.length > MAX_PATH_BYTES) return undefined;
  return Buffer.concat([new Uint8Array(Uint16Array.of(AF_UNIX).buffer), bytes]);
}
