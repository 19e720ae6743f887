// How did the answer come about? Strata (position over forward) and, beneath, a bar per forward.

import { colourOf } from "./colours.js";
import { blocksOf, born, counts, refreshes, windowAfter, written } from "./recording.js";

const LEFT = 46;
const RIGHT = 10;
const TOP = 14; // room for the triangles of refreshes
const GAP = 16;
const BAR = 38; // height of the tallest bar
const AXIS = 18;
const LINE = 11; // least distance of two labels
const TICKS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

function shape(parent, name, attributes, kind) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (kind) node.setAttribute("class", kind);
  parent.append(node);
  return node;
}

const label = (parent, x, y, text, kind = "") => {
  shape(parent, "text", { x, y }, kind).textContent = text;
};

/**
 * Draw a recording inside `root`, with room for `columns` forwards.
 * Returns {paint(step)}; `seek(step)` is called when somebody points at a forward.
 */
export function traceIn(root, recording, columns, seek) {
  const width = Math.max(240, root.clientWidth || 600);
  const { length } = recording.start;
  const high = length <= 64 ? 4 : width < 700 ? 2 : 2.5; // of a position
  const rows = length * (length <= 110 ? high : Math.max(0.6, 220 / length));
  const scale = {
    width,
    rows,
    length,
    columns: Math.max(1, columns),
    x: (step) => LEFT + (step / Math.max(1, columns)) * (width - LEFT - RIGHT),
    y: (at) => TOP + (at / length) * rows,
    bars: TOP + rows + GAP + BAR,
  };
  const height = scale.bars + BAR + AXIS;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", inWords(recording));
  windows(svg, recording, scale, "window");
  strata(svg, recording, scale);
  borders(svg, recording, scale);
  windows(svg, recording, scale, "frontier");
  bars(svg, recording, scale);
  axis(svg, recording, scale);
  const paint = playhead(svg, recording, scale, height);
  root.replaceChildren(svg);
  svg.onpointerdown = (event) => {
    const go = (moved) => {
      const box = svg.getBoundingClientRect();
      const share = (moved.clientX - box.left - LEFT) / (width - LEFT - RIGHT);
      seek(Math.ceil(Math.min(1, Math.max(0, share)) * scale.columns));
    };
    go(event);
    svg.setPointerCapture(event.pointerId);
    svg.onpointermove = go;
    svg.onpointerup = svg.onpointercancel = () => (svg.onpointermove = null);
  };
  return { paint };
}

function inWords(recording) {
  const { forwards } = recording;
  if (!forwards.length) return "Strata: nothing decoded yet";
  const refreshed = forwards.filter((forward) => refreshes(recording, forward)).length;
  return (
    `Strata of ${recording.start.length} positions over ${forwards.length} forwards; ` +
    `tokens written in each: ${written(recording).join(", ")}; the cache was refreshed ${refreshed} times`
  );
}

/** Where each forward could write; forwards with the same window are one rectangle. */
function windows(svg, recording, { x, y, length }, part) {
  const places = recording.forwards.map((_, index) => windowAfter(recording, index));
  const end = (place) => (part === "frontier" ? place.to : place.stop);
  const key = (place) => place && `${place.from}/${end(place)}`;
  for (let index = 0; index < places.length; ) {
    const place = places[index];
    let next = index + 1;
    while (next < places.length && key(places[next]) === key(place)) next += 1;
    if (place) {
      const stop = Math.min(length, end(place));
      const [top, high] = [y(place.from), y(stop) - y(place.from)];
      shape(svg, "rect", { x: x(index), y: top, width: x(next) - x(index), height: high }, part);
    }
    index = next;
  }
}

function borders(svg, recording, { x, y, columns, length }) {
  let last = -Infinity;
  for (const [from] of [...blocksOf(recording), [length]]) {
    if (y(from) - last < LINE) continue; // too many to tell apart
    shape(svg, "line", { x1: LEFT - 4, x2: x(columns), y1: y(from), y2: y(from) }, "border");
    label(svg, LEFT - 7, y(from) + 3.5, from, "end");
    last = y(from);
  }
}

