// The drawing: a list of what was done to it, so that everything can be undone. Its own unit is a
// 280th of the side, whatever the screen's pixels.

import { colourOf, picture } from "./picture.js";

export const SIDE = 280;
const STEP = 7; // of the keyboard's pen
const NEAR = 45; // an eraser's colour is that of the paper as near as this
const [TIP, ERASER] = [0, 5]; // buttons, of a stylus that has a second end

export class Drawing extends EventTarget {
  #canvas;
  #context;
  // strokes {points, width, erases, paper}, pictures {picture, file, place, ink, paper}, {} for a clear
  done = [];
  undone = []; // the newest last
  #stroke = null;
  #pointer = null;
  width = 20; // at a height of 200, as thick as MNIST's
  erases = false;
  pen = { x: SIDE / 2, y: SIDE / 2, pressure: 1, down: false };

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    new ResizeObserver(() => this.#paint()).observe(canvas);
    addEventListener("resize", () => this.#paint()); // zooming
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("lostpointercapture", ({ pointerId }) => {
      if (pointerId === this.#pointer) this.#endStroke();
    });
  }

  get isBlank() {
    return this.#shown().length === 0;
  }

  get isPicture() {
    return Boolean(this.#shown()[0]?.picture);
  }

  undo(from = this.done, to = this.undone) {
    this.#endStroke();
    if (!from.length) return;
    to.push(from.pop());
    this.#replaced();
  }

  redo() {
    this.undo(this.undone, this.done);
  }

  clear() {
    this.#endStroke();
    if (this.isBlank) return;
    this.#do({});
    this.#replaced();
  }

  async load(file) {
    this.#endStroke();
    this.#do(await picture(file, SIDE));
    this.#replaced();
  }

  movePen(right, down) {
    this.pen.x = Math.min(SIDE, Math.max(0, this.pen.x + right * STEP));
    this.pen.y = Math.min(SIDE, Math.max(0, this.pen.y + down * STEP));
    if (this.pen.down) this.#add([{ ...this.pen }]);
  }

  togglePen() {
    if (this.pen.down) return this.#endStroke();
    this.#begin({ ...this.pen });
    this.pen.down = Boolean(this.#stroke);
  }

  // What to ask about, and where its pixels are in the drawing.
  async snapshot() {
    const last = this.done.at(-1);
    if (last.file) return { body: last.file, place: last.place };
    const body = await this.copy().canvas.convertToBlob({ type: "image/png" });
    return { body, place: { x: 0, y: 0, scale: 1 } };
  }

  copy(side = SIDE) {
    const options = { alpha: false, willReadFrequently: true };
    const context = new OffscreenCanvas(side, side).getContext("2d", options);
    context.drawImage(this.#canvas, 0, 0, side, side);
    return context;
  }

  // From now on a picture's file is not what to ask about, but how it is shown here.
  forgetFile() {
    const had = Boolean(this.done.at(-1)?.file);
    if (had) this.done.at(-1).file = null;
    return had;
  }

  #shown() {
    const from = this.done.findLastIndex((entry) => !entry.points);
    return this.done.slice(from < 0 || this.done[from].picture ? Math.max(from, 0) : from + 1);
  }

  #do(entry) {
    this.done.push(entry);
    this.undone = [];
  }

  #press(event) {
    if (![TIP, ERASER].includes(event.button) || this.#stroke) return;
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#begin(this.#place(event), this.erases || event.button === ERASER);
  }

  #move(event) {
    if (!this.#stroke || event.pointerId !== this.#pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    this.#add((events.length ? events : [event]).map((each) => this.#place(each)));
  }

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top].map((at) => (at * SIDE) / box.width);
    const pressure = event.pointerType === "pen" ? 0.6 + 0.8 * (event.pressure || 0.5) : 1;
    return { x, y, pressure };
  }

  #begin(first, erases = this.erases) {
    if (erases && this.isBlank) return;
    const width = erases ? 2 * this.width : this.width;
    const paper = erases && this.isPicture ? this.#paperNear(first) : null;
    this.#stroke = { points: [first], width, erases, paper };
    this.#do(this.#stroke);
    this.#paint();
    this.#changed();
  }

  #paperNear({ x, y }) {
    const unit = this.#canvas.width / SIDE;
    const box = [x - NEAR, y - NEAR, 2 * NEAR, 2 * NEAR].map((side) => Math.round(side * unit));
    return `rgb(${colourOf(this.#context.getImageData(...box))})`;
  }

  #add(points) {
    const before = this.#stroke.points.length;
    this.#stroke.points.push(...points);
    trace(this.#context, this.#stroke, before);
    this.#changed();
  }

  #endStroke() {
    if (!this.#stroke) return;
    this.#add([this.#stroke.points.at(-1)]); // or it would end in the middle of its last segment
    this.#stroke = this.#pointer = null;
    this.pen.down = false;
  }

  #replaced() {
    this.#paint();
    this.dispatchEvent(new Event("replace"));
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #colours() {
    if (this.isPicture) return this.#shown()[0];
    const theme = getComputedStyle(this.#canvas);
    return { ink: theme.getPropertyValue("--ink"), paper: theme.getPropertyValue("--paper") };
  }

  #paint() {
    const pixels = Math.max(SIDE, Math.round(this.#canvas.clientWidth * devicePixelRatio));
    if (this.#canvas.width !== pixels) this.#canvas.width = this.#canvas.height = pixels;
    const context = this.#context;
    context.setTransform(pixels / SIDE, 0, 0, pixels / SIDE, 0, 0);
    const colours = this.#colours();
    context.lineCap = context.lineJoin = "round";
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, SIDE, SIDE);
    for (const entry of this.#shown()) {
      if (entry.picture) {
        const { x, y, width, height } = entry.place;
        context.drawImage(entry.picture, x, y, width, height);
      } else {
        context.strokeStyle = entry.erases ? (entry.paper ?? colours.paper) : colours.ink;
        trace(context, entry);
      }
    }
  }
}

// A stroke's ink from the point numbered `from` on: curves through the middles of the segments.
function trace(context, { points, width }, from = 0) {
  const middle = (a, b) => [(a.x + b.x) / 2, (a.y + b.y) / 2];
  for (let i = from; i < points.length; i++) {
    const [here, last, before] = [i, i - 1, i - 2].map((at) => points[Math.max(at, 0)]);
    context.lineWidth = width * here.pressure;
    context.beginPath();
    context.moveTo(...middle(before, last));
    context.quadraticCurveTo(last.x, last.y, ...middle(last, here));
    context.stroke();
  }
}
