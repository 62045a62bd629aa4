// Open connections go from one process to another through a pair of sockets (SCM_RIGHTS, unix(7)), a message each. The kernel's
// queue settles who has one: the other end takes it out, or whoever put it in takes it back. Nothing is ever read that the
// other end has sent.

import { closeSync } from "node:fs";
import { endianness } from "node:os";
import { openLibc } from "./native.mjs";

/** Values of Linux. */
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SHUT_RD = 0;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** Where things are in the block that is handed to sendmsg(2) and recvmsg(2); sizes are those of 64 bits. */
const HEADER_AT = 0;
const IOVEC_AT = 64;
const PAYLOAD_AT = 80;
const CONTROL_AT = 96;
const BLOCK_BYTES = 128;
const POINTER_BYTES = 8;
/** struct cmsghdr with one descriptor, without and with what aligns the next one. */
const CONTROL_BYTES = 20;
const CONTROL_SPACE_BYTES = 24;
const DESCRIPTOR_AT = CONTROL_AT + 16;
/** A number of 48 bits, then one of 16. */
const PAYLOAD_BYTES = 8;
const ID_BYTES = 6;

/** The end that hands over. */
export type Handover = {
  /** The other end, to be inherited. It stays open here too, so that what lies in between can be taken back. */
  readonly farFd: number;
  /** Puts a connection into the queue; `fd` stays open. False when the queue is full. */
  offer(id: number, listener: number, fd: number): boolean;
  /** Takes the oldest out of the queue again; its id, undefined when all have been taken. */
  takeBack(): number | undefined;
  close(): void;
};

/** What was taken out of the queue. */
export type Offered = {
  readonly id: number;
  readonly listener: number;
  /** Undefined when this process may open no more files: the connection is still open at the other end. */
  readonly fd: number | undefined;
};

/** What hands over; undefined where the platform cannot. The function returns undefined when there are no descriptors left. */
export async function openHandovers(): Promise<(() => Handover | undefined) | undefined> {
  const messages = await openMessages();
  return messages && (() => createHandover(messages));
}

/** Takes what was handed over out of the queue at the end that was inherited; undefined once it is empty. */
export async function openHandoverEnd(
  fd: number,
): Promise<(() => Offered | undefined) | undefined> {
  const messages = await openMessages();
  return messages && (() => messages.receive(fd));
}

function createHandover(messages: Messages): Handover | undefined {
  const pair = messages.makePair();
  if (!pair) return undefined;
  const [nearFd, farFd] = pair;
  return {
    farFd,
    offer: (id, listener, fd) => messages.send(nearFd, { id, listener, fd }),
    takeBack: () => messages.discard(farFd),
    close() {
      closeSync(nearFd);
      closeSync(farFd);
    },
  };
}

type Messages = NonNullable<Awaited<ReturnType<typeof openMessages>>>;

async function openMessages() {
  // The numbers above are those of Linux, and blocks are laid out for 64 bits, little-endian.
  if (process.platform !== "linux" || endianness() !== "LE") return undefined;
  const native = await openLibc();
  if (native?.koffi.sizeof("void*") !== POINTER_BYTES) return undefined;
  const { koffi, libc } = native;
  const socketpair = libc.func("int socketpair(int domain, int type, int protocol, void* fds)");
  const shutdown = libc.func("int shutdown(int fd, int how)");
  const sendmsg = libc.func("intptr_t sendmsg(int fd, void* message, int flags)");
  const recvmsg = libc.func("intptr_t recvmsg(int fd, void* message, int flags)");
  // Of koffi's memory: that of a buffer may move while its address is kept.
  const memory = koffi.alloc("uint8_t", BLOCK_BYTES);
  const block = Buffer.from(koffi.view(memory, BLOCK_BYTES) as ArrayBuffer);
  layOut(block, BigInt(koffi.address(memory)));

  function receive(fd: number, controlBytes: number): number {
    block.writeBigUInt64LE(BigInt(controlBytes), HEADER_AT + 40);
    block.writeInt32LE(-1, DESCRIPTOR_AT);
    return Number(recvmsg(fd, memory, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  }

  return {
    makePair(): readonly [near: number, far: number] | undefined {
      const fds = Buffer.alloc(2 * Int32Array.BYTES_PER_ELEMENT);
      const type = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
      if (socketpair(AF_UNIX, type, 0, fds) !== 0) return undefined;
      const [near, far] = [fds.readInt32LE(0), fds.readInt32LE(4)];
      // Whoever has the other end cannot fill a queue that nobody reads.
      shutdown(near, SHUT_RD);
      return [near, far];
    },
    send(to: number, { id, listener, fd }: { id: number; listener: number; fd: number }): boolean {
      block.writeUIntLE(id, PAYLOAD_AT, ID_BYTES);
      block.writeUInt16LE(listener, PAYLOAD_AT + ID_BYTES);
      block.writeBigUInt64LE(BigInt(CONTROL_SPACE_BYTES), HEADER_AT + 40);
      block.writeBigUInt64LE(BigInt(CONTROL_BYTES), CONTROL_AT);
      block.writeInt32LE(SOL_SOCKET, CONTROL_AT + 8);
      block.writeInt32LE(SCM_RIGHTS, CONTROL_AT + 12);
      block.writeInt32LE(fd, DESCRIPTOR_AT);
      return Number(sendmsg(to, memory, MSG_DONTWAIT | MSG_NOSIGNAL)) === PAYLOAD_BYTES;
    },
    receive(from: number): Offered | undefined {
      if (receive(from, CONTROL_SPACE_BYTES) !== PAYLOAD_BYTES) return undefined;
      const fd = block.readInt32LE(DESCRIPTOR_AT);
      return {
        id: block.readUIntLE(PAYLOAD_AT, ID_BYTES),
        listener: block.readUInt16LE(PAYLOAD_AT + ID_BYTES),
        fd: fd < 0 ? undefined : fd,
      };
    },
    /** Without room for a descriptor none is made. */
    discard(from: number): number | undefined {
      if (receive(from, 0) !== PAYLOAD_BYTES) return undefined;
      return block.readUIntLE(PAYLOAD_AT, ID_BYTES);
    },
  };
}

/** What stays the same: struct msghdr with one struct iovec. */
function layOut(block: Buffer, address: bigint): void {
  block.fill(0);
  block.writeBigUInt64LE(address + BigInt(IOVEC_AT), HEADER_AT + 16);
  block.writeBigUInt64LE(1n, HEADER_AT + 24);
  block.writeBigUInt64LE(address + BigInt(CONTROL_AT), HEADER_AT + 32);
  block.writeBigUInt64LE(address + BigInt(PAYLOAD_AT), IOVEC_AT);
  block.writeBigUInt64LE(BigInt(PAYLOAD_BYTES), IOVEC_AT + 8);
}
