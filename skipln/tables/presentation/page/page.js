"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const AXES = { update: "updates", tokens: "target tokens", images: "images", wall: "seconds of training" };
const LEFT = 60, RIGHT = 16, TOP = 22, BOTTOM = 40, LETTER = 14; // the height of a name, pixels
const WIDE = 640; // a chart of so many pixels has room for the rows' names
const WIDE_RANGE = 100; // a loss that spans more than so many times its smallest value begins on a logarithmic axis
const NAMES = {
  "train/loss": "training loss (nats)", "train/nll": "training negative log-likelihood (nats per unit)",
  "valid/loss": "validation loss (nats)", lr: "learning rate", grad_norm: "gradient norm",
  tokens_per_second: "target tokens per second", images_per_second: "images per second",
};
const named = key => NAMES[key] ?? data.names[key] ?? key.replace("/", " ").replaceAll("_", " ");
const hidden = new Set();
let drawn = { curves: [] };

// Mean ± sample standard deviation at every update that any seed logged, over the seeds that got that far; x is
// averaged in the same way. `ends`: the last point of each run that diverged or is not finished.
function curve(row, column, metric, axis) {
  const runs = data.runs.filter(run => run.row === row && run.column === column);
  const seeds = [];
  for (const run of runs) {
    const group = run.groups.find(g => metric in g && axis in g);
    const line = group ? group.update.map((update, i) => ({ update, x: group[axis][i], y: group[metric][i] }))
      .filter(p => p.x !== null && p.y !== null) : [];
    if (line.length) seeds.push({ run, line, near: 0 });
  }
  const updates = [...new Set(seeds.flatMap(({ line }) => line.map(p => p.update)))].sort((a, b) => a - b);
  const points = updates.map(update => {
    const found = seeds.map(seed => between(seed, update)).filter(p => p);
    const n = found.length, mean = key => found.reduce((sum, p) => sum + p[key], 0) / n;
    const y = mean("y");
    const std = n > 1 ? Math.sqrt(found.reduce((sum, p) => sum + (p.y - y) ** 2, 0) / (n - 1)) : 0;
    return { update, x: mean("x"), y, std, n };
  });
  const ends = seeds.filter(({ run }) => run.unfinished || run.state === "diverged")
    .map(({ run, line }) => ({ run, ...points.find(p => p.update === line.at(-1).update) }));
  return { points, ends, seeds: seeds.map(({ line }) => line), diverged: runs.some(run => run.state === "diverged") };
}

// A seed's point at an update, by linear interpolation; null outside its range. Updates must come in ascending order.
function between(seed, update) {
  const { line } = seed;
  if (update < line[0].update || update > line.at(-1).update) return null;
  while (line[seed.near + 1]?.update <= update) seed.near++;
  const a = line[seed.near], b = line[seed.near + 1];
  if (!b) return a;
  const part = (update - a.update) / (b.update - a.update), mix = key => a[key] + part * (b[key] - a[key]);
  return { x: mix("x"), y: mix("y") };
}

// Split a curve into stretches whose means are over the same number of seeds.
function stretches(points) {
  const out = [];
  for (const p of points) p.n === out.at(-1)?.[0].n ? out.at(-1).push(p) : out.push([p]);
  return out;
}

function ticks(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find(m => m * power >= rough) * power, out = [];
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-12); i++) out.push(i * step);
  return out;
}

function logTicks(low, high) {
  const out = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
    for (const m of [1, 2, 5]) if (m * 10 ** e >= low && m * 10 ** e <= high) out.push(m * 10 ** e);
  return out.length > 1 ? out : ticks(low, high, 5);
}

const big = Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const number = v => v === 0 ? "0" : Math.abs(v) >= 1e4 ? big.format(v) : Math.abs(v) < 1e-3 ? v.toExponential(2) : String(+v.toPrecision(4));

