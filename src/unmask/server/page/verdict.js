// Which of two decoders did better, and is it the same answer? One sentence, and one of figures.

import { seen, work } from "./recording.js";

const times = (ratio) => `${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(1)}×`;

/** Positions of the tokens that the other answer has not, for each of two answers. */
export function differences(one, two) {
  const [first, second] = [one, two].map((recording) =>
    recording.cells.slice(0, recording.cut).map((cell) => word(recording, cell.at)),
  );
  const common = overlap(first, second);
  const apart = [new Set(first.keys()), new Set(second.keys())];
  for (let at = 0, to = 0; at < first.length && to < second.length; ) {
    if (first[at] === second[to]) {
      apart[0].delete(at++);
      apart[1].delete(to++);
    } else if (common(at + 1, to) >= common(at, to + 1)) at += 1;
    else to += 1;
  }
  return apart;
}

/** Length of the longest common subsequence behind (at, to), for all pairs. */
function overlap(first, second) {
  const wide = second.length + 1;
  const longest = new Uint16Array((first.length + 1) * wide);
  for (let at = first.length - 1; at >= 0; at -= 1) {
    for (let to = second.length - 1; to >= 0; to -= 1) {
      const same = first[at] === second[to];
      const apart = Math.max(longest[(at + 1) * wide + to], longest[at * wide + to + 1]);
      longest[at * wide + to] = same ? longest[(at + 1) * wide + to + 1] + 1 : apart;
    }
  }
  return (at, to) => longest[at * wide + to];
}

function word(recording, at) {
  const version = seen(recording.cells[at], Infinity);
  return !version || ["pad", "end"].includes(version.kind) ? "" : version.text;
}

/**
 * {head, line} about two finished recordings with their names. A decoder that pads a short answer to the
 * end of its canvas is not held to be slower for that.
 */
export function verdict([nameA, a], [nameB, b]) {
  const [of, by] = [a, b].map(work);
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
  const left = [[nameA, of.padding], [nameB, by.padding]]
    .filter(([, padding]) => padding)
    .map(([whose, padding]) => `${padding} of ${whose}`);
  const without = left.length ? ` Forwards that wrote padding only are left out: ${left.join(", ")}.` : "";
  const marked = same ? "" : " Tokens that only one of them has are underlined with a wave.";
  return { head, line: `${measured}${parts.join(", ")}.${without} One after the other, on the same machine.${marked}` };
}

const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