function strata(svg, recording, { x, y, length }) {
  const steps = recording.forwards.length;
  const thick = y(1) - y(0);
  for (const cell of recording.cells) {
    const first = born(cell);
    if (first === null) continue;
    const top = y(cell.at);
    if (first === 0) {
      shape(svg, "rect", { x: x(0), y: top, width: x(steps) - x(0), height: thick }, "given");
      continue;
    }
    const kind = counts(recording, cell) ? "stratum" : "stratum padding";
    const { fill } = colourOf(first, steps);
    const from = x(first - 1);
    const stand = { x: from, y: top, width: x(steps) - from, height: thick };
    shape(svg, "rect", stand, kind).style.setProperty("--fill", fill);
    const birth = { ...stand, width: Math.min(x(first) - from, 28) };
    shape(svg, "rect", birth, `${kind} birth`).style.setProperty("--fill", fill);
  }
  const bottom = y(length);
  if (recording.done && steps) {
    shape(svg, "line", { x1: x(steps), x2: x(steps), y1: y(0), y2: bottom }, "finish");
  }
}

function bars(svg, recording, { x, bars: base, columns }) {
  const { forwards } = recording;
  const tokens = written(recording);
  const most = Math.max(1, ...tokens);
  const dearest = Math.max(1, ...forwards.map((forward) => forward.fed + (forward.read ?? 0)));
  const wide = x(1) - x(0);
  const thick = Math.min(34, Math.max(1, wide * 0.78));
  forwards.forEach((forward, index) => {
    const from = x(index) + (wide - thick) / 2;
    const up = (tokens[index] / most) * (BAR - 4);
    const fill = colourOf(index + 1, forwards.length).fill;
    shape(svg, "rect", { x: from, y: base - up, width: thick, height: up, fill }, "wrote");
    const fed = (forward.fed / dearest) * (BAR - 4);
    const read = ((forward.read ?? 0) / dearest) * (BAR - 4);
    shape(svg, "rect", { x: from, y: base + 2, width: thick, height: fed }, "fed");
    shape(svg, "rect", { x: from, y: base + 2 + fed, width: thick, height: read }, "read");
    if (thick > 20 && tokens[index]) label(svg, from + thick / 2, base - up - 3, tokens[index], "middle");
    if (!refreshes(recording, forward)) return;
    const middle = x(index) + wide / 2;
    const size = Math.min(5, Math.max(2.5, wide * 0.45));
    const points = `${middle - size},${TOP - 10} ${middle + size},${TOP - 10} ${middle},${TOP - 3}`;
    shape(svg, "polygon", { points }, "refresh");
  });
  shape(svg, "line", { x1: LEFT, x2: x(columns), y1: base + 1, y2: base + 1 }, "base");
  label(svg, LEFT - 7, base - 8, "wrote", "end");
  label(svg, LEFT - 7, base + 15, "fed", "end");
}

function axis(svg, recording, { x, bars: base, columns, width }) {
  const room = (width - LEFT - RIGHT) / columns;
  const every = TICKS.find((tick) => tick * room >= 26) ?? columns;
  const y = base + BAR + 13;
  label(svg, LEFT - 7, y, "forward", "end");
  for (let step = 1; step <= columns; step += 1) {
    if (step % every && !(step === 1 && every < 3)) continue;
    label(svg, x(step - 0.5), y, step, "middle");
  }
}

function playhead(svg, recording, { x, columns, bars: base }, height) {
  const veil = shape(svg, "rect", { y: 0, height: base + BAR + 2 }, "veil");
  const line = shape(svg, "line", { y1: TOP - 4, y2: height - AXIS + 2 }, "playhead");
  return (step) => {
    const here = x(Math.min(step, recording.forwards.length));
    veil.setAttribute("x", here);
    veil.setAttribute("width", Math.max(0, x(columns) - here + 1));
    line.setAttribute("x1", here);
    line.setAttribute("x2", here);
  };
}
