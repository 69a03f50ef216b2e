// Which ink is of one digit: what touches, and what is a little above or below it. The server knows
// more about strokes: digits/images/strokes.py.

import { extent } from "./glyph.js";

const [INKED, ACROSS, DOWN] = [0.3, 2, 0.12]; // pixels; of the height of all

const longer = ([left, upper, right, lower]) => Math.max(right - left, lower - upper);

// The ink of each digit, in reading order, without specks.
export function separate(ink) {
  const [left, [, upper, , lower]] = [{ ...ink, data: ink.data.slice() }, extent(ink)];
  const groups = [];
  for (let pixel = 0; pixel < ink.data.length; pixel++) {
    if (left.data[pixel] > INKED) groups.push(taken(left, pixel, Math.round(DOWN * (lower - upper))));
  }
  const longest = Math.max(...groups.map(({ box }) => longer(box)));
  return groups.filter(({ box }) => longer(box) > 0.35 * longest).sort(inOrder);
}

// Takes from `left` what is near to a pixel, and near to that, and so on.
function taken({ width, height, data }, first, reach) {
  const [pixels, made] = [[first], new Float32Array(data.length)]; // `pixels` grow while they are read
  for (const pixel of pixels) {
    const x = pixel % width;
    for (let u = Math.max(x - ACROSS, 0); u <= Math.min(x + ACROSS, width - 1); u++) {
      const middle = pixel - x + u;
      for (let near = middle - reach * width; near <= middle + reach * width; near += width) {
        if (!data[near]) continue;
        [made[near], data[near]] = [data[near], 0];
        pixels.push(near);
      }
    }
  }
  return { width, height, data: made, box: extent({ width, height, data: made }) };
}

// Line by line, each from left to right.
function inOrder({ box: one }, { box: other }) {
  if (one[3] <= (other[1] + other[3]) / 2) return -1;
  return other[3] <= (one[1] + one[3]) / 2 ? 1 : one[0] - other[0];
}
