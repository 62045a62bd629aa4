// Messages of "lws-server-status" to a client that asked for changes: everything first, with what was before, then what changed.

import type { Board, Vhost } from "./board.ts";

/** Rows of numbers; each but the first tells what is more than in the one before. */
export type SentHistory = {
  readonly seconds: readonly (readonly number[])[];
  readonly minutes: readonly (readonly number[])[];
};

export type Update = {
  readonly board: Board;
  /** Load averages over 1, 5 and 15 minutes. */
  readonly load: readonly string[];
  /** Descriptors a worker may open, "0" where the system does not say. */
  readonly maxDescriptors: string;
  /** Beginnings of files that the configuration wants shown. */
  readonly files: readonly { readonly path: string; readonly val: string }[];
  readonly history: SentHistory | undefined;
};

type Message = {
  readonly portico?: Board;
  readonly changes?: Partial<Board> & {
    readonly changed?: readonly (readonly [index: number, vhost: VhostChange])[];
  };
  readonly history?: SentHistory;
  readonly files?: Update["files"];
  readonly pt_fd_max?: string;
  readonly l1?: string;
  readonly l2?: string;
  readonly l3?: string;
};

type VhostChange = Pick<Vhost, "counters" | "certificate" | "protocolCounts"> & {
  readonly mounts: readonly (readonly [
    index: number,
    mount: Pick<Vhost["mounts"][number], "counters" | "cgi">,
  ])[];
};

/** One message, on top of the board that the ones before have made; undefined when it is not from a Portico. */
export function readMessage(text: string, before: Board | undefined): Update | undefined {
  const message = parseJson(text) as Message | null | undefined;
  if (typeof message !== "object" || message === null) return undefined;
  const board = message.portico ?? (before && message.changes && change(before, message.changes));
  if (typeof board !== "object") return undefined;
  return {
    board,
    load: [message.l1, message.l2, message.l3].map(String),
    maxDescriptors: String(message.pt_fd_max),
    files: message.files ?? [],
    history: message.history,
  };
}

/** What did not change stays the same object. */
function change(before: Board, changes: NonNullable<Message["changes"]>): Board {
  const { changed = [], ...members } = changes;
  const vhosts = [...(members.vhosts ?? before.vhosts)];
  for (const [index, { mounts, ...told }] of changed) {
    const vhost = vhosts[index];
    if (!vhost) continue;
    const own = [...vhost.mounts];
    for (const [place, mount] of mounts) {
      const known = own[place];
      if (known) own[place] = { ...known, ...mount };
    }
    // What is not told any more is not there any more.
    const gone = { certificate: undefined, protocolCounts: undefined };
    vhosts[index] = { ...vhost, ...gone, ...told, mounts: own };
  }
  return { ...before, ...members, vhosts };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
