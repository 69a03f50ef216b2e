// Pictures, as SVG.

const SVG = "http://www.w3.org/2000/svg";

function drawn(tag, attributes, parent, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function canvas(parent, width, height) {
  return drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, parent);
}

// Of a picture, so that its letters are as large on a phone as on a desktop.
const widthOf = (id) => Math.max(300, Math.min(720, one(id).clientWidth));

// Math.min(...numbers) fails above some 100,000 of them.
const extent = (numbers) => numbers.reduce(([a, b], n) => [Math.min(a, n), Math.max(b, n)], [Infinity, -Infinity]);

// A scale from values to pixels: numbers (by their logarithm where they span much), else words.
function scaleOf(values, from, to) {
  const known = values.filter((value) => value !== null && value !== undefined && value !== "");
  const numbers = known.map(Number);
  if (known.length === 0 || numbers.some((value) => !Number.isFinite(value))) {
    const words = [...new Set(known.map(String))].sort();
    const step = (to - from) / Math.max(1, words.length - 1);
    const at = (value) => (words.length === 1 ? (from + to) / 2 : from + step * words.indexOf(String(value)));
    return { at, ticks: words };
  }
  const [low, high] = extent(numbers);
  const isLog = low > 0 && high / low > 20;
  const bend = isLog ? Math.log : (value) => value;
  const span = bend(high) - bend(low);
  const at = (value) => (span ? from + ((bend(Number(value)) - bend(low)) / span) * (to - from) : (from + to) / 2);
  const each = [...new Set(numbers)].sort((a, b) => a - b);
  const ticks = each.length <= 6 ? each : [low, ...[1, 2, 3].map((i) => {
    const part = bend(low) + (span * i) / 4;
    return isLog ? Math.exp(part) : part;
  }), high];
  return { at, ticks };
}

const short = (value) => (typeof value === "number" ? String(Number(value.toPrecision(3))) : value);

function colourOf(rank, count) {
  const share = Math.max(0, 100 - Math.round((100 * (rank - 1)) / Math.max(1, Math.min(count, 20))));
  return `color-mix(in oklab, var(--good) ${share}%, var(--poor))`;
}

