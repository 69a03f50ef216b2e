// The picture of the network: a dot for each hidden unit, the larger the more it gives, and wires to
// the outputs. Also how 28x28 numbers are painted.

const BRIGHT = 5; // an activation that fills its place

const mix = (a, b, share) => a.map((value, i) => value + (b[i] - value) * share);
const rgb = (colour) => `rgb(${colour.map(Math.round)})`;

// The colours that CSS names, as numbers.
export function colours(element, names) {
  const one = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  return Object.fromEntries(names.map((name) => {
    one.fillStyle = getComputedStyle(element).getPropertyValue(`--${name}`);
    one.fillRect(0, 0, 1, 1);
    return [name, [...one.getImageData(0, 0, 1, 1).data.slice(0, 3)]];
  }));
}

// Paints 28x28 numbers: above 0 in one colour, below it in the other, the more the denser.
export function paint(canvas, values, pro, contra, power = 0.8) {
  const most = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  const image = new ImageData(28, 28);
  values.forEach((value, i) => {
    if (!value) return;
    const colour = value < 0 ? contra : pro;
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = colour[c];
    image.data[4 * i + 3] = 255 * (Math.abs(value) / most) ** power;
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

export class Flow {
  #context;

  constructor(canvas, count) {
    this.#context = canvas.getContext("2d");
    this.count = count;
    this.across = 2 ** Math.ceil(Math.log2(Math.sqrt(2 * count)));
    this.down = Math.ceil(count / this.across);
  }

  // Where the dots and the outputs are on the canvas; only when that changes.
  measure(units, tracks) {
    const { canvas } = this.#context;
    const from = canvas.getBoundingClientRect();
    [this.units, ...this.tracks] = [units, ...tracks].map((element) => {
      const { x, y, width, height } = element.getBoundingClientRect();
      return { x: x - from.x, y: y - from.y, width, height };
    });
    this.cell = this.units.width / this.across;
    [canvas.width, canvas.height] = [from.width, from.height].map((side) => side * devicePixelRatio);
    this.#context.scale(devicePixelRatio, devicePixelRatio);
  }

  unitAt({ offsetX, offsetY }) {
    const [column, row] = [offsetX, offsetY].map((offset) => Math.floor(offset / this.cell));
    const unit = row * this.across + Math.min(column, this.across - 1);
    return unit >= 0 && unit < this.count ? unit : null;
  }

  #place(unit) {
    const [column, row] = [unit % this.across, Math.floor(unit / this.across)];
    return [this.units.x + (column + 0.5) * this.cell, this.units.y + (row + 0.5) * this.cell];
  }

  // `wires` are from a unit to a digit, each with a strength from -1 to 1.
  draw(hidden, why, chosen, wires, theme) {
    this.#context.clearRect(0, 0, this.#context.canvas.width, this.#context.canvas.height);
    wires.forEach((wire) => this.#wire(...wire, theme));
    this.#dots(hidden, why, theme);
    this.#rings(why.most, 1, theme);
    this.#rings([chosen], 2.5, theme);
  }

  #wire(unit, digit, strength, { pro, contra }) {
    const [x, y] = this.#place(unit);
    const { x: left, y: top, height } = this.tracks[digit];
    const [right, down] = [left - 24, top + height / 2];
    const isBeside = left > this.units.x + this.units.width;
    const bend = isBeside ? [(right - x) / 2, 0] : [0, (down - y) / 2];
    const context = this.#context;
    context.beginPath();
    context.moveTo(x, y);
    context.bezierCurveTo(x + bend[0], y + bend[1], right - bend[0], down - bend[1], right, down);
    context.lineWidth = 0.5 + 4 * Math.abs(strength);
    context.strokeStyle = `rgba(${strength < 0 ? contra : pro}, ${0.25 + 0.5 * Math.abs(strength)})`;
    context.stroke();
  }

  // A dot has the colour of the digit that its unit speaks for.
  #dots(hidden, { shares, most }, { dot, pro, contra }) {
    const strongest = Math.abs(shares[most[0]]) || 1;
    hidden.forEach((gives, unit) => {
      if (!gives) return; // its small dot is CSS
      const side = Math.min(1, (3 * Math.abs(shares[unit])) / strongest);
      this.#context.fillStyle = rgb(mix(dot, shares[unit] < 0 ? contra : pro, side));
      this.#circle(unit, 0.15 + 0.29 * Math.sqrt(Math.min(gives / BRIGHT, 1)));
      this.#context.fill();
    });
  }

  #rings(units, width, { ink }) {
    this.#context.strokeStyle = rgb(ink);
    this.#context.lineWidth = width;
    for (const unit of units) {
      this.#circle(unit, 0.48);
      this.#context.stroke();
    }
  }

  #circle(unit, radius) {
    this.#context.beginPath();
    this.#context.arc(...this.#place(unit), radius * this.cell, 0, 7);
  }
}
