// Listening sockets that this process was started with, as a service manager passes them on: what they are, and made fit to be
// used here.

import { endianness } from "node:os";
import { openLibc } from "./native.mjs";

/** Values of Linux. */
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const SOCK_STREAM = 1;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const FD_CLOEXEC = 1;
const O_NONBLOCK = 0o4000;
/** struct sockaddr_storage. */
const ADDRESS_BYTES = 128;
const INT_BYTES = 4;

export type ClaimedSocket =
  | {
      readonly kind: "tcp";
      readonly host: string;
      readonly port: number;
      /** On all addresses of IPv6, and of IPv4 as well. */
      readonly takesBoth: boolean;
    }
  | {
      readonly kind: "unix";
      /** "@name" for one in the abstract namespace. */
      readonly path: string;
    };

/** Makes a descriptor ours: it does not block, and no program that is started inherits it. Undefined for what is no listening stream socket. */
export type Claim = (fd: number) => ClaimedSocket | undefined;

/** Opens it; undefined where the platform cannot. */
export async function openClaim(): Promise<Claim | undefined> {
  if (process.platform !== "linux" || endianness() !== "LE") return undefined;
  const native = await openLibc();
  if (!native) return undefined;
  const { libc } = native;
  const getsockopt = libc.func(
    "int getsockopt(int fd, int level, int name, void* value, void* size)",
  );
  const getsockname = libc.func("int getsockname(int fd, void* address, void* size)");
  const fcntl = libc.func("int fcntl(int fd, int command, int argument)");

  function option(fd: number, level: number, name: number): number | undefined {
    const [value, size] = [new Int32Array(1), Int32Array.of(INT_BYTES)];
    return getsockopt(fd, level, name, value, size) === 0 ? value[0] : undefined;
  }

  return (fd) => {
    if (option(fd, SOL_SOCKET, SO_TYPE) !== SOCK_STREAM) return undefined;
    if (option(fd, SOL_SOCKET, SO_ACCEPTCONN) !== 1) return undefined;
    const [address, size] = [Buffer.alloc(ADDRESS_BYTES), Int32Array.of(ADDRESS_BYTES)];
    if (getsockname(fd, address, size) !== 0) return undefined;
    const takesBoth = option(fd, IPPROTO_IPV6, IPV6_V6ONLY) === 0;
    const socket = readAddress(address.subarray(0, size[0]), takesBoth);
    if (!socket) return undefined;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
    return socket;
  };
}

function readAddress(address: Buffer, takesBoth: boolean): ClaimedSocket | undefined {
  switch (address.readUInt16LE(0)) {
    case AF_INET: {
      const host = [...address.subarray(4, 8)].join(".");
      return { kind: "tcp", host, port: address.readUInt16BE(2), takesBoth: false };
    }
    case AF_INET6: {
      const host = address.toString("hex", 8, 24).replace(/(.{4})(?=.)/g, "$1:");
      const port = address.readUInt16BE(2);
      return { kind: "tcp", host, port, takesBoth: takesBoth && /^[0:]+$/.test(host) };
    }
    case AF_UNIX: {
      const isAbstract = address[2] === 0;
      const name = address.subarray(isAbstract ? 3 : 2);
      const end = isAbstract ? -1 : name.indexOf(0);
      const path = name.toString("utf8", 0, end < 0 ? name.length : end);
      return { kind: "unix", path: isAbstract ? `@${path}` : path };
    }
    default:
      return undefined;
  }
}
