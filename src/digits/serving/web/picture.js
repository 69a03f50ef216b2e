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
  kept.getContext("2d").drawImage(whole, 0, 0, kept.width, kept.height);
  const mean = new OffscreenCanvas(1, 1).getContext("2d");
  mean.fillStyle = "#fff";
  mean.fillRect(0, 0, 1, 1);
  mean.imageSmoothingQuality = "high";
  mean.drawImage(whole, 0, 0, 1, 1);
  whole.close();
  const [red, green, blue] = mean.getImageData(0, 0, 1, 1).data;
  const ink = red + green + blue > 382 ? "#15171c" : "#f4f5f7";
  return { picture: kept, file, place, ink, paper: `rgb(${red} ${green} ${blue})` };
}
