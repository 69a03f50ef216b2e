import { Asking } from "./asking.js";
import { Drawing, SIDE } from "./drawing.js";
import { show } from "./result.js";

const element = (id) => document.getElementById(id);
const complain = (text) => (element("problem").textContent = text);
const canvas = element("canvas");
export const drawing = new Drawing(canvas);
export const asking = new Asking(drawing);

asking.addEventListener("answer", ({ detail }) => {
  show(detail);
  complain("");
});
asking.addEventListener("problem", ({ detail }) => complain(detail));
drawing.addEventListener("change", () => {
  element("undo").disabled = !drawing.done.length;
  element("redo").disabled = !drawing.undone.length;
  element("clear").disabled = element("eraser").disabled = drawing.isBlank;
  if (drawing.isBlank) erase(false);
  element("hint").hidden = !drawing.isBlank;
  showPen();
});
show(null);

for (const what of ["undo", "redo", "clear"]) {
  element(what).addEventListener("click", () => drawing[what]());
}
element("eraser").addEventListener("click", () => erase(!drawing.erases));
const widths = [...element("widths").querySelectorAll("input")];
element("widths").addEventListener("change", ({ target }) => (drawing.width = Number(target.value)));
for (const example of element("examples").querySelectorAll("img")) {
  example.parentElement.addEventListener("click", async () => {
    element("said").closest("section").scrollIntoView({ block: "nearest" });
    const file = await fetch(example.src).catch(() => complain("The server does not answer."));
    if (file) load(new File([await file.blob()], ""));
  });
}
element("file").addEventListener("change", ({ target }) => {
  load(target.files[0]);
  target.value = ""; // the same file again is a change, too
});

async function load(file) {
  if (!file) return;
  try {
    await drawing.load(file);
  } catch {
    complain(`This browser can't show ${file.name || "that"} as a picture.`);
  }
}

function erase(does) {
  drawing.erases = does && !drawing.isBlank;
  element("eraser").setAttribute("aria-pressed", String(drawing.erases));
  canvas.classList.toggle("erases", drawing.erases);
}

addEventListener("paste", ({ clipboardData }) => load(clipboardData.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    element("drop").hidden = kind === "drop" || (kind === "dragleave" && !event.relatedTarget);
    if (kind === "drop") load(event.dataTransfer.files[0]);
  });
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  const isTyped = event.ctrlKey === event.altKey && !event.metaKey; // AltGr is both
  const wider = { "[": -1, "]": 1 }[key];
  if (wider && isTyped) widths[widths.findIndex(({ checked }) => checked) + wider]?.click();
  else if (event.altKey) return;
  else if (event.ctrlKey || event.metaKey) {
    if (key === "y" || (key === "z" && event.shiftKey)) drawing.redo();
    else if (key === "z") drawing.undo();
    else return;
  } else if (key === "e") erase(!drawing.erases);
  else if (["escape", "delete", "backspace"].includes(key)) drawing.clear();
  else return;
  event.preventDefault();
});

canvas.addEventListener("keydown", (event) => {
  const arrow = ARROWS[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey || !(arrow || event.key === " ")) return;
  event.preventDefault();
  if (arrow) drawing.movePen(...arrow.map((steps) => steps * (event.shiftKey ? 4 : 1)));
  else {
    drawing.togglePen();
    element("live").textContent = drawing.pen.down ? "Pen down" : "Pen up";
  }
  showPen(true);
});
canvas.addEventListener("blur", () => {
  if (drawing.pen.down) drawing.togglePen();
  element("cursor").hidden = true;
});
canvas.addEventListener("pointerdown", () => (element("cursor").hidden = true));

function showPen(now = false) {
  const cursor = element("cursor");
  if (now) cursor.hidden = false;
  cursor.style.left = `${(100 * drawing.pen.x) / SIDE}%`;
  cursor.style.top = `${(100 * drawing.pen.y) / SIDE}%`;
  cursor.classList.toggle("down", drawing.pen.down);
}
