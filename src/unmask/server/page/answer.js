// What does the answer look like after a forward? Its tokens, block by block, masked or coloured.

import { colourOf } from "./colours.js";
import { blocksOf, born, counts, seen, windowOf } from "./recording.js";

const UNKNOWN = 3; // width of a mask whose token nobody knows yet, in letters

const make = (name, kind) => Object.assign(document.createElement(name), { className: kind });
const isWide = (letter) => /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f300}-\u{1faff}]/u.test(letter);
const width = (text) => [...text].reduce((sum, letter) => sum + (isWide(letter) ? 2 : 1), 0);

/** Text of a token as it is drawn: {before: spaces, word, breaks: whether a line ends behind it}. */
function drawn(version) {
  if (version.kind === "pad") return { before: 0, word: "", breaks: false };
  if (version.kind === "end") return { before: 0, word: "∎", breaks: false };
  const text = version.text.replace(/\t/g, "    ");
  const lead = text.match(/^ */)[0].length;
  const breaks = text.includes("\n");
  const word = text.slice(lead).replace(/\n/g, "↵");
  return word ? { before: lead, word, breaks } : { before: 0, word: "␣".repeat(lead), breaks };
}

/** The answer of a recording inside `root`: {paint(step), differ(positions)}. */
export function answerIn(root, recording, told) {
  root.replaceChildren();
  const rows = blocksOf(recording).map(([from, to], index) => {
    const row = make("div", "block");
    const gutter = make("span", "gutter");
    gutter.textContent = from;
    const line = make("span", "line");
    row.append(gutter, line);
    root.append(row);
    return { row, gutter, line, from, to, index };
  });
  const spots = rows.flatMap(({ line, from, to }) =>
    recording.cells.slice(from, to).map((cell) => {
      const spot = make("span", "cell");
      spot.tabIndex = -1;
      spot.setAttribute("role", "img");
      spot.dataset.at = cell.at;
      line.append(spot);
      return { cell, spot, shown: null };
    }),
  );
  if (spots.length && recording.start.preset) spots[0].spot.tabIndex = 0;
  listen(root, spots, told);
  let step = 0;

  function paint(now) {
    step = now;
    for (const entry of spots) paintCell(recording, entry, step);
    const place = windowOf(recording, step);
    for (const { row, gutter, from, to } of rows) {
      row.dataset.state = stateOf(place, from, to);
      gutter.title = `positions ${from} to ${to - 1}${WORDS[row.dataset.state]}`;
    }
  }

  function differ(positions) {
    for (const { cell, spot } of spots) spot.classList.toggle("differs", positions.has(cell.at));
  }
  return { paint, differ };
}

const WORDS = { shut: "", frontier: ", the frontier", open: ", open for writing" };

function stateOf(place, from, to) {
  if (!place || from >= place.stop || to <= place.from) return "shut";
  return from < place.to && to > place.from ? "frontier" : "open";
}

/** Touch a cell only if it changed: hundreds of cells are painted many times a second. */
function paintCell(recording, entry, step) {
  const { cell, spot } = entry;
  const version = seen(cell, step);
  const final = version ?? cell.versions[0];
  const steps = recording.forwards.length;
  const fresh = version && version.step === step && version.step > 0;
  const padding = version && isPadding(recording, cell, version);
  const key = `${version?.step}/${version?.kind}/${final?.text}/${steps}/${fresh}/${padding}`;
  if (key === entry.shown) return;
  entry.shown = key;
  const look = final ? drawn(final) : { before: 1, word: "", breaks: false };
  const room = final ? Math.max(1, width(look.word)) : UNKNOWN;
  spot.style.setProperty("--before", look.before);
  spot.style.setProperty("--room", room);
  spot.textContent = version && look.word ? look.word : "\u00a0";
  spot.className = `cell ${version ? version.kind : "mask"}`;
  spot.classList.toggle("fresh", Boolean(fresh));
  spot.classList.toggle("pad", Boolean(padding));
  const first = born(cell);
  const paint = version && first > 0 ? colourOf(first, steps) : null;
  spot.style.setProperty("--fill", paint ? paint.fill : "");
  spot.style.setProperty("--ink", paint ? paint.ink : "");
  spot.setAttribute("aria-label", spoken(cell, version, first, padding));
  lineBreak(spot, look.breaks && final);
}

const isPadding = (recording, cell, version) =>
  version.kind === "pad" ? !counts(recording, cell) : version.kind !== "given" && cell.at >= recording.cut;

function lineBreak(spot, wanted) {
  const next = spot.nextSibling;
  const there = next?.nodeName === "BR";
  if (wanted && !there) spot.after(document.createElement("br"));
  else if (!wanted && there) next.remove();
}

/** A cell in words. */
export function spoken(cell, version, first, padding) {
  const where = `position ${cell.at}`;
  if (!version) return `${where}: masked`;
  if (version.kind === "given") return `${where}: “${version.text}”, given`;
  const what = padding ? "padding behind the end" : version.kind === "text" ? `“${version.text}”` : "end of the text";
  const sure = version.confidence === null ? "" : `, confidence ${version.confidence.toFixed(3)}`;
  return `${where}: ${what}, written in forward ${first}${sure}`;
}

/** Pointing at a cell, or going there with the arrows, tells about it. */
function listen(root, spots, told) {
  const at = (event) => event.target.closest?.(".cell")?.dataset.at;
  root.onpointerover = (event) => told(at(event) === undefined ? null : Number(at(event)));
  root.onpointerleave = () => told(null);
  root.onfocusin = (event) => told(Number(at(event) ?? 0));
  root.onfocusout = () => told(null);
  root.onkeydown = (event) => {
    const here = Number(at(event));
    const to = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: spots.length - 1 }[event.key];
    if (to === undefined || Number.isNaN(here)) return;
    event.preventDefault();
    event.stopPropagation();
    const target = spots[Math.min(spots.length - 1, Math.max(0, to))].spot;
    spots[here].spot.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  };
}
