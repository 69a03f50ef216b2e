// The network itself: its weights from a safetensors file, and what they make of 28x28 pixels.

const [PIXELS, DIGITS] = [784, 10];

export class Network {
  // `file` is an ArrayBuffer, as GET network gives it: int8 rows with their scales, and biases.
  constructor(file) {
    const length = Number(new DataView(file).getBigUint64(0, true));
    const header = new TextDecoder().decode(new Uint8Array(file, 8, length));
    const { __metadata__: about, ...tensors } = JSON.parse(header);
    const floats = (name) => {
      const { dtype, shape, data_offsets: offsets } = tensors[name];
      const part = file.slice(...offsets.map((offset) => 8 + length + offset));
      if (dtype === "F32") return new Float32Array(part);
      const scale = floats(`${name}.scale`);
      return Float32Array.from(new Int8Array(part), (value, i) => value * scale[(i / shape[1]) | 0]);
    };
    this.biases = [floats("net.1.bias"), floats("net.3.bias")];
    const units = (this.units = this.biases[0].length);
    const rows = (this.rows = floats("net.1.weight")); // of pixels, for each unit
    this.columns = rows.map((_, i) => rows[(i % units) * PIXELS + ((i / units) | 0)]); // of units, for each pixel
    this.second = floats("net.3.weight"); // a row of units for each digit
    this.temperature = Number(about?.temperature ?? 1);
  }

  incoming(unit) {
    return this.rows.subarray(unit * PIXELS, (unit + 1) * PIXELS);
  }

  #column(pixel) {
    return this.columns.subarray(pixel * this.units, (pixel + 1) * this.units);
  }

  outgoing(unit) {
    return Float64Array.from({ length: DIGITS }, (_, k) => this.second[k * this.units + unit]);
  }

  // What it makes of 784 bytes, 0 paper and 255 ink.
  read(pixels) {
    const inked = []; // most are not
    pixels.forEach((ink, p) => ink && inked.push(p));
    const sums = Float64Array.from(this.biases[0]);
    for (const p of inked) {
      const [ink, column] = [pixels[p] / 255, this.#column(p)];
      for (let h = 0; h < column.length; h++) sums[h] += ink * column[h];
    }
    const hidden = sums.map((sum) => Math.max(sum, 0));
    const logits = Float64Array.from(this.biases[1], (bias, k) =>
      hidden.reduce((sum, gives, h) => sum + gives * this.second[k * this.units + h], bias));
    const most = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp((logit - most) / this.temperature));
    const total = powers.reduce((sum, power) => sum + power);
    return { pixels, inked, hidden, logits, probabilities: powers.map((power) => power / total) };
  }

  // Why digit a and not b, exactly: the difference of their logits is the sum of `parts`, which are
  // the pixels', and `bias`. `shares` are the units', `most` the dozen that count most.
  why({ pixels, inked, hidden, logits }, a, b) {
    const parts = new Float64Array(PIXELS);
    const live = [...hidden.keys()].filter((h) => hidden[h]);
    const weights = hidden.map((gives, h) => gives && this.second[a * this.units + h] - this.second[b * this.units + h]);
    for (const p of inked) {
      const column = this.#column(p);
      parts[p] = (pixels[p] / 255) * live.reduce((sum, h) => sum + weights[h] * column[h], 0);
    }
    const shares = hidden.map((gives, h) => gives * weights[h]);
    const bias = live.reduce((sum, h) => sum + weights[h] * this.biases[0][h], this.biases[1][a] - this.biases[1][b]);
    const order = [...shares.keys()].sort((g, h) => Math.abs(shares[h]) - Math.abs(shares[g]));
    return { a, b, parts, bias, shares, most: order.slice(0, 12), difference: logits[a] - logits[b] };
  }
}
