// The network's view: of the drawing itself while one draws, then of what the answer says was seen.
// Of pictures it is that alone.

import { glyphs, grey } from "./glyph.js";
import { Network } from "./network.js";
import { asking, drawing } from "./page.js";
import { View } from "./view.js";

const SIDE = 96; // fine enough while it moves
const NOTHING = new Uint8Array(784);
const seen = document.getElementById("seen");
const copy = new OffscreenCanvas(28, 28).getContext("2d", { willReadFrequently: true });

function drawn() {
  const image = drawing.copy(SIDE).getImageData(0, 0, SIDE, SIDE);
  return glyphs(grey(image))[0]?.pixels ?? NOTHING;
}

function answered() {
  if (seen.hidden) return NOTHING;
  copy.drawImage(seen, 0, 0, 28, 28);
  return grey(copy.getImageData(0, 0, 28, 28)).data;
}

async function begin(section) {
  const response = await fetch("network");
  if (!response.ok) return null; // a model of another kind
  const view = new View(section, new Network(await response.arrayBuffer()));
  section.querySelector("details").open = matchMedia("(min-width: 46rem)").matches;
  section.hidden = false;
  drawing.addEventListener("change", () => drawing.isPicture || view.show(drawn));
  seen.addEventListener("load", () => {
    if (drawing.isPicture || !asking.isAsking) view.show(answered);
  });
  asking.addEventListener("answer", () => seen.hidden && view.show(answered));
  return view;
}

export const ready = begin(document.getElementById("network"));