function element(name, attributes, parent, text) {
  const node = document.createElementNS($("chart").namespaceURI, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

const style = place => ({ colour: `var(--c${place})`, dash: data.rows[place].dash.join(" ") });

function draw() {
  const chart = $("chart"), metric = $("metric").value, axis = $("axis").value, log = $("log").checked;
  const { width, height } = chart.getBoundingClientRect();
  chart.replaceChildren();
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const curves = data.rows.map((row, place) => ({ row, place, ...curve(row.name, $("column").value, metric, axis) }))
    .filter(c => c.points.length && !hidden.has(c.row.name));
  const named_here = width >= WIDE && curves.length * LETTER <= height - TOP - BOTTOM;
  const right = named_here ? Math.max(...curves.map(c => wide(c.row.label)), 0) + 12 : RIGHT;
  drawn = { curves, width, right };
  $("tip").hidden = true;
  const positive = v => !log || v > 0;
  const xs = curves.flatMap(c => c.points.map(p => p.x));
  // Rows that diverged do not set the range unless all rows did: an exploding loss would hide the rest.
  const calm = curves.filter(c => !c.diverged);
  const ys = (calm.length ? calm : curves).flatMap(c => c.points.flatMap(p => [p.y, p.y - p.std, p.y + p.std])).filter(positive);
  if (!ys.length) return void element("text", { x: LEFT, y: 40 }, chart, "No curves to show.");
  const fold = (f, list) => list.reduce((a, b) => f(a, b));
  let x0 = Math.min(0, fold(Math.min, xs)), x1 = fold(Math.max, xs), y0 = fold(Math.min, ys), y1 = fold(Math.max, ys);
  if (x1 === x0) x1 = x0 + 1;
  if (y1 === y0) [y0, y1] = log ? [y0 / 2, y1 * 2] : [y0 - 1, y1 + 1];
  const scale = log ? Math.log10 : v => v;
  const pad = (scale(y1) - scale(y0)) * .04, bottom = scale(y0) - pad, top = scale(y1) + pad;
  const X = v => LEFT + (v - x0) / (x1 - x0) * (width - LEFT - right);
  const Y = v => height - BOTTOM - (scale(v) - bottom) / (top - bottom) * (height - TOP - BOTTOM);
  Object.assign(drawn, { X, Y, height });

  for (const t of log ? logTicks(y0, y1) : ticks(y0, y1, 6)) {
    element("line", { class: "grid", x1: LEFT, x2: width - right, y1: Y(t), y2: Y(t) }, chart);
    element("text", { x: LEFT - 8, y: Y(t) + 4, "text-anchor": "end" }, chart, number(t));
  }
  for (const t of ticks(x0, x1, Math.max(2, width / 120)))
    element("text", { x: X(t), y: height - BOTTOM + 18, "text-anchor": "middle" }, chart, number(t));
  element("text", { x: (LEFT + width - right) / 2, y: height - 4, class: "x", "text-anchor": "middle" }, chart, AXES[axis]);
  element("text", { x: 4, y: 10, class: "y" }, chart, named(metric));

  const clip = element("clipPath", { id: "inside" }, chart);
  element("rect", { x: LEFT, y: 0, width: width - LEFT - right + 6, height: height - BOTTOM }, clip);
  const lines = element("g", { "clip-path": "url(#inside)" }, chart);
  const path = points => {
    const shown = points.filter(p => positive(p.y)).map(p => `${X(p.x).toFixed(1)},${Y(p.y).toFixed(1)}`);
    return shown.length ? "M" + shown.join("L") : "";
  };
  for (const c of curves) {
    const { colour, dash } = style(c.place);
    const parts = stretches(c.points);
    for (const part of parts) {
      const shown = part.filter(p => p.n > 1 && positive(p.y - p.std));
      const edge = (list, sign) => list.map(p => ({ x: p.x, y: p.y + sign * p.std }));
      if (shown.length) element("path", { class: "band", fill: colour, d: path([...edge(shown, 1), ...edge(shown, -1).reverse()]) + "Z" }, lines);
    }
    if ($("seeds").checked) for (const line of c.seeds) element("path", { class: "seed", stroke: colour, d: path(line) }, lines);
    element("path", { class: "curve", "data-row": c.row.name, stroke: colour, "stroke-dasharray": dash, d: parts.map(path).join("") }, lines);
    if (c.points.length === 1) element("circle", { r: 3, fill: colour, cx: X(c.points[0].x), cy: Y(c.points[0].y) }, lines);
    for (const end of c.ends) {
      const x = X(end.x), y = Math.min(height - BOTTOM, Math.max(TOP, positive(end.y) ? Y(end.y) : height));
      if (end.run.unfinished) element("circle", { class: "open", stroke: colour, r: 4, cx: x, cy: y }, chart);
      else element("text", { class: "end", style: `fill: ${colour}`, x, y: y + 5, "text-anchor": "middle" }, chart, "×");
    }
  }
  if (named_here) {
    const ends = curves.map(c => ({ c, y: c.points.at(-1).y })).map(({ c, y }) => ({ c, y: positive(y) ? Y(y) : height }));
    for (const { c, y } of apart(ends, TOP, height - BOTTOM))
      element("text", { class: "name", style: `fill: color-mix(in srgb, ${style(c.place).colour} 75%, var(--ink))`, x: width - right + 8, y: y + 4 }, chart, c.row.label);
  }
  drawn.cross = element("line", { class: "cross", y1: TOP, y2: height - BOTTOM, visibility: "hidden" }, chart);
}

// How many pixels wide a name is.
function wide(name) {
  const text = element("text", { class: "name" }, $("chart"), name), width = text.getComputedTextLength();
  text.remove();
  return width;
}

// Names from the top down, each near its line's end, a letter's height apart and between top and bottom.
function apart(ends, top, bottom) {
  const inside = ends.map(end => ({ ...end, y: Math.min(bottom, Math.max(top, end.y)) })).sort((a, b) => a.y - b.y);
  for (let i = 1; i < inside.length; i++) inside[i].y = Math.max(inside[i].y, inside[i - 1].y + LETTER);
  let floor = bottom;
  for (const end of inside.toReversed()) { end.y = Math.min(end.y, floor); floor = end.y - LETTER; }
  return inside;
}

function hover(event) {
  if (!drawn.cross) return;
  const x = Math.min(event.clientX - $("chart").getBoundingClientRect().left, drawn.width - drawn.right); // names: the ends
  const near = list => list.reduce((a, b) => Math.abs(drawn.X(b.x) - x) < Math.abs(drawn.X(a.x) - x) ? b : a);
  const found = drawn.curves.map(c => ({ c, p: near(c.points) })).filter(f => Math.abs(drawn.X(f.p.x) - x) < 40);
  const tip = $("tip");
  tip.hidden = !found.length;
  drawn.cross.setAttribute("visibility", found.length ? "visible" : "hidden");
  if (!found.length) return;
  const at = near(found.map(f => f.p)).x;
  drawn.cross.setAttribute("x1", drawn.X(at));
  drawn.cross.setAttribute("x2", drawn.X(at));
  const lines = found.sort((a, b) => b.p.y - a.p.y).map(({ c, p }) => {
    const line = document.createElement("tr"), label = line.insertCell();
    label.append(swatch(c.place), ` ${c.row.label}`);
    line.insertCell().textContent = number(p.y) + (p.n > 1 ? ` ± ${number(p.std)} (n=${p.n})` : "");
    line.insertCell().textContent = `at ${number(p.x)}`;
    return line;
  });
  const table = document.createElement("table");
  table.append(...lines);
  tip.replaceChildren(table);
  const late = x > drawn.width / 2;
  tip.style.left = late ? `${LEFT + 8}px` : "";
  tip.style.right = late ? "" : `${drawn.right + 8}px`;
}

function swatch(place) {
  const { colour, dash } = style(place), icon = element("svg", { width: 26, height: 10, "aria-hidden": "true" });
  element("line", { x1: 0, x2: 26, y1: 5, y2: 5, stroke: colour, "stroke-width": 3, "stroke-dasharray": dash }, icon);
  return icon;
}

function legend() {
  data.rows.forEach((row, place) => {
    const label = document.createElement("label"), box = document.createElement("input");
    const runs = data.runs.filter(run => run.row === row.name), states = {};
    for (const run of runs) if (run.state !== "done") states[run.state] = (states[run.state] ?? 0) + 1;
    const said = Object.entries(states).map(([state, count]) => `${count} ${state}`).join(", ");
    box.type = "checkbox";
    box.checked = true;
    box.name = row.name;
    box.addEventListener("change", () => { box.checked ? hidden.delete(row.name) : hidden.add(row.name); draw(); });
    label.className = runs.length ? "" : "none";
    label.append(box, swatch(place), row.label + (runs.length ? said && ` (${said})` : " (no run)"));
    $("rows").append(label);
  });
  for (const [id, shown] of [["all", true], ["none", false]]) $(id).addEventListener("click", () => {
    for (const box of $("rows").querySelectorAll("input")) {
      box.checked = shown;
      shown ? hidden.delete(box.name) : hidden.add(box.name);
    }
    draw();
  });
}

function configurations() {
  const keys = [...new Set(data.configs.flatMap(c => Object.keys(c.config)))];
  const differs = new Set(keys.filter(key => new Set(data.configs.map(c => JSON.stringify(c.config[key]))).size > 1));
  for (const { title, command, hash, config } of data.configs) {
    const box = document.createElement("details"), list = document.createElement("dl");
    box.append(Object.assign(document.createElement("summary"), { textContent: `${title} (run ${hash})` }));
    box.append(Object.assign(document.createElement("pre"), { textContent: command }));
    for (const key in config) {
      const line = document.createElement("div");
      line.append(Object.assign(document.createElement("dt"), { textContent: `${key}: ` }));
      line.append(Object.assign(document.createElement("dd"), { textContent: JSON.stringify(config[key]) }));
      if (differs.has(key)) line.className = "differs";
      list.append(line);
    }
    box.append(list);
    $("configs").append(box);
  }
}

function choices(id, list) {
  for (const [value, label] of list) $(id).append(new Option(label, value));
  $(id).addEventListener("change", () => { if (id !== "axis") suit(); draw(); });
}

// One row may end at thousands of nats: its loss begins on a logarithmic axis, on which the others stay apart.
function suit() {
  const metric = $("metric").value;
  const curves = data.rows.map(row => curve(row.name, $("column").value, metric, $("axis").value));
  const ys = curves.filter(c => !c.diverged).flatMap(c => c.points.map(p => p.y));
  const [low, high] = [Math.min, Math.max].map(f => ys.reduce((a, b) => f(a, b), ys[0]));
  $("log").checked = metric.endsWith("/loss") && low > 0 && high > WIDE_RANGE * low;
}

// The answer is that of the column whose curves are shown: on a phone, those of all columns would fill the first view.
function tell() {
  for (const said of $("answer").children) said.hidden = said.dataset.column !== $("column").value;
}

document.querySelector("h1").textContent = document.title;
// The rows' colours as --c0, --c1, …, for light and dark mode: one hue per family, one shade per λ.
const looks = which => data.rows.map((row, place) => `--c${place}: ${row[which]};`).join("");
document.head.append(Object.assign(document.createElement("style"), {
  textContent: `:root { ${looks("colour")} } @media (prefers-color-scheme: dark) { :root { ${looks("dark")} } }`,
}));
choices("metric", data.metrics.map(key => [key, named(key)]));
choices("axis", data.axes.map(key => [key, AXES[key]]));
choices("column", data.columns.map(c => [c.name, c.label]));
$("column-choice").hidden = data.columns.length < 2;
$("column").addEventListener("change", tell);
for (const id of ["log", "seeds"]) $(id).addEventListener("change", draw);
$("controls").addEventListener("submit", event => event.preventDefault());
$("chart").addEventListener("pointermove", hover);
$("chart").addEventListener("pointerleave", () => { $("tip").hidden = true; drawn.cross?.setAttribute("visibility", "hidden"); });
tell();
suit();
new ResizeObserver(draw).observe($("chart"));
legend();
configurations();
