// A picture as the drawing keeps it: small, with where it goes and which ink shows on it.

const KEPT_SIDE = 840; // pixels; the server gets the file itself

// Rejects a file that the browser can't show.
export async function picture(file, side) {
  const whole = await createImageBitmap(file);
  const fit = side / Math.max(whole.width, whole.height);
  const [width, height] = [whole.width * fit, whole.height * fit];
  const place = { x: (side - width) / 2, y: (side - height) / 2, width, height, scale: fit };
  const few = Math.min(1, KEPT_SIDE / Math.max(whole.width, whole.height));
  const kept = new OffscreenCanvas(Math.ceil(whole.width * few), Math.ceil(whole.height * few));
  const context = kept.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, kept.width, kept.height);
  context.drawImage(whole, 0, 0, kept.width, kept.height);
  whole.close();
  const paper = colourOf(context.getImageData(0, 0, kept.width, kept.height));
  const ink = brightness(paper) > 382 ? "#15171c" : "#f4f5f7";
  return { picture: kept, file, place, ink, paper: `rgb(${paper})` };
}

const brightness = ([red, green, blue]) => red + green + blue;

// The colour of most of a part of a picture: its median by brightness.
export function colourOf({ data }) {
  const [colours, step] = [[], 4 * Math.ceil(data.length / 8000)]; // 2000 pixels are enough
  for (let i = 0; i < data.length; i += step) {
    if (data[i + 3]) colours.push(data.subarray(i, i + 3)); // outside of the canvas it is 0
  }
  colours.sort((a, b) => brightness(a) - brightness(b));
  return colours[colours.length >> 1];
}
