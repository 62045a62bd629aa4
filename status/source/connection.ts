// A WebSocket that comes back: after a reload or restart of the server, a lost network, a laptop that slept. It counts as
// live only while numbers come.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** How long an attempt may take until its first message. */
const FIRST_MESSAGE_MS = 10_000;
/** Silence ends a connection after this, or after so many of its usual intervals. */
const LEAST_SILENCE_MS = 15_000;
const SILENT_INTERVALS = 4;

export type LinkState =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** The next attempt comes in so many seconds. */
  | { readonly kind: "waiting"; readonly seconds: number };

export type LinkListener = {
  state(state: LinkState): void;
  message(text: string): void;
};

export type Link = {
  /** Ends a wait now. */
  retry(): void;
};

/** Connects to `url` for ever. */
export function keepConnected(url: URL, protocol: string, on: LinkListener): Link {
  let waitMs = FIRST_WAIT_MS;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isWaiting = false;

  function connect(): void {
    isWaiting = false;
    clearTimeout(timer);
    on.state({ kind: "connecting" });
    const socket = new WebSocket(url, protocol);
    let isOver = false;
    let messages = 0;
    let heardAt = 0;
    let intervalMs = 0;

    function end(): void {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      // A dead connection may take minutes to say so; nobody waits for that.
      socket.close();
      wait();
    }

    timer = setTimeout(end, FIRST_MESSAGE_MS);
    socket.addEventListener("close", end);
    socket.addEventListener("message", ({ data }) => {
      if (isOver) return;
      clearTimeout(timer);
      messages += 1;
      if (messages === 1) {
        waitMs = FIRST_WAIT_MS;
        on.state({ kind: "live" });
      }
      // How often numbers come is the server's choice ("update-ms"), so it is learned; the first message comes at once.
      const now = performance.now();
      if (messages > 2) {
        intervalMs = Math.max(intervalMs, now - heardAt);
        timer = setTimeout(end, Math.max(LEAST_SILENCE_MS, SILENT_INTERVALS * intervalMs));
      }
      heardAt = now;
      on.message(String(data));
      // It is taken: the next one may come.
      if (socket.readyState === WebSocket.OPEN) socket.send("next");
    });
  }

  function wait(): void {
    isWaiting = true;
    // A little chance keeps all clients of a restarted server from returning in one instant.
    const until = performance.now() + waitMs * (0.75 + Math.random() / 2);
    waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
    function countDown(): void {
      const leftMs = until - performance.now();
      if (leftMs <= 0) return connect();
      on.state({ kind: "waiting", seconds: Math.ceil(leftMs / 1000) });
      timer = setTimeout(countDown, leftMs % 1000 || 1000);
    }
    countDown();
  }

  connect();
  return {
    retry() {
      if (isWaiting) connect();
    },
  };
}
