// The network at work, and why one digit and not another: orange speaks for the one, blue for the
// other. Its elements are in the page, each with a data-part.

import { Flow, colours, paint } from "./flow.js";

const QUIET_MS = 1200; // after the last change, before it is said aloud
const FRAMES = 8; // until all texts are told
const LOGIT = 25; // fills its half of a bar
const WEIGHT = 1.5; // fills its half of a bar

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
const bar = (digit) => `<span>${digit}</span><span class="track" aria-hidden="true"><i></i></span><b></b>`;
const tile = () => `<button type="button" tabindex="-1">
  <canvas width="28" height="28"></canvas><span>0</span><b></b></button>`;

function tell(element, text, kind = element.className) {
  if (element.textContent !== text) element.textContent = text;
  element.className = kind;
}

function items(list, count, html) {
  list.innerHTML = Array.from({ length: count }, (_, number) => `<li>${html(number)}</li>`).join("");
  return [...list.children].map((item) => (html === tile ? item.firstChild : item));
}

// Bars of ten numbers, the longest of `most`; their `kind` is pro, contra or nothing.
function fill(rows, values, most, kind) {
  rows.forEach((row, k) => {
    const [, track, number] = row.children;
    row.className = kind(values[k], k);
    track.firstChild.style.transform = `scaleX(${Math.max(-1, Math.min(1, values[k] / most))})`;
    tell(number, signed(values[k]));
  });
}

export class View {
  #network;
  #parts;
  #flow;
  #theme;
  #read = null; // what gives new pixels
  #pixels = new Uint8Array(784);
  #texts = [() => this.#showUnit(), () => this.#showOutputs(), () => this.#showMost(), () => this.#sayWhy()];
  #turn = 0;
  #frames = 0; // to draw
  picked = null; // a unit, by click or keyboard
  hovered = null;
  #timer;

