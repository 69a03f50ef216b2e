// An answer about a drawing, computed here: the served page's module of this name asks the server.

import { glyphs, grey } from "./glyph.js";
import { separate } from "./groups.js";
import { Network } from "./network.js";

const isSure = ({ probability }) => probability >= 0.5; // a part is a digit of its own
const NONE = { digit: null, probability: null, probabilities: null, seen: null };
const network = fetch("network").then((file) => file.arrayBuffer()).then((file) => new Network(file));

export async function ask(body) {
  if (body instanceof File) throw Object.assign(new Error("This page reads drawings, not pictures."), { code: 400 });
  const found = glyphs(grey(await opened(body)), separate);
  if (!found.length) return { ...NONE, note: "blank", box: null, digits: [] };
  const [whole, ...parts] = await Promise.all(found.map(read));
  const sure = parts.filter(isSure).length;
  if (2 * sure <= parts.length || (isSure(whole) && sure < parts.length)) return { ...whole, digits: [] };
  return { ...NONE, note: `${parts.length} digits`, box: whole.box, digits: parts };
}

async function opened(body) {
  const picture = await createImageBitmap(body);
  const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, picture.width, picture.height);
}

async function read({ pixels, box }) {
  const probabilities = [...(await network).read(pixels).probabilities];
  const probability = Math.max(...probabilities);
  const digit = probabilities.indexOf(probability);
  return { digit, probability, probabilities, note: "", box, seen: png(pixels) };
}

function png(pixels) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 28, height: 28 });
  const image = new ImageData(28, 28);
  pixels.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
}
