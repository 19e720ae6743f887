// Which of two decoders did better, and is it the same answer? One sentence, and one of figures.

import { figures, seen } from "./recording.js";

const times = (ratio) => `${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(1)}×`;

/** Positions at which two answers differ, up to the end of the longer one. */
export function differences(one, two) {
  const places = new Set();
  const last = Math.min(Math.max(one.cut, two.cut), one.cells.length, two.cells.length);
  for (let at = 0; at < last; at += 1) {
    const [first, second] = [one, two].map((recording) => word(recording, at));
    if (first !== second) places.add(at);
  }
  return places;
}

function word(recording, at) {
  const version = seen(recording.cells[at], Infinity);
  return !version || version.kind === "pad" || version.kind === "end" || at >= recording.cut ? "" : version.text;
}

/** {head, line} about two finished recordings with their names. */
export function verdict([nameA, a], [nameB, b]) {
  const [of, by] = [a, b].map((recording) => figures(recording, Infinity));
  const same = a.done.text === b.done.text;
  const [ahead, behind] = of.forwards <= by.forwards ? [of, by] : [by, of];
  const [name, other] = ahead === of ? [nameA, nameB] : [nameB, nameA];
  const ratio = behind.forwards / ahead.forwards;
  const answer = same ? "Same answer" : "Different answers";
  const head =
    ratio === 1
      ? `${answer}, and as many forwards.`
      : `${answer}${same ? "," : ":"} ${times(ratio)} fewer forwards with ${name}.`;
  const speed = ahead.perSecond / behind.perSecond;
  const fed = behind.fed / ahead.fed;
  const parts = [
    `${count(ahead.forwards, "forward")} instead of ${behind.forwards}`,
    speed >= 1 ? `${times(speed)} the tokens per second` : `but ${times(1 / speed)} slower by the clock`,
    fed >= 1 ? `${times(fed)} fewer positions fed` : `but ${times(1 / fed)} more positions fed`,
  ];
  const measured = nameA === nameB ? "" : `${name} to ${other}: `;
  return { head, line: `${measured}${parts.join(", ")}. One after the other, on the same machine.` };
}

const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