  constructor(section, network) {
    const parts = [...section.querySelectorAll("[data-part]")].map((each) => [each.dataset.part, each]);
    const { flow, units, wires, unit, outputs, outgoing, most, digit, other, free, count } =
      (this.#parts = Object.fromEntries(parts));
    this.#network = network;
    this.#flow = new Flow(wires, network.units);
    units.style.backgroundSize = `${100 / this.#flow.across}% ${100 / this.#flow.down}%`;
    units.style.aspectRatio = this.#flow.across / this.#flow.down;
    this.outputs = items(outputs, 10, bar);
    this.outgoing = items(outgoing, 10, bar);
    this.tiles = items(most, Math.min(12, network.units), tile);
    this.tiles.forEach((each) => each.addEventListener("click", () => this.#choose({ picked: each.unit })));
    unit.max = network.units - 1;
    count.textContent = network.units;
    for (const choice of [digit, other]) {
      choice.append(...Array.from({ length: 10 }, (_, k) => new Option(k, k)));
      choice.addEventListener("change", () => this.#due());
    }
    units.addEventListener("pointermove", (event) => this.#choose({ hovered: this.#flow.unitAt(event) }));
    units.addEventListener("pointerleave", () => this.#choose({ hovered: null }));
    units.addEventListener("click", (event) => this.#choose({ picked: this.#flow.unitAt(event) }));
    unit.addEventListener("input", () => this.#choose({ picked: Number(unit.value) }));
    unit.addEventListener("keydown", (event) => this.#key(event));
    free.addEventListener("click", () => this.#choose({ picked: null }));
    new ResizeObserver(() => this.#measure()).observe(flow);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#measure());
  }

  // With the next frame what `read` gives then: 784 bytes, 0 paper and 255 ink.
  show(read) {
    this.#read = read;
    this.#due();
  }

  #due() {
    if (!this.#flow.cell) return; // closed
    if (!this.#frames) requestAnimationFrame(() => this.#frame());
    this.#frames = FRAMES;
  }

  // The pictures if anything has changed; of the four texts, which cost more, one each second frame.
  #frame() {
    if (this.#frames === FRAMES) this.#paint();
    if (--this.#frames) requestAnimationFrame(() => this.#frame());
    if (++this.#turn % 2) this.#texts[(this.#turn >> 1) % this.#texts.length]();
  }

  #paint() {
    this.#pixels = this.#read?.() ?? this.#pixels;
    this.#read = null;
    const { digit, other, input, under, map } = this.#parts;
    const { hidden, logits } = (this.seen = this.#network.read(this.#pixels));
    const order = (this.order = [...logits.keys()].sort((j, k) => logits[k] - logits[j]));
    const a = digit.value ? Number(digit.value) : order.find((k) => String(k) !== other.value);
    const b = other.value ? Number(other.value) : order.find((k) => k !== a);
    this.why = this.#network.why(this.seen, a, b);
    const { ink, pro, contra } = this.#theme;
    for (const canvas of [input, under]) paint(canvas, this.#pixels, ink, ink, 1);
    paint(map, this.why.parts, pro, contra, 0.6);
    this.#flow.draw(hidden, this.why, this.#unit, this.#wires(), this.#theme);
  }

  // From a chosen unit to all digits; else from those that count most to the one they speak for.
  #wires() {
    const { a, b, shares, most } = this.why;
    const chosen = this.hovered ?? this.picked;
    if (chosen !== null) return [...this.#network.outgoing(chosen)].map((weight, k) => [chosen, k, weight / WEIGHT]);
    const strongest = Math.abs(shares[most[0]]) || 1;
    return most.map((unit) => [unit, shares[unit] < 0 ? b : a, shares[unit] / strongest]);
  }

  #sayWhy() {
    const { digit, other, sum, live } = this.#parts;
    const { a, b, difference, bias } = this.why;
    tell(digit.options[0], `${this.order[0]}, first`);
    tell(other.options[0], `${this.order.find((k) => k !== a)}, second`);
    const where = `${a} ${difference < 0 ? "behind" : "before"} ${b} by ${Math.abs(difference).toFixed(1)}`;
    const parts = `ink ${signed(difference - bias)}, biases ${signed(bias)}`;
    tell(sum, this.#pixels.some(Boolean) ? `${where} logits: ${parts}.` : "Nothing is drawn yet.");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => tell(live, sum.textContent), QUIET_MS);
  }

  #showOutputs() {
    const { a, b } = this.why;
    fill(this.outputs, this.seen.logits, LOGIT, (_, k) => (k === a ? "pro" : k === b ? "contra" : ""));
  }

  #showMost() {
    const { pro, contra } = this.#theme;
    this.tiles.forEach((button, i) => {
      const [unit, [canvas, name, share]] = [this.why.most[i], button.children];
      if (button.unit !== unit) paint(canvas, this.#network.incoming(unit), pro, contra);
      button.unit = unit;
      tell(name, String(unit));
      tell(share, signed(this.why.shares[unit]), this.why.shares[unit] < 0 ? "contra" : "pro");
    });
  }

  get #unit() {
    return this.hovered ?? this.picked ?? this.why.most[0];
  }

  #showUnit() {
    const { unit, weights, name, gives, free } = this.#parts;
    const [chosen, { a, b, shares }] = [this.#unit, this.why];
    const gift = this.seen.hidden[chosen];
    const speaks = `${shares[chosen] < 0 ? b : a} by ${Math.abs(shares[chosen]).toFixed(1)}`;
    tell(name, `Unit ${chosen}`);
    tell(gives, gift ? `gives ${gift.toFixed(1)}, speaks for ${speaks}` : "is off");
    free.hidden = this.picked === null;
    unit.value = chosen;
    unit.setAttribute("aria-valuetext", `${name.textContent} ${gives.textContent}`);
    paint(weights, this.#network.incoming(chosen), this.#theme.pro, this.#theme.contra);
    fill(this.outgoing, this.#network.outgoing(chosen), WEIGHT, (weight) => (weight < 0 ? "contra" : "pro"));
  }

  #choose(unit) {
    Object.assign(this, unit);
    this.#due();
  }

  #key(event) {
    const [here, { most }, { across }] = [this.#unit, this.why, this.#flow];
    const unit = {
      ArrowUp: here - across,
      ArrowDown: here + across,
      PageUp: most[Math.max(most.indexOf(here) - 1, 0)],
      PageDown: most[Math.min(most.indexOf(here) + 1, most.length - 1)],
      Escape: null,
    }[event.key];
    if (unit === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // elsewhere Escape clears the drawing
    if (unit === null || (unit >= 0 && unit < this.#network.units)) this.#choose({ picked: unit });
  }

  #measure() {
    for (const each of this.tiles) each.unit = null;
    this.#theme = colours(this.#parts.flow, ["ink", "dot", "pro", "contra"]);
    this.#flow.measure(this.#parts.units, this.outputs.map((row) => row.children[1]));
    this.#due();
  }
}
