"use strict";
// The sortable table. All that comes from the sweep is set as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const one = (id) => document.getElementById(id);

function made(tag, text, parent, name) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (name) node.className = name;
  if (parent) parent.append(node);
  return node;
}

function number(value) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(1) : value.toFixed(4).replace(/(\.\d)000$/, "$1");
}

const titled = (name) => (name.endsWith("_best") ? `best ${name.slice(0, -5)}` : name);

function columnsOf(byMeans) {
  const setting = (name) => ({ title: name, of: (row) => row.settings[name], text: true });
  const names = byMeans ? data.differing : [...data.differing, ...data.replicates];
  const columns = [{ title: "rank", of: (row) => row.rank }, ...names.map(setting)];
  data.columns.forEach((name, i) => {
    columns.push({ title: titled(name), of: (row) => row.values[name] });
    if (i === 0 && byMeans) {
      columns.push({ title: "±", of: (row) => row.spread }, { title: data.over === "seeds" ? "seeds" : "n", of: (row) => row.n });
      columns.push({ title: "against best", of: (row) => row.difference }, { title: "its 95 %", of: (row) => row.interval || "–", text: true });
    }
  });
  columns.push({ title: "seconds", of: (row) => row.seconds && Number(row.seconds.toFixed(1)) });
  if (!byMeans) columns.push({ title: "job", of: (row) => row.name, text: true });
  columns.push({ title: "status", of: (row) => row.status, text: true });
  return columns;
}

function compared(a, b) {
  const [x, y] = [Number(a), Number(b)];
  if (a === b) return 0;
  if (a === null || a === undefined || a === "") return 2; // what is missing comes last
  if (b === null || b === undefined || b === "") return -2;
  if (!Number.isNaN(x) && !Number.isNaN(y)) return Math.sign(x - y);
  return String(a) < String(b) ? -1 : 1;
}

const hasMeans = data.replicates.length > 0 && data.differing.length > 0;
const sorting = { title: "rank", way: 1 };

function fillTable() {
  const byMeans = hasMeans && one("means").checked;
  const rows = [...(byMeans ? data.groups : data.jobs)];
  const columns = columnsOf(byMeans);
  const by = columns.find((column) => column.title === sorting.title) || columns[0];
  rows.sort((a, b) => {
    const way = compared(by.of(a), by.of(b));
    return Math.abs(way) === 2 ? way : way * sorting.way;
  });
  const table = one("table");
  table.replaceChildren();
  const head = made("tr", null, made("thead", null, table));
  for (const column of columns) {
    const cell = made("th", null, head);
    const button = made("button", column.title, cell);
    if (column === by) cell.setAttribute("aria-sort", sorting.way > 0 ? "ascending" : "descending");
    button.onclick = () => {
      sorting.way = sorting.title === column.title ? -sorting.way : 1;
      sorting.title = column.title;
      fillTable();
    };
  }
  const body = made("tbody", null, table);
  for (const row of rows) addRow(row, columns, body);
}

function addRow(row, columns, body) {
  const line = made("tr", null, body, row.rank === 1 ? "row first" : "row");
  line.tabIndex = 0;
  for (const column of columns) {
    const value = column.of(row);
    made("td", column.text ? value : number(value), line, column.text ? "text" : "");
  }
  const open = () => {
    const next = line.nextSibling;
    line.classList.toggle("open");
    if (next && next.classList.contains("detail")) return next.remove();
    const detail = document.createElement("tr");
    detail.className = "detail";
    line.after(detail);
    const cell = made("td", null, detail);
    cell.colSpan = columns.length;
    for (const name of row.jobs || [row.name]) addJob(data.jobs.find((job) => job.name === name), cell);
  };
  line.onclick = open;
  line.onkeydown = (event) => event.key === "Enter" && open();
}

function addJob(job, cell) {
  const list = made("dl", null, cell);
  const pair = (name, value) => { made("dt", name, list); return made("dd", value, list); };
  pair("job", `${job.name}, ${job.status}`);
  if (job.line) pair("why", job.line);
  pair("settings", Object.entries(job.settings).map(([k, v]) => `${k}=${v}`).join(" "));
  pair("measured", Object.entries(job.values).map(([k, v]) => `${titled(k)} ${number(v)}`).join(", "));
  const files = pair("files", "");
  for (const file of job.files) {
    const link = made("a", file, files);
    link.href = `${job.folder}/${file}`;
    files.append(" ");
  }
}
