// What does one answer show? Its figures, tokens, legend, strata, and a line about what is pointed at.

import { answerIn, spoken } from "./answer.js";
import { colourOf } from "./colours.js";
import { blank, born, counts, figures, isPadding, refreshes, seen, windowAfter } from "./recording.js";
import { traceIn } from "./trace.js";

const SWATCHES = 12;
const number = (value, digits = 0) =>
  value?.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits }) ?? "–";
const make = (name, kind, text = "") =>
  Object.assign(document.createElement(name), { className: kind, textContent: text });

/** A panel inside `root`; `seek(step)` is called when somebody points at a forward. */
export function panelIn(root, seek) {
  const node = document.querySelector("#panel").content.firstElementChild.cloneNode(true);
  root.append(node);
  const part = (selector) => node.querySelector(selector);
  const show = { recording: null, answer: null, trace: null, step: 0, columns: 1, at: null };

  function take(recording, name) {
    show.recording = recording;
    show.at = null;
    part("h2").textContent = name || "An answer begins as masks.";
    part(".about").textContent = about(recording.start);
    part(".answer").setAttribute("aria-label", `Tokens of the answer by ${name || "nobody yet"}`);
    show.answer = answerIn(part(".answer"), recording, (at) => {
      show.at = at;
      part(".readout").textContent = readout();
    });
    node.classList.toggle("idle", !recording.start.preset);
    measure(1);
  }

  /** Draw anew what depends on how many forwards there are. */
  function measure(columns) {
    show.columns = Math.max(columns, show.recording.forwards.length, 1);
    show.trace = traceIn(part(".trace"), show.recording, show.columns, seek);
    legend(part(".legend"), show.recording);
    paint(show.step);
  }

  function paint(step) {
    show.step = Math.min(step, show.recording.forwards.length);
    show.answer.paint(show.step);
    show.trace.paint(show.step);
    const now = figures(show.recording, show.step);
    const digits = { perForward: 1, perSecond: 0 };
    for (const place of node.querySelectorAll("[data-figure]")) {
      const name = place.dataset.figure;
      const nothing = !show.recording.forwards.length;
      place.textContent = nothing ? "–" : number(now[name], digits[name]);
    }
    part(".readout").textContent = readout();
  }

  function readout() {
    const { recording, step, at } = show;
    if (at === null) return forwardInWords(recording, step);
    const cell = recording.cells[at];
    const version = seen(cell, step);
    const padding = version !== null && isPadding(recording, cell, version);
    const line = spoken(cell, version, born(cell), padding);
    return line[0].toUpperCase() + line.slice(1);
  }

  take(blank(96, 16), "");
  return { node, take, measure, paint, differ: (set) => show.answer.differ(set), show };
}

/** The settings of a run in one line. */
function about({ settings, block_length: block, length, preset }) {
  if (!preset) return "Every forward pass writes the tokens that the model is sure of, wherever they stand.";
  const bar = settings.threshold ?? settings.factor ?? null;
  return [
    settings.schedule,
    settings.strategy && `${settings.strategy}${bar === null ? "" : ` ${bar}`}`,
    settings.cache && (settings.cache === "none" ? "no cache" : `${settings.cache} cache`),
    `${length} tokens in blocks of ${block}`,
  ]
    .filter(Boolean)
    .join(" · ")
    .replaceAll("_", " ");
}

function forwardInWords(recording, step) {
  const { start, forwards } = recording;
  if (!forwards.length) return `${start.length} masks, waiting for the first forward`;
  if (step === 0) {
    return `Before the first forward: ${start.prompt_tokens} prompt tokens, ${start.length} positions`;
  }
  const forward = forwards[step - 1];
  const own = ({ at, pad }) => (recording.done ? at < recording.cut : !pad);
  const tokens = forward.tokens.filter(own).length;
  const wrote = tokens === 0 ? "padding only" : tokens === 1 ? "1 token" : `${tokens} tokens`;
  const milliseconds = 1000 * (forward.seconds - (forwards[step - 2]?.seconds ?? 0));
  const place = windowAfter(recording, step - 1);
  return [
    `Forward ${step} of ${forwards.length}${recording.done ? "" : " so far"} wrote ${wrote}`,
    place && (place.stop - place.from > 1 ? `in ${place.from}–${place.stop - 1}` : `at ${place.from}`),
    `fed ${forward.fed}, read ${forward.read ?? 0}`,
    refreshes(recording, forward) && "refreshed the cache",
    `${milliseconds.toFixed(1)} ms`,
  ]
    .filter(Boolean)
    .join(" · ");
}

/** Which colour is which forward, and what the other signs mean. */
function legend(root, recording) {
  const steps = recording.forwards.length;
  root.replaceChildren();
  if (steps) {
    const ramp = make("span", "ramp");
    const shown = Math.min(steps, SWATCHES);
    ramp.append(make("span", "name", "forward"), make("span", "", "1"));
    for (let index = 0; index < shown; index += 1) {
      const swatch = make("i", "swatch");
      const step = shown > 1 ? 1 + (index / (shown - 1)) * (steps - 1) : 1;
      swatch.style.setProperty("--fill", colourOf(step, steps).fill);
      ramp.append(swatch);
    }
    ramp.append(make("span", "", steps > 1 ? String(steps) : ""));
    root.append(ramp);
  }
  const { cells, forwards } = recording;
  const windows = forwards.map((_, step) => windowAfter(recording, step)).filter(Boolean);
  const signs = [
    ["mask", "mask", true],
    ["given", "given", cells.some((cell) => cell.given !== null)],
    ["pad", "behind the end", cells.some((cell) => cell.versions.length && !counts(recording, cell))],
    ["front", "frontier", windows.length],
    ["open", "open", windows.some((place) => place.stop > place.to)],
    ["triangle", "cache refreshed", forwards.some((forward) => refreshes(recording, forward))],
    ["fed", "fed", steps],
    ["read", "read", forwards.some((forward) => forward.read)],
  ].filter(([, , shown]) => shown);
  for (const [kind, word] of signs) {
    const sign = make("span", "sign");
    sign.append(make("i", `swatch ${kind}`), word);
    root.append(sign);
  }
}
