// What the page shows of an answer, and what a screen reader is told.

import { SIDE } from "./drawing.js";

const QUIET_MS = 700; // after the last change, before it is said aloud
const WORDS = { blank: "Nothing to see", "not sure": "Not sure" };

const element = (id) => document.getElementById(id);
const percent = (fraction) => `${(100 * fraction).toFixed(1)} %`;
const png = (base64) => `data:image/png;base64,${base64}`;

const rows = Array.from({ length: 10 }, (_, digit) => {
  const row = document.createElement("li");
  row.innerHTML = `<span>${digit}</span><span class="track"><span class="fill"></span></span><span></span>`;
  row.querySelector(".track").setAttribute("aria-hidden", "true");
  element("bars").append(row);
  return { row, fill: row.querySelector(".fill"), value: row.lastElementChild };
});

let timer;
let chosen = 0; // of several digits, whose bars are shown

export function show(answer) {
  const several = answer?.digits ?? [];
  chosen = Math.min(chosen, Math.max(several.length - 1, 0));
  showVerdict(answer, several);
  showParts(several);
  showBoxes(answer, several);
  showDetails(several[chosen] ?? answer);
  announce(answer, several);
}

function showVerdict(answer, several) {
  const digits = several.map((part) => part.digit ?? "?").join("");
  const digit = element("digit");
  digit.textContent = digits || (answer?.digit ?? "");
  digit.classList.toggle("long", digits.length > 1);
  digit.classList.toggle("unsure", answer?.note === "not sure");
  element("said").textContent = said(answer, several);
  const ms = answer ? `in ${Math.round(answer.ms)} ms` : "with mouse, finger, pen or keyboard";
  element("note").textContent = ms;
}

function said(answer, several) {
  if (!answer) return "Draw a digit";
  if (several.length) return answer.note;
  const words = WORDS[answer.note] ?? answer.note;
  if (answer.probability == null) return words;
  return words ? `${words}: ${percent(answer.probability)}` : percent(answer.probability);
}

function showParts(several) {
  const group = element("parts");
  const focused = [...group.children].indexOf(document.activeElement);
  group.replaceChildren(...several.map(partButton));
  group.children[focused]?.focus();
}

function partButton(part, index, several) {
  const button = document.createElement("button");
  const seen = new Image(28, 28);
  seen.src = png(part.seen);
  seen.alt = "";
  button.type = "button";
  button.append(seen, part.digit ?? "?");
  button.setAttribute("aria-pressed", String(index === chosen));
  button.addEventListener("click", () => {
    chosen = index;
    [...element("parts").children].forEach((each, i) =>
      each.setAttribute("aria-pressed", String(i === index)));
    showDetails(several[index]);
  });
  return button;
}

// Where digits were found: said of several, and of a picture.
function showBoxes(answer, several) {
  const isPicture = answer && answer.place.width !== undefined;
  const found = several.length ? several : isPicture && answer.box ? [answer] : [];
  element("boxes").replaceChildren(...found.filter(({ box }) => box).map(({ box }) => {
    const { x, y, scale } = answer.place;
    const [left, upper, right, lower] = box;
    const frame = document.createElement("span");
    const part = (units) => `${(100 * units) / SIDE}%`;
    frame.style.left = part(x + left * scale);
    frame.style.top = part(y + upper * scale);
    frame.style.width = part((right - left) * scale);
    frame.style.height = part((lower - upper) * scale);
    return frame;
  }));
}

function showDetails(digit) {
  const seen = element("seen");
  seen.hidden = !digit?.seen;
  if (digit?.seen) seen.src = png(digit.seen);
  rows.forEach(({ row, fill, value }, k) => {
    const fraction = digit?.probabilities?.[k] ?? 0;
    fill.style.width = `${100 * fraction}%`;
    value.textContent = digit?.probabilities ? percent(fraction) : "";
    row.classList.toggle("best", digit?.digit === k);
  });
}

function announce(answer, several) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const digits = several.map((part) => part.digit).join(" ");
    const one = answer?.digit == null ? said(answer, []) : `${answer.digit}, ${said(answer, [])}`;
    element("live").textContent = digits ? `${answer.note}: ${digits}` : answer ? one : "Empty";
  }, QUIET_MS);
}
