// The tiles of the demo page. Each one needs a few lines, because a tile is one protocol of the server.
// What the server says is put on the page as text, never as markup.

import { keepOpen } from "./socket.js";

const DRAWING_WIDTH = 960;
const PEN_STEP = 12;
const MAX_LOG_LINES = 6;
/** Of the text formats that make a drawing: "d #rrggbb x0 y0 x1 y1;" a line, "c #rrggbb x y r;" a circle. */
const DRAWING = /([dc]) (#[0-9a-f]{6})((?: -?\d+(?:\.\d+)?){3,4});/gi;

const $ = (id) => document.getElementById(id);

mirror();
increment();
openAndClose();
whoIsHere();
forms();
cgi();

function mirror() {
  const canvas = $("mirror");
  const pen = canvas.getContext("2d");
  const scale = canvas.width / DRAWING_WIDTH;
  pen.scale(scale, scale);
  pen.lineWidth = 3;
  pen.lineCap = "round";

  // `?mirror=NAME` of the page is the room of its drawing.
  const room = new URLSearchParams(location.search).get("mirror");
  const query = room ? `?${new URLSearchParams({ mirror: room })}` : "";
  const socket = keepOpen("lws-mirror-protocol", {
    state: $("mirror-state"),
    query,
    message: draw,
  });

  function draw(text) {
    for (const [, kind, colour, numbers] of text.matchAll(DRAWING)) {
      const [x0, y0, x1, y1] = numbers.trim().split(" ").map(Number);
      pen.beginPath();
      pen.strokeStyle = colour;
      if (kind === "c") pen.arc(x0, y0, Math.min(Math.abs(x1), DRAWING_WIDTH), 0, 2 * Math.PI);
      else pen.moveTo(x0, y0);
      if (kind === "d") pen.lineTo(x1, y1);
      pen.stroke();
    }
  }

  // Nothing is drawn here before it came back: what one sees is what everybody sees.
  function send(from, to) {
    const colour = document.querySelector("[name=colour]:checked").value;
    const [x0, y0, x1, y1] = [...from, ...to].map(Math.round);
    socket.send(`d ${colour} ${x0} ${y0} ${x1} ${y1};`);
  }

  const strokes = new Map();
  const position = (event) => [
    (event.offsetX * DRAWING_WIDTH) / canvas.clientWidth,
    (event.offsetY * DRAWING_WIDTH) / canvas.clientWidth,
  ];
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    strokes.set(event.pointerId, position(event));
    send(position(event), position(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const from = strokes.get(event.pointerId);
    if (!from) return;
    strokes.set(event.pointerId, position(event));
    send(from, position(event));
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => strokes.delete(event.pointerId));

  let at = [DRAWING_WIDTH / 2, 200];
  let isDown = false;
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    const from = at;
    if (step) at = [from[0] + step[0] * PEN_STEP, from[1] + step[1] * PEN_STEP];
    else isDown = !isDown;
    if (isDown) send(from, at);
  });

  $("mirror-wipe").addEventListener("click", () =>
    pen.clearRect(0, 0, DRAWING_WIDTH, DRAWING_WIDTH),
  );
}

function increment() {
  const figure = $("increment");
  const socket = keepOpen("dumb-increment-protocol", {
    state: $("increment-state"),
    message: (text) => (figure.textContent = text),
  });
  $("increment-reset").addEventListener("click", () => socket.send("reset\n"));
  $("increment-close").addEventListener("click", () => socket.send("closeme\n"));
}

function openAndClose() {
  const buttons = { start: $("open-start"), client: $("open-client"), server: $("open-server") };
  const log = $("open-log");
  let socket;

  function say(text) {
    const line = document.createElement("li");
    line.textContent = `${new Date().toLocaleTimeString()}  ${text}`;
    log.prepend(line);
    while (log.childElementCount > MAX_LOG_LINES) log.lastElementChild.remove();
  }
  function show(isOpen) {
    buttons.start.disabled = isOpen;
    buttons.client.disabled = buttons.server.disabled = !isOpen;
  }

  buttons.start.addEventListener("click", () => {
    buttons.start.disabled = true;
    socket = new WebSocket(
      new URL("open", location.href.replace(/^http/, "ws")),
      "dumb-increment-protocol",
    );
    socket.addEventListener("open", () => {
      say("open");
      show(true);
    });
    socket.addEventListener("close", ({ code, reason }) => {
      say(`closed with ${code}${reason && `, “${reason}”`}`);
      show(false);
    });
  });
  buttons.client.addEventListener("click", () => socket.close(3000, "Bye!"));
  buttons.server.addEventListener("click", () => socket.send("closeme\n"));
}

function whoIsHere() {
  keepOpen("lws-status", {
    state: $("status-state"),
    message(text) {
      const status = JSON.parse(text);
      const noun = status.wsi === "1" ? "connection" : "connections";
      $("status-summary").textContent =
        `${status.wsi} ${noun} to ${status.hostname}, ${status.version}, from all workers.`;
      $("status-rows").replaceChildren(
        ...status.conns.map(({ peer, unix, ua }) =>
          tableRow([peer, new Date(unix * 1000).toLocaleTimeString(), ua]),
        ),
      );
    },
  });
}

function forms() {
  const result = $("post-result");
  for (const form of document.querySelectorAll("form.post")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const fields = new FormData(form, event.submitter);
      const isMultipart = form.enctype === "multipart/form-data";
      try {
        const answer = await fetch(form.action, {
          method: "POST",
          body: isMultipart ? fields : new URLSearchParams(fields),
        });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        result.replaceChildren(
          ...(answer.ok ? resultOf(page) : [`${answer.status}: ${page.title}`]),
        );
      } catch (error) {
        result.textContent = `Not sent: ${error.message}`;
      }
    });
  }
}

/** The table of the answered page, and its line on the file, as text. */
function resultOf(page) {
  const table = document.createElement("table");
  for (const row of page.querySelectorAll("tr"))
    table.append(tableRow([...row.cells].map((cell) => cell.textContent)));
  const file = page.body.textContent.match(/filename: .*$/s)?.[0] ?? "";
  return [table, file];
}

function cgi() {
  $("cgi").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    try {
      const answer = await fetch(`${form.action}?${new URLSearchParams(new FormData(form))}`);
      $("cgi-result").textContent = await answer.text();
    } catch (error) {
      $("cgi-result").textContent = `Not run: ${error.message}`;
    }
  });
}

function tableRow(cells) {
  const row = document.createElement("tr");
  for (const text of cells) row.insertCell().textContent = text;
  return row;
}
