// The other end of sd_notify(3): a Unix datagram socket that writes down what it gets. Perl has it, because Node cannot
// open such a socket and the code under test is not to be its own witness.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { needs } from "./programs.ts";
import { waitUntil } from "./server.ts";
import { temporaryDirectory } from "./site.ts";

const SCRIPT = `
use Socket;
$| = 1;
my ($address, $waits) = @ARGV;
(my $name = $address) =~ s/^@/\\0/;
socket(my $socket, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
bind($socket, pack_sockaddr_un($name)) or die "bind: $!";
chmod 0777, $address;
print "bound\\n";
<STDIN> if $waits;
print unpack("H*", $message), "\\n" while defined recv($socket, $message, 65536, 0);
`;

export type NotifyReceiver = {
  /** As in NOTIFY_SOCKET. */
  readonly address: string;
  /** Every message so far. */
  readonly messages: readonly string[];
  /** Lets one that "waits" begin to read. */
  read(): void;
  /** The first message from index `from` on that has this line or matches; with its index. */
  message(line: string | RegExp, from?: number): Promise<{ index: number; text: string }>;
};

export type ReceiverOptions = {
  /** "path" by default. */
  readonly kind?: "path" | "abstract";
  /** Leaves everything in the queue until read() is called. */
  readonly waits?: boolean;
};

/** Starts one; undefined once the test is skipped for lack of Perl. */
export async function startNotifyReceiver(
  t: TestContext,
  { kind = "path", waits = false }: ReceiverOptions = {},
): Promise<NotifyReceiver | undefined> {
  const perl = needs(t, "Perl", ["perl"]);
  if (perl === undefined) return undefined;
  const directory = temporaryDirectory(t);
  const address = kind === "path" ? join(directory, "notify") : `@${directory}/notify`;
  const child = spawn(perl, ["-e", SCRIPT, address, waits ? "1" : ""], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(async () => {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  const messages: string[] = [];
  const lines = createInterface({ input: child.stdout });
  const [first] = (await Promise.race([once(lines, "line"), once(child, "exit")])) as [unknown];
  assert.equal(first, "bound");
  lines.on("line", (hex) => messages.push(Buffer.from(hex, "hex").toString()));
  return {
    address,
    messages,
    read: () => void child.stdin.write("\n"),
    message: (line, from = 0) =>
      waitUntil(
        `a message with ${line}`,
        () => {
          const index = messages.findIndex(
            (text, at) =>
              at >= from &&
              (typeof line === "string" ? text.split("\n").includes(line) : line.test(text)),
          );
          return index < 0 ? undefined : { index, text: messages[index] ?? "" };
        },
        () => messages.join("\n--\n"),
      ),
  };
}
