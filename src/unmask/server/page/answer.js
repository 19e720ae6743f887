// What does the answer look like after a forward? Its tokens, block by block, masked or coloured.

import { colourOf } from "./colours.js";
import { blocksOf, born, isPadding, seen, windowAfter } from "./recording.js";

const LONG = 160; // positions from which padding is drawn narrower
const UNKNOWN = 3; // width of a mask whose token nobody knows yet, in letters

const make = (name, kind) => Object.assign(document.createElement(name), { className: kind });
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f300}-\u{1faff}]/u;
const width = (text) => [...text].reduce((sum, letter) => sum + (WIDE.test(letter) ? 2 : 1), 0);

/** Text of a token as it is drawn: {before: spaces, word, breaks: whether a line ends behind it}. */
function drawn(version, ends) {
  if (version.kind === "pad" && !ends) return { before: 0, word: "", breaks: false };
  if (version.kind === "end" || ends) return { before: 0, word: "∎", breaks: false };
  const text = version.text.replace(/\t/g, "    ");
  const lead = text.match(/^ */)[0].length;
  const breaks = text.includes("\n");
  const word = text.slice(lead).replace(/\n/g, "↵");
  return word ? { before: lead, word, breaks } : { before: 0, word: "␣".repeat(lead), breaks };
}

/** The answer of a recording inside `root`: {paint(step), differ(positions)}. */
export function answerIn(root, recording, told) {
  const flow = make("div", recording.start.length > LONG ? "flow long" : "flow");
  root.replaceChildren(flow);
  const blocks = blocksOf(recording).map(([from, to]) => {
    const block = make("span", "block");
    const first = make("span", "first"); // no line may end between a border and its first token
    const border = make("span", "start");
    border.dataset.at = from;
    first.append(border);
    block.append(first);
    flow.append(block, "\u200b");
    return { block, from, to };
  });
  const spots = blocks.flatMap(({ block, from, to }) =>
    recording.cells.slice(from, to).map((cell) => {
      const spot = make("span", "cell");
      spot.tabIndex = -1;
      spot.setAttribute("role", "img");
      spot.dataset.cell = cell.at;
      (cell.at === from ? block.firstChild : block).append(spot);
      return { cell, spot, shown: null };
    }),
  );
  if (spots.length && recording.start.preset) spots[0].spot.tabIndex = 0;
  listen(flow, spots, told);

  function paint(step) {
    for (const entry of spots) paintCell(recording, entry, step);
    const place = recording.start.preset ? windowAfter(recording, step) : null;
    for (const { block, from, to } of blocks) block.dataset.state = stateOf(place, from, to);
  }

  function differ(positions) {
    for (const { cell, spot } of spots) spot.classList.toggle("differs", positions.has(cell.at));
  }
  return { paint, differ };
}

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
  const ends = final?.kind === "pad" && !isPadding(recording, cell, final);
  const look = final ? drawn(final, ends) : { before: 1, word: "", breaks: false };
  const room = final ? Math.max(1, width(look.word)) : UNKNOWN;
  spot.style.setProperty("--before", look.before);
  spot.style.setProperty("--room", room);
  spot.textContent = version && look.word ? look.word : "\u00a0";
  for (const kind of ["mask", "given", "text", "end", "pad"]) spot.classList.remove(kind);
  const kind = version?.kind === "pad" ? "end" : (version?.kind ?? "mask");
  spot.classList.add(padding ? "pad" : kind);
  spot.classList.toggle("fresh", Boolean(fresh));
  const first = born(cell);
  const paint = version && first > 0 ? colourOf(first, steps) : null;
  spot.style.setProperty("--fill", paint ? paint.fill : "");
  spot.style.setProperty("--ink", paint ? paint.ink : "");
  spot.setAttribute("aria-label", spoken(cell, version, first, padding));
  lineBreak(spot, look.breaks && final);
}

function lineBreak(spot, wanted) {
  const last = spot.parentNode.className === "first" ? spot.parentNode : spot;
  const next = last.nextSibling;
  const there = next?.nodeName === "BR";
  if (wanted && !there) last.after(document.createElement("br"));
  else if (!wanted && there) next.remove();
}

/** A cell in words. */
export function spoken(cell, version, first, padding) {
  const where = `position ${cell.at}`;
  if (!version) return `${where}: masked`;
  if (version.kind === "given") return `${where}: “${version.text}”, given`;
  const plain = version.kind === "text" ? `“${version.text}”` : "end of the text";
  const what = padding ? "padding behind the end" : plain;
  const sure = version.confidence === null ? "" : `, confidence ${version.confidence.toFixed(3)}`;
  return `${where}: ${what}, written in forward ${first}${sure}`;
}

/** Pointing at a cell, or going there with the arrows, tells about it. */
function listen(flow, spots, told) {
  const at = (event) => event.target.closest?.(".cell")?.dataset.cell;
  flow.onpointerover = (event) => told(at(event) === undefined ? null : Number(at(event)));
  flow.onpointerleave = () => told(null);
  flow.addEventListener("focusin", (event) => told(Number(at(event))));
  flow.addEventListener("focusout", () => told(null));
  flow.onkeydown = (event) => {
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
