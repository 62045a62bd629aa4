// A WebSocket that comes back: after a reload of the server, a lost network, a laptop that slept.

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;

/** Connects to `protocol` and reconnects for ever; `state` shows how it stands. */
export function keepOpen(protocol, { state, query = "", message }) {
  let socket;
  let waitMs = FIRST_WAIT_MS;

  function connect() {
    const url = new URL(`live${query}`, location.href.replace(/^http/, "ws"));
    socket = new WebSocket(url, protocol);
    socket.addEventListener("open", () => {
      waitMs = FIRST_WAIT_MS;
      show("live", true);
    });
    socket.addEventListener("message", (event) => message(event.data));
    socket.addEventListener("close", ({ code, reason }) => {
      show(`closed with ${code}${reason && ` ${reason}`}, reconnecting`, false);
      // A little chance keeps all clients of a restarted server from returning in one instant.
      setTimeout(connect, waitMs * (0.75 + Math.random() / 2));
      waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
    });
  }

  function show(text, isOpen) {
    state.textContent = text;
    state.classList.toggle("open", isOpen);
  }

  connect();
  return {
    /** Sends, or drops what cannot be sent now: nothing on this page is worth being late. */
    send(text) {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
  };
}
