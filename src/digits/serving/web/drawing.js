// The drawing: a list of what was done to it, so that everything can be undone. Its own unit is a
// 280th of the side, whatever the screen's pixels.

import { picture } from "./picture.js";
import { ink, point, trace } from "./strokes.js";

export const SIDE = 280;
const STEP = 7; // of the keyboard's pen

export class Drawing extends EventTarget {
  #canvas;
  #context;
  #done = []; // strokes {points}, pictures {picture, file, place, ink, paper}, and {} for a clear
  #stroke = null;
  #pointer = null;
  pen = { x: SIDE / 2, y: SIDE / 2, down: false };

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    new ResizeObserver(() => this.#paint()).observe(canvas);
    addEventListener("resize", () => this.#paint()); // zooming
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#paint();
      this.#changed();
    });
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(end, (event) => this.#lift(event));
    }
  }

  get isBlank() {
    return this.#shown().length === 0;
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  undo() {
    this.#endStroke();
    if (this.#done.pop()) this.#replaced();
  }

  clear() {
    this.#endStroke();
    if (this.isBlank) return;
    this.#done.push({});
    this.#replaced();
  }

  async load(file) {
    this.#endStroke();
    this.#done.push(await picture(file, SIDE));
    this.#replaced();
  }

  movePen(right, down) {
    this.pen.x = Math.min(SIDE, Math.max(0, this.pen.x + right * STEP));
    this.pen.y = Math.min(SIDE, Math.max(0, this.pen.y + down * STEP));
    if (this.pen.down) this.#add([point(this.pen.x, this.pen.y)]);
  }

  togglePen() {
    if (this.pen.down) return this.#endStroke();
    this.pen.down = true;
    this.#begin(point(this.pen.x, this.pen.y));
  }

  // What to ask about, and where its pixels are in the drawing.
  async snapshot() {
    const last = this.#done.at(-1);
    if (last.file) return { body: last.file, place: last.place };
    return { body: await this.#png(), place: { x: 0, y: 0, scale: 1 } };
  }

  async #png() {
    const copy = new OffscreenCanvas(SIDE, SIDE);
    copy.getContext("2d", { alpha: false }).drawImage(this.#canvas, 0, 0, SIDE, SIDE);
    return copy.convertToBlob({ type: "image/png" });
  }

  // From now on a picture's file is not what to ask about, but how it is shown here.
  forgetFile() {
    const last = this.#done.at(-1);
    const had = Boolean(last?.file);
    if (had) last.file = null;
    return had;
  }

  #shown() {
    const from = this.#done.findLastIndex((entry) => !entry.points);
    return this.#done.slice(from < 0 || this.#done[from].picture ? Math.max(from, 0) : from + 1);
  }

  #press(event) {
    if (event.button !== 0 || this.#stroke) return;
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#begin(this.#place(event));
  }

  #move(event) {
    if (!this.#stroke || event.pointerId !== this.#pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    this.#add((events.length ? events : [event]).map((each) => this.#place(each)));
  }

  #lift(event) {
    if (event.pointerId === this.#pointer) this.#endStroke();
  }

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    const unit = SIDE / box.width;
    const pressure = event.pointerType === "pen" ? 0.6 + 0.8 * (event.pressure || 0.5) : 1;
    return point((event.clientX - box.left) * unit, (event.clientY - box.top) * unit, pressure);
  }

  #begin(first) {
    this.#stroke = { points: [first] };
    this.#done.push(this.#stroke);
    this.#style();
    trace(this.#context, this.#stroke.points, 0);
    this.#changed();
  }

  #add(points) {
    const before = this.#stroke.points.length;
    this.#stroke.points.push(...points);
    trace(this.#context, this.#stroke.points, before);
    this.#changed();
  }

  #endStroke() {
    if (!this.#stroke) return;
    this.#stroke = this.#pointer = null;
    this.pen.down = false;
    this.#paint();
    this.#changed();
  }

  #replaced() {
    this.#paint();
    this.dispatchEvent(new Event("replace"));
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #style() {
    const theme = getComputedStyle(this.#canvas);
    const { ink, paper } = this.#shown()[0]?.picture
      ? this.#shown()[0]
      : { ink: theme.getPropertyValue("--ink"), paper: theme.getPropertyValue("--paper") };
    this.#context.strokeStyle = ink;
    this.#context.lineCap = this.#context.lineJoin = "round";
    return paper;
  }

  #paint() {
    const pixels = Math.max(SIDE, Math.round(this.#canvas.clientWidth * devicePixelRatio));
    if (this.#canvas.width !== pixels) this.#canvas.width = this.#canvas.height = pixels;
    const context = this.#context;
    context.setTransform(pixels / SIDE, 0, 0, pixels / SIDE, 0, 0);
    context.fillStyle = this.#style();
    context.fillRect(0, 0, SIDE, SIDE);
    for (const { points, picture, place } of this.#shown()) {
      if (picture) {
        const { x, y, width, height } = place;
        context.drawImage(picture, x, y, width, height);
      } else {
        ink(context, points);
      }
    }
  }
}