function telling(node, text, all) {
  const tip = one("tip");
  node.addEventListener("pointerenter", () => {
    node.classList.add("hot");
    if (all) node.parentNode.append(node);
    tip.textContent = text;
    tip.hidden = false;
  });
  node.addEventListener("pointermove", (event) => {
    tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${event.clientY + 14}px`;
  });
  node.addEventListener("pointerleave", () => { node.classList.remove("hot"); tip.hidden = true; });
}

const named = (row) => `${Object.entries(row.settings).map(([k, v]) => `${k}=${v}`).join(" ")}: ${number(row.score)}`;

function leftAxis(svg, scale, x, right) {
  for (const tick of scale.ticks) {
    drawn("line", { x1: x, x2: right, y1: scale.at(tick), y2: scale.at(tick), class: "axis" }, svg);
    drawn("text", { x: x - 6, y: scale.at(tick) + 4, "text-anchor": "end" }, svg, short(tick));
  }
}

function bottomAxis(svg, scale, y, title) {
  for (const tick of scale.ticks) {
    drawn("text", { x: scale.at(tick), y: y + 16, "text-anchor": "middle" }, svg, short(tick));
  }
  drawn("text", { x: scale.middle, y: y + 32, "text-anchor": "middle" }, svg, title);
}

function parallel() {
  const rows = data.groups.filter((row) => row.score !== null);
  const names = [...data.differing, titled(data.metric || "")];
  if (!rows.length || !data.differing.length) return one("parallel").closest("section").remove();
  const width = Math.max(480, 150 * names.length), height = 260; // wider than a phone: it scrolls
  const svg = canvas(one("parallel"), width, height);
  svg.style.maxWidth = `${width * 1.2}px`;
  svg.style.minWidth = `${width}px`;
  const values = names.map((name, i) => rows.map((row) => (i < data.differing.length ? row.settings[name] : row.score)));
  const scales = values.map((column) => scaleOf(column, height - 20, 34));
  const x = (i) => 70 + (i * (width - 140)) / Math.max(1, names.length - 1);
  [...rows].reverse().forEach((row, back) => {
    const index = rows.length - 1 - back;
    const path = names.map((_, i) => `${i ? "L" : "M"}${x(i)} ${scales[i].at(values[i][index])}`).join("");
    telling(drawn("path", { d: path, stroke: colourOf(row.rank || rows.length, rows.length) }, svg), named(row));
  });
  names.forEach((name, i) => {
    drawn("line", { x1: x(i), x2: x(i), y1: 28, y2: height - 16, class: "axis" }, svg);
    drawn("text", { x: x(i), y: 16, "text-anchor": "middle" }, svg, name);
    const step = Math.ceil(scales[i].ticks.length / 14);
    scales[i].ticks.forEach((tick, n) => n % step || drawn("text", { x: x(i) + 5, y: scales[i].at(tick) + 4 }, svg, short(tick)));
  });
}

function slices() {
  const rows = data.jobs.filter((row) => row.score !== null);
  const names = data.differing;
  if (!rows.length || !names.length) return one("slices").closest("section").remove();
  const y = scaleOf(rows.map((row) => row.score), 170, 14);
  for (const name of names) {
    const svg = canvas(one("slices"), 320, 214);
    const x = scaleOf(rows.map((row) => row.settings[name]), 70, 290);
    x.middle = 180;
    leftAxis(svg, y, 52, 308);
    bottomAxis(svg, x, 172, name);
    const byValue = Map.groupBy ? Map.groupBy(rows, (row) => row.settings[name]) : new Map();
    for (const row of rows) {
      const dot = { cx: x.at(row.settings[name]), cy: y.at(row.score), r: 3.2, fill: "var(--good)", opacity: 0.55 };
      telling(drawn("circle", dot, svg), named(row));
    }
    for (const [value, members] of byValue) {
      const scores = members.map((row) => row.score);
      const mean = scores.reduce((a, b) => a + b) / scores.length;
      const at = x.at(value);
      drawn("line", { x1: at - 9, x2: at + 9, y1: y.at(mean), y2: y.at(mean), stroke: "var(--ink)", "stroke-width": 2 }, svg);
      if (scores.length < 2) continue;
      const spread = Math.sqrt(scores.reduce((a, b) => a + (b - mean) ** 2, 0) / (scores.length - 1));
      const clip = (score) => Math.min(180, Math.max(4, y.at(score)));
      drawn("line", { x1: at, x2: at, y1: clip(mean - spread), y2: clip(mean + spread), stroke: "var(--ink)" }, svg);
    }
  }
}

function progress() {
  const rows = data.jobs.filter((row) => row.score !== null && row.ended);
  if (rows.length < 2) return one("progress").closest("section").remove();
  rows.sort((a, b) => (a.ended < b.ended ? -1 : 1));
  const width = widthOf("progress");
  const svg = canvas(one("progress"), width, 240);
  const x = scaleOf([1, rows.length], 60, width - 20), y = scaleOf(rows.map((row) => row.score), 190, 14);
  x.middle = (40 + width) / 2;
  leftAxis(svg, y, 56, width - 16);
  bottomAxis(svg, x, 192, "jobs, in the order they ended");
  let best = rows[0].score, path = "";
  rows.forEach((row, i) => {
    telling(drawn("circle", { cx: x.at(i + 1), cy: y.at(row.score), r: 3, fill: "var(--quiet)", opacity: 0.6 }, svg), named(row));
    best = data.less ? Math.min(best, row.score) : Math.max(best, row.score);
    path += i ? `H${x.at(i + 1)}V${y.at(best)}` : `M${x.at(1)} ${y.at(best)}`;
  });
  drawn("path", { d: path, stroke: "var(--good)", "stroke-width": 2 }, svg);
}

function curves() {
  const rows = data.jobs.filter((row) => row.curve.length > 1);
  if (!rows.length) return one("curves").closest("section").remove();
  const width = widthOf("curves");
  const svg = canvas(one("curves"), width, 280);
  const epochs = rows.flatMap((row) => row.curve.map((point) => point[0] + 1));
  const scores = rows.flatMap((row) => row.curve.map((point) => point[1]));
  const x = scaleOf(extent(epochs), 60, width - 20), y = scaleOf(scores, 230, 14);
  x.middle = (40 + width) / 2;
  leftAxis(svg, y, 56, width - 16);
  bottomAxis(svg, x, 232, `epoch (${data.curve})`);
  for (const row of [...rows].sort((a, b) => (b.rank || 1e9) - (a.rank || 1e9))) {
    const path = row.curve.map((point, i) => `${i ? "L" : "M"}${x.at(point[0] + 1)} ${y.at(point[1])}`).join("");
    telling(drawn("path", { d: path, stroke: colourOf(row.rank || 20, data.groups.length), opacity: 0.8 }, svg), named(row));
  }
}

function header() {
  document.title = data.title;
  one("title").textContent = data.title;
  one("best").textContent = data.best;
  one("counts").textContent = Object.entries(data.counts).map(([kind, count]) => `${count} ${kind}`).join(", ");
  for (const [kind, count] of Object.entries(data.counts)) {
    made("span", null, one("status"), kind).style.flexGrow = count;
  }
  one("status").setAttribute("aria-label", one("counts").textContent);
  if (data.more) one("counts").textContent += `; the best ${data.jobs.length} are here, all in leaderboard.csv`;
  one("means-label").hidden = !hasMeans;
  one("over").textContent = data.over;
  one("means").onchange = fillTable;
}

for (const part of [header, fillTable, parallel, slices, progress, curves]) part();
