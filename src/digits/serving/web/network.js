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
    this.first = floats("net.1.weight"); // a row of pixels for each unit
    this.second = floats("net.3.weight"); // a row of units for each digit
    this.biases = [floats("net.1.bias"), floats("net.3.bias")];
    this.units = this.biases[0].length;
    this.temperature = Number(about?.temperature ?? 1);
  }

  incoming(unit) {
    return this.first.subarray(unit * PIXELS, (unit + 1) * PIXELS);
  }

  outgoing(unit) {
    return Float64Array.from({ length: DIGITS }, (_, k) => this.second[k * this.units + unit]);
  }

  // What it makes of 784 bytes, 0 paper and 255 ink.
  read(pixels) {
    const inked = [...pixels.keys()].filter((p) => pixels[p]); // most are not
    const hidden = Float64Array.from(this.biases[0], (sum, h) => {
      for (const p of inked) sum += (pixels[p] / 255) * this.first[h * PIXELS + p];
      return Math.max(sum, 0);
    });
    const logits = Float64Array.from(this.biases[1], (bias, k) =>
      hidden.reduce((sum, gives, h) => sum + gives * this.second[k * this.units + h], bias));
    const most = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp((logit - most) / this.temperature));
    const total = powers.reduce((sum, power) => sum + power);
    return { pixels, hidden, logits, probabilities: powers.map((power) => power / total) };
  }

  // Why digit a and not b, exactly: the difference of their logits is the sum of `parts`, which are
  // the pixels', and `bias`. `shares` are the units', `most` the dozen that count most.
  why({ pixels, hidden, logits }, a, b) {
    const [parts, shares] = [new Float64Array(PIXELS), new Float64Array(this.units)];
    let bias = this.biases[1][a] - this.biases[1][b];
    for (let h = 0; h < this.units; h++) {
      if (!hidden[h]) continue;
      const weight = this.second[a * this.units + h] - this.second[b * this.units + h];
      shares[h] = hidden[h] * weight;
      bias += weight * this.biases[0][h];
      for (let p = 0; p < PIXELS; p++) parts[p] += weight * this.first[h * PIXELS + p];
    }
    for (let p = 0; p < PIXELS; p++) parts[p] *= pixels[p] / 255;
    const order = [...shares.keys()].sort((g, h) => Math.abs(shares[h]) - Math.abs(shares[g]));
    return { a, b, parts, bias, shares, most: order.slice(0, 12), difference: logits[a] - logits[b] };
  }
}
