// A drawing as MNIST's 28x28, as digits/images makes it of clean ink on plain paper: the reasons of
// each step stand there. A picture is {width, height, data}, row by row; ink is from 0 (paper) to 1.

const WORKED_AT = 160, LEGIBLE = 40; // pixels of the longer side: of the picture, of its ink
const SIDE = 28, FIT = 20, CENTRE = 14.5, UNIT = 3;
const THIN = 2.1, THICK = 3.5, MARKED = 0.65, FAINT = 0.4, STEEPER = 1.35;

const BOX = { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
const BILINEAR = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };

const clip = (x, low, high) => Math.min(Math.max(x, low), high);
const isInk = (ink) => ink > 0.25;
const round = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)); // a half to even
const most = (values) => values.reduce((a, b) => Math.max(a, b), 0);
const mapped = (picture, change) => ({ ...picture, data: picture.data.map(change) });

export function grey({ width, height, data }) {
  return { width, height, data: new Uint8Array(width * height).map((_, i) => data[4 * i + 1]) };
}

// {pixels, box} of the whole, and of each of several digits that `separate` finds; none of a blank
// picture. `grey` has bytes; a box is left, upper, right, lower in its pixels.
export function glyphs(grey, separate = (ink) => [ink], corner = [0, 0]) {
  const scale = Math.max(1, grey.width / WORKED_AT, grey.height / WORKED_AT);
  const size = [grey.width, grey.height].map((side) => Math.max(1, round(side / scale)));
  const ink = found(scale > 1 ? resized(grey, size, BOX) : grey);
  if (most(ink.data) <= FAINT) return [];
  const inks = separate(ink);
  const whole = inks.reduce((a, b) => mapped(a, (ink, i) => Math.max(ink, b.data[i])));
  const [left, upper, right, lower] = extent(whole).map((side) => round(side * scale));
  const longer = Math.max(right - left, lower - upper);
  if (scale > 1.2 && longer < LEGIBLE * scale) {
    const by = round(0.6 * longer) + 4;
    const near = [left - by, upper - by, right + by, lower + by].map((side, i) =>
      clip(side, 0, i % 2 ? grey.height : grey.width));
    return glyphs(cut(grey, near), separate, near);
  }
  return (inks.length > 1 ? [whole, ...inks] : inks).map((ink) => ({
    pixels: fitted(ink),
    box: extent(ink).map((side, i) => round(side * scale) + corner[i % 2]),
  }));
}

// The paper is the commonest grey, the ink is what differs most from it.
function found(grey) {
  const counts = new Uint32Array(256);
  for (const value of grey.data) counts[value]++;
  const paper = counts.indexOf(most(counts));
  const raised = counts.map((count, value) => (count ? Math.abs(value - paper) : 0));
  const full = Math.max(16, most(raised));
  const ink = Float32Array.from(raised, (value) => clip((value / full - 0.08) / 0.87, 0, 1));
  return { ...grey, data: new Float32Array(grey.data).map((value) => ink[value]) };
}

// What is in a box; 0 outside the picture.
function cut({ width, height, data }, [left, upper, right, lower]) {
  const made = { width: right - left, height: lower - upper };
  made.data = new data.constructor(made.width * made.height);
  for (let y = Math.max(upper, 0); y < Math.min(lower, height); y++) {
    const row = data.subarray(y * width + Math.max(left, 0), y * width + Math.min(right, width));
    made.data.set(row, (y - upper) * made.width + Math.max(-left, 0));
  }
  return made;
}

const padded = (picture, by) => cut(picture, [-by, -by, picture.width + by, picture.height + by]);

// As Pillow does it: each pass is rounded if the picture has bytes.
function resized(picture, [width, height], filter, box = [0, 0, picture.width, picture.height]) {
  const [left, upper, right, lower] = box.map(Math.fround);
  const across = turned(pass(picture, width, left, right, filter));
  return turned(pass(across, height, upper, lower, filter));
}

function pass({ width, height, data }, size, from, to, { support, weight }) {
  const step = (to - from) / size, reach = Math.max(step, 1);
  const made = new data.constructor(size * height);
  const half = data instanceof Uint8Array ? 0.5 : 0;
  for (let x = 0; x < size; x++) {
    const centre = from + (x + 0.5) * step;
    const first = Math.max(0, Math.trunc(centre - support * reach + 0.5));
    const last = Math.min(width, Math.trunc(centre + support * reach + 0.5));
    const weights = Array.from({ length: last - first }, (_, i) => weight((first + i - centre + 0.5) / reach));
    const sum = weights.reduce((a, b) => a + b, 0);
    for (let y = 0; y < height; y++) {
      let value = 0;
      for (let i = first; i < last; i++) value += weights[i - first] * data[y * width + i];
      made[y * size + x] = value / sum + half;
    }
  }
  return { width: size, height, data: made };
}

