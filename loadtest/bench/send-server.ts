// What "distribution": "balanced" would be with Node's own means: a parent that accepts, and hands each socket to the child with
// the fewest by process.send, keeping it open until the child has it. The children answer with a fixed page.
// Usage: node loadtest/bench/send-server.ts PORT WORKERS

import { fork, type ChildProcess } from "node:child_process";
import net from "node:net";

const BYTES = 1024;
const REPLY = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${BYTES}\r\n`,
);
const [, , port, workers] = process.argv;

type Report = { readonly taken: number[]; readonly open: number };

if (process.send) serve();
else accept(Number(port), Number(workers));

function accept(at: number, count: number): void {
  const members = Array.from({ length: count }, () => {
    const child = fork(import.meta.filename);
    const member = { child, open: 0, held: new Map<number, net.Socket>() };
    child.on("message", ({ taken, open }: Report) => {
      for (const id of taken) {
        member.held.get(id)?.destroy();
        member.held.delete(id);
      }
      member.open = open;
    });
    return member;
  });
  let id = 0;
  const load = (member: { open: number; held: ReadonlyMap<unknown, unknown> }): number =>
    member.open + member.held.size;
  net
    .createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      const least = members.reduce((best, one) => (load(one) < load(best) ? one : best));
      id += 1;
      least.held.set(id, socket);
      socket.on("error", () => {});
      send(least.child, id, socket);
    })
    .listen(at, "127.0.0.1", 4096);
}

function send(child: ChildProcess, id: number, socket: net.Socket): void {
  child.send(id, socket, { keepOpen: true }, () => {});
}

function serve(): void {
  let taken: number[] = [];
  let open = 0;
  let isDue = false;
  function report(): void {
    if (isDue) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      process.send?.({ taken, open });
      taken = [];
    });
  }
  process.on("message", (id: number, socket?: net.Socket) => {
    taken.push(id);
    if (socket) {
      open += 1;
      socket.on("error", () => {});
      socket.on("close", () => {
        open -= 1;
        report();
      });
      socket
        .setNoDelay()
        .on("data", (chunk) => answer(socket, chunk))
        .resume();
    }
    report();
  });
}

function answer(socket: net.Socket, chunk: Buffer | string): void {
  const isLast = String(chunk).includes("Connection: close");
  const end = isLast ? "Connection: close\r\n\r\n" : "\r\n";
  const reply = Buffer.concat([REPLY, Buffer.from(end), Buffer.alloc(BYTES, "x")]);
  if (isLast) socket.end(reply);
  else socket.write(reply);
}
