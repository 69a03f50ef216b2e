// What the page shows of an answer, and what a screen reader is told.

import { SIDE } from "./drawing.js";

const QUIET_MS = 700; // after the last change, before it is said aloud
const HOW = matchMedia("(pointer: coarse)").matches
  ? "with a finger, or take a photo"
  : "with mouse, finger, pen or keyboard";

const element = (id) => document.getElementById(id);
const percent = (fraction) => `${(100 * fraction).toFixed(1)} %`;
const png = (base64) => `data:image/png;base64,${base64}`;

element("bars").innerHTML = Array.from({ length: 10 }, (_, digit) => `<li><span>${digit}</span>
  <span class="track" aria-hidden="true"><span class="fill"></span></span><span></span></li>`).join("");

let timer;
let chosen = 0; // of several digits, whose bars are shown

export function show(answer) {
  const several = answer?.digits ?? [];
  chosen = Math.min(chosen, Math.max(several.length - 1, 0));
  showVerdict(answer, several);
  showParts(answer, several);
  showBoxes(answer, several);
  showDetails(several[chosen] ?? answer);
  element("steps").hidden = !answer?.steps;
  if (answer?.steps) element("steps").firstElementChild.src = png(answer.steps);
  announce(answer, several);
}

function showVerdict(answer, several) {
  const digits = several.map((part) => part.digit ?? "?").join("");
  const digit = element("digit");
  digit.textContent = digits || (answer?.digit ?? "");
  digit.classList.toggle("long", digits.length > 1);
  digit.classList.toggle("unsure", answer?.note === "not sure");
  element("said").textContent = said(answer, several);
  element("note").textContent = answer ? `in ${Math.round(answer.ms)} ms` : HOW;
}

function said(answer, several) {
  if (!answer) return "Draw a digit";
  if (several.length) return answer.note;
  if (answer.probability == null) return answer.note === "blank" ? "Nothing to see" : answer.note;
  const sure = percent(answer.probability);
  return answer.note ? `Perhaps no digit; if one: ${answer.digit} (${sure})` : sure;
}

function showParts(answer, several) {
  const group = element("parts");
  const focused = [...group.children].indexOf(document.activeElement);
  group.replaceChildren(...several.map((part, index) => partButton(part, index, answer)));
  group.children[focused]?.focus();
}

function partButton(part, index, answer) {
  const button = document.createElement("button");
  button.append(Object.assign(new Image(28, 28), { src: png(part.seen), alt: "" }), part.digit ?? "?");
  button.setAttribute("aria-pressed", String(index === chosen));
  button.addEventListener("click", () => {
    chosen = index;
    show(answer);
  });
  return button;
}

// Where digits were found: said of several, and of a picture.
function showBoxes(answer, several) {
  const isPicture = answer && answer.place.width !== undefined;
  const found = several.length ? several : isPicture && answer.box ? [answer] : [];
  element("boxes").replaceChildren(...found.filter(({ box }) => box).map(({ box }) => {
    const { x, y, scale } = answer.place;
    const sides = box.map((side, i) => (100 * ((i % 2 ? y : x) + side * scale)) / SIDE);
    const frame = document.createElement("span");
    frame.style.inset = `${sides[1]}% ${100 - sides[2]}% ${100 - sides[3]}% ${sides[0]}%`;
    return frame;
  }));
}

function showDetails(digit) {
  const seen = element("seen");
  seen.hidden = !digit?.seen;
  if (digit?.seen) seen.src = png(digit.seen);
  [...element("bars").children].forEach((row, k) => {
    const [, track, value] = row.children;
    const fraction = digit?.probabilities?.[k] ?? 0;
    track.firstChild.style.width = `${100 * fraction}%`;
    value.textContent = digit?.probabilities ? percent(fraction) : "";
    row.classList.toggle("best", digit?.digit === k);
  });
}

function announce(answer, several) {
  clearTimeout(timer);
  const digits = several.length ? `: ${several.map((part) => part.digit).join(" ")}` : "";
  const sure = answer?.note === "" ? `${answer.digit}, ` : "";
  const text = sure + said(answer, several) + digits;
  timer = setTimeout(() => (element("live").textContent = text), QUIET_MS);
}