function turned({ width, height, data }) {
  const made = new data.constructor(data.length);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) made[x * height + y] = data[i++];
  }
  return { width: height, height: width, data: made };
}

// Of one digit's ink.
function fitted(ink) {
  const digit = likeAPen(drawnLarge(cut(ink, extent(ink))));
  const [columns, rows] = [profile(digit), profile(turned(digit))];
  const [across, down] = [ends(columns.most), ends(rows.most)];
  const window = (SIDE / FIT) * Math.max(across[1] - across[0], down[1] - down[0]);
  const room = Math.trunc(window) + 1;
  const x = begin(columns.sum, across, window) + room, y = begin(rows.sum, down, window) + room;
  const page = padded(mapped(digit, (ink) => 255 * ink), room);
  const small = resized(page, [SIDE, SIDE], BOX, [x, y, x + window, y + window]);
  return new Uint8Array(small.data.map((value) => clip(value + 0.5, 0, 255)));
}

function profile({ width, data }) {
  const highest = new Float32Array(width), sum = new Float64Array(width);
  for (let i = 0, x = 0; i < data.length; i++, x = x + 1 < width ? x + 1 : 0) {
    highest[x] = Math.max(highest[x], data[i]);
    sum[x] += data[i];
  }
  return { most: highest, sum };
}

export function extent({ width, data }) {
  const [first, last] = [data.findIndex(isInk), data.findLastIndex(isInk)];
  let [left, right] = [width, 0];
  data.forEach((ink, i) => isInk(ink) && ([left, right] = [Math.min(left, i % width), Math.max(right, i % width)]));
  return [left, Math.floor(first / width), right + 1, Math.floor(last / width) + 1];
}

function drawnLarge(ink) {
  const scale = (UNIT * FIT) / Math.max(ink.width, ink.height);
  const size = [ink.width, ink.height].map((side) => Math.max(1, round((side + 4) * scale)));
  return resized(padded(ink, 2), size, BILINEAR);
}

function likeAPen(ink) {
  let depth = distances(ink, (value) => value > MARKED);
  let kept = mapped(ink, (value) => value ** STEEPER);
  if (strokeWidth(depth) < THIN) {
    const faint = Math.min(FAINT, most(ink.data) / 2);
    [depth, kept] = [distances(ink, (value) => value > faint), ink];
  }
  const width = strokeWidth(depth);
  const grow = ((clip(width, THIN, THICK) - width) / 2) * UNIT;
  if (width === 0 || Math.abs(grow) < 0.1 * UNIT) return kept;
  depth = padded(depth, Math.max(0, Math.trunc(grow) + 2));
  const outside = distances(depth, (value) => value === 0).data;
  const grown = mapped(depth, (value, i) => clip(value - outside[i] + grow + 0.5, 0, 1));
  return most(grown.data) > 0.5 ? grown : kept;
}

function strokeWidth(depth) {
  const inside = depth.data.filter((value) => value > 0);
  return inside.length ? (4 * (inside.reduce((a, b) => a + b) / inside.length) - 2) / UNIT : 0;
}

// From each pixel that `is` something to the nearest that is not: along rows, then along columns.
function distances(picture, is) {
  const far = { ...picture, data: new Float64Array(picture.data).map((x) => (is(x) ? 1e9 : 0)) };
  return mapped(turned(nearest(turned(nearest(far)))), Math.sqrt);
}

function nearest(squares) {
  const { width, data } = squares;
  return mapped(squares, (least, i) => {
    const x = i % width;
    if (least) for (let u = 0; u < width; u++) least = Math.min(least, data[i - x + u] + (u - x) ** 2);
    return least;
  });
}

function ends(line) {
  const first = line.findIndex((ink) => ink >= 0.5), last = line.findLastIndex((ink) => ink >= 0.5);
  if (first < 0) return [0, line.length];
  const passes = (at, next) => (line[at] - 0.5) / (line[at] - (line[next] ?? 0));
  return [first + 0.5 - passes(first, first - 1), last + 0.5 + passes(last, last + 1)];
}

function begin(mass, [first, last], window) {
  const sum = (each) => mass.reduce((total, ink, i) => total + each(ink, i), 0);
  const centre = sum((ink, i) => ink * (i + 0.5)) / sum((ink) => ink);
  return clip(centre - (CENTRE / SIDE) * window, last - window, first);
}
