// Which network answers, and how good it is.

const line = document.getElementById("model");
const response = await fetch("healthz").catch(() => null);
if (response?.ok) tell(await response.json());

function tell({ model, test_accuracy: accuracy, test_images: images, report }) {
  const right = `${(100 * accuracy).toFixed(2)} % of ${images ? images.toLocaleString("en") : "the"} test images right`;
  line.textContent = accuracy == null ? `Read by ${model}` : `Read by ${model}: ${right}`;
  if (report) line.insertAdjacentHTML("beforeend", ', <a href="report">its report</a>');
  line.hidden = false;
}
