// Shows what the protocol "lws-server-status" sends: its "portico" member, the whole board of the supervisor.
// Names and addresses come from configurations, so all of it is put on the page as text, never as markup.

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;

const $ = (id) => document.getElementById(id);

let previous;
let waitMs = FIRST_WAIT_MS;
connect();

function connect() {
  const socket = new WebSocket(
    new URL("live", location.href.replace(/^http/, "ws")),
    "lws-server-status",
  );
  socket.addEventListener("open", () => {
    waitMs = FIRST_WAIT_MS;
    showState("live", true);
  });
  socket.addEventListener("message", ({ data }) => show(JSON.parse(data)));
  socket.addEventListener("close", () => {
    showState("disconnected, reconnecting", false);
    setTimeout(connect, waitMs * (0.75 + Math.random() / 2));
    waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
  });
}

function showState(text, isOpen) {
  $("state").textContent = text;
  $("state").classList.toggle("open", isOpen);
  $("page").classList.toggle("stale", !isOpen);
}

function show(status) {
  const board = status.portico;
  const seconds = previous && (board.now - previous.now) / 1000;
  // Only between two updates of one server is a difference a rate.
  const isRate = previous?.startedAt === board.startedAt && seconds > 0;
  const rate = (name) =>
    isRate ? (board.totals[name] - previous.totals[name]) / seconds : undefined;
  const sum = (name) => board.workers.reduce((total, { gauges }) => total + gauges[name], 0);
  previous = board;

  showFigures({
    Version: board.version,
    Uptime: duration(Number(status.uptime)),
    Load: status.l1,
    "Requests/s": number(rate("requests")),
    "Sent/s": bytes(rate("tx")),
    Connections: number(sum("openConnections")),
    WebSockets: number(sum("openWebSockets")),
    "CGI running": number(sum("cgiAlive")),
    "CGI started": number(board.counters.cgiStarted),
    Generation: number(board.generation),
    Restarts: number(board.restarts),
  });
  showReload(board.lastReload);
  showTable("workers", workerColumns, board.workers);
  showTable("vhosts", vhostColumns, board.vhosts);
  showTable(
    "mounts",
    mountColumns,
    board.vhosts.flatMap(({ key, mounts }) => mounts.map((mount) => ({ key, mount }))),
  );
  showTable("listeners", listenerColumns, board.listeners);
}

const workerColumns = {
  Worker: ({ id }) => id,
  Process: ({ pid }) => pid,
  Generation: ({ generation }) => generation,
  State: ({ state }) => state,
  Uptime: ({ uptimeSecs }) => duration(uptimeSecs),
  CPU: ({ cpuPercent }) => [`${cpuPercent.toFixed(0)} %`],
  Memory: ({ memoryBytes }) => [bytes(memoryBytes)],
  Connections: ({ gauges }) => [number(gauges.openConnections)],
  WebSockets: ({ gauges }) => [number(gauges.openWebSockets)],
  "In flight": ({ gauges }) => [number(gauges.activeRequests)],
  "Loop lag": ({ gauges }) => [`${gauges.loopLagMs.toFixed(1)} ms`],
};

const vhostColumns = {
  Host: ({ secure, key, sts }) => `${secure ? "https" : "http"}://${key}${sts ? " (STS)" : ""}`,
  Connections: ({ counters }) => [number(counters.connections)],
  Requests: ({ counters }) => [number(counters.requests)],
  Upgrades: ({ counters }) => [number(counters.upgrades)],
  "2xx": ({ counters }) => [number(counters.status2xx)],
  "3xx": ({ counters }) => [number(counters.status3xx)],
  "4xx": ({ counters }) => [number(counters.status4xx)],
  "5xx": ({ counters }) => [number(counters.status5xx)],
  Received: ({ counters }) => [bytes(counters.rx)],
  Sent: ({ counters }) => [bytes(counters.tx)],
  Protocols: ({ protocols }) => protocols.join(", "),
};

const mountColumns = {
  Host: ({ key }) => key,
  Mountpoint: ({ mount }) => mount.mountpoint,
  Origin: ({ mount }) => mount.origin,
  Default: ({ mount }) => mount.default,
  Cache: ({ mount }) => cachePolicy(mount),
};

const listenerColumns = {
  Address: ({ address }) => address,
  TLS: ({ secure }) => (secure ? "yes" : "no"),
  State: ({ state }) => state,
  Hosts: ({ vhosts }) => vhosts.join(", "),
};

/** Columns by title; a cell in an array is a number and stands to the right. */
function showTable(id, columns, items) {
  const head = document.createElement("tr");
  for (const [title, cellOf] of Object.entries(columns)) {
    const cell = document.createElement("th");
    cell.textContent = title;
    cell.scope = "col";
    cell.classList.toggle("number", items.length > 0 && Array.isArray(cellOf(items[0])));
    head.append(cell);
  }
  const rows = items.map((item) => {
    const row = document.createElement("tr");
    for (const cellOf of Object.values(columns)) {
      const content = cellOf(item);
      const cell = row.insertCell();
      cell.textContent = String(content);
      cell.classList.toggle("number", Array.isArray(content));
    }
    return row;
  });
  $(id).replaceChildren(head, ...rows);
  $(id).closest("section").hidden = items.length === 0;
}

function showFigures(figures) {
  $("figures").replaceChildren(
    ...Object.entries(figures).map(([name, value]) => {
      const box = document.createElement("div");
      box.append(document.createElement("dt"), document.createElement("dd"));
      box.firstChild.textContent = name;
      box.lastChild.textContent = value;
      return box;
    }),
  );
}

function showReload(reload) {
  const isFailed = reload?.outcome === "failed";
  $("reload").hidden = !isFailed;
  if (!isFailed) return;
  const at = new Date(reload.at).toLocaleString();
  const lines = [`The reload of ${at} failed, the old configuration serves on. ${reload.message}`];
  $("reload").textContent = [...lines, ...reload.problems].join("\n");
}

function cachePolicy(mount) {
  if (mount.cacheMaxAge === 0 || !mount.cacheReuse) return "no-store";
  const parts = [mount.cacheIntermediaries ? "public" : "private", duration(mount.cacheMaxAge)];
  return (mount.cacheRevalidate ? [...parts, "revalidate"] : parts).join(", ");
}

function number(value) {
  return value === undefined ? "–" : Math.round(value).toLocaleString();
}

function bytes(value) {
  if (value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = value < 1 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), units.length - 1);
  return `${(value / 1024 ** step).toFixed(step === 0 ? 0 : 1)} ${units[step]}`;
}

function duration(secs) {
  const parts = [
    [Math.floor(secs / 86_400), "d"],
    [Math.floor(secs / 3600) % 24, "h"],
    [Math.floor(secs / 60) % 60, "m"],
    [Math.floor(secs) % 60, "s"],
  ].filter(([count]) => count > 0);
  return parts.length === 0
    ? "0s"
    : parts
        .slice(0, 2)
        .map((part) => part.join(""))
        .join(" ");
}
