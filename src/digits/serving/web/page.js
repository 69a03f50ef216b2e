import { Asking } from "./asking.js";
import { Drawing, SIDE } from "./drawing.js";
import { show } from "./result.js";

const element = (id) => document.getElementById(id);
const canvas = element("canvas");
const drawing = new Drawing(canvas);
const asking = new Asking(drawing);

asking.addEventListener("answer", ({ detail }) => {
  show(detail);
  complain("");
});
asking.addEventListener("problem", ({ detail }) => complain(detail));
drawing.addEventListener("change", () => {
  element("undo").disabled = !drawing.canUndo;
  element("clear").disabled = drawing.isBlank;
  element("hint").hidden = !drawing.isBlank;
  showPen();
});
show(null);

element("undo").addEventListener("click", () => drawing.undo());
element("clear").addEventListener("click", () => drawing.clear());
element("file").addEventListener("change", ({ target }) => {
  load(target.files[0]);
  target.value = ""; // the same file again is a change, too
});

async function load(file) {
  if (!file) return;
  try {
    await drawing.load(file);
  } catch {
    complain(`${file.name || "That"} is not an image this browser can show.`);
  }
}

function complain(text) {
  element("problem").textContent = text;
  element("problem").hidden = !text;
}

addEventListener("paste", ({ clipboardData }) => load(clipboardData.files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").hidden = false;
});
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) element("drop").hidden = true;
});
addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").hidden = true;
  load(event.dataTransfer.files[0]);
});

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z") drawing.undo();
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (["Escape", "Delete", "Backspace"].includes(event.key)) drawing.clear();
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
