// What has happened so far? The events of one answer, and the state after any forward.

/** An answer on its way. `cells[i].versions` are what was written at i, oldest first. */
export function begin(start) {
  const cells = Array.from({ length: start.length }, (_, at) => ({ at, given: null, versions: [] }));
  for (const { at, text } of start.given ?? []) cells[at].given = text;
  return { start, cells, forwards: [], done: null, failed: null, cut: start.length };
}

/** An empty answer: the picture before anybody has asked. */
export function blank(length, blockLength) {
  return begin({ preset: "", settings: {}, prompt_tokens: 0, length, block_length: blockLength });
}

/** One more forward. */
export function commit(recording, event) {
  recording.forwards.push(event);
  const step = recording.forwards.length;
  for (const token of event.tokens) {
    const kind = token.pad ? "pad" : token.special ? "end" : "text";
    const { text = "", confidence = null } = token;
    recording.cells[token.at]?.versions.push({ step, text, confidence, kind });
  }
}

/** The end. `cut` is where the counted tokens end: what is written behind it is padding. */
export function finish(recording, event) {
  recording.done = event;
  let left = event.usage?.completion_tokens ?? Infinity;
  for (const cell of recording.cells) {
    if (cell.given === null && cell.versions.length && left-- <= 0) {
      recording.cut = cell.at;
      return;
    }
  }
}

/** What stands in a cell after forward `step`; null where it is masked. */
export function seen(cell, step) {
  if (cell.given !== null) return { step: 0, text: cell.given, confidence: null, kind: "given" };
  let found = null;
  for (const version of cell.versions) if (version.step <= step) found = version;
  return found;
}

/** The forward that wrote a cell first; 0 if it was given, null if nobody has. */
export const born = (cell) => (cell.given !== null ? 0 : (cell.versions[0]?.step ?? null));

/** Whether what stands in a cell counts as an answer's token. */
export function counts(recording, cell) {
  if (cell.given !== null || !cell.versions.length || cell.at >= recording.cut) return false;
  return recording.done !== null || cell.versions.at(-1).kind !== "pad";
}

/** Whether what stands in a cell is padding behind the end. */
export function isPadding(recording, cell, version) {
  if (version.kind === "pad") return !counts(recording, cell);
  return version.kind !== "given" && cell.at >= recording.cut;
}

/** The figures after forward `step`. */
export function figures(recording, step) {
  const forwards = Math.min(step, recording.forwards.length);
  const before = recording.forwards.slice(0, forwards);
  const tokens = recording.cells.filter(
    (cell) => counts(recording, cell) && born(cell) <= forwards,
  ).length;
  const seconds = forwards ? before.at(-1).seconds : 0;
  const sum = (name) => before.reduce((total, forward) => total + (forward[name] ?? 0), 0);
  return {
    forwards,
    tokens,
    seconds,
    perForward: forwards ? tokens / forwards : null,
    perSecond: seconds > 0 ? tokens / seconds : null,
    fed: sum("fed"),
    read: sum("read"),
  };
}

/** Tokens that each forward wrote, padding left out. */
export function written(recording) {
  const sums = recording.forwards.map(() => 0);
  for (const cell of recording.cells) if (counts(recording, cell)) sums[born(cell) - 1] += 1;
  return sums;
}

/** What the answer itself took. Forwards that wrote padding only are counted apart: nobody needs them. */
export function work(recording) {
  const tokens = written(recording);
  const each = recording.forwards.map(({ fed, seconds }, index, all) => ({
    fed,
    seconds: seconds - (all[index - 1]?.seconds ?? 0),
    tokens: tokens[index],
  }));
  const own = each.filter((forward) => forward.tokens);
  const sum = (name) => own.reduce((total, forward) => total + forward[name], 0);
  return {
    forwards: own.length,
    padding: each.length - own.length,
    fed: sum("fed"),
    perSecond: sum("tokens") / sum("seconds"),
  };
}

/**
 * Where the forward after `step` may write: {from, to, stop}, the frontier and the end of what is
 * open; null if nothing is left. A commit tells about the next forward; the first window is worked
 * out, unless the start tells it.
 */
export function windowAfter(recording, step) {
  if (step > 0 || recording.start.frontier) {
    const told = step > 0 ? recording.forwards[step - 1] : recording.start;
    if (!told?.frontier) return null;
    const [from, to] = told.frontier;
    return { from, to, stop: Math.max(to, told.window_stop ?? to) };
  }
  const { length, settings } = recording.start;
  const open = recording.cells.find((cell) => cell.given === null)?.at ?? 0;
  const own = { whole: [0, length], left_to_right: [open, open + 1] }[settings.schedule];
  const [from, to] = own ?? borders(recording.start).find(([, stop]) => open < stop);
  return { from, to, stop: to };
}

/**
 * Blocks as [start, stop], counted from the end of the prompt. Those of a model that attends block
 * by block are parts of its own blocks, which are counted from the start of the text.
 */
function borders({ length, block_length: block, prompt_tokens: before, settings }) {
  const { span } = settings;
  const begins = (at) => (span > 1 ? ((before + at) % span) % block : at % block) === 0;
  const places = Array.from({ length }, (_, at) => at);
  const starts = places.filter((at) => at === 0 || begins(at));
  return starts.map((from, index) => [from, starts[index + 1] ?? length]);
}

/** Whether a forward refreshed a cache: with none there is nothing to refresh. */
export const refreshes = (recording, forward) =>
  Boolean(forward.refresh) && !["none", "causal"].includes(recording.start.settings.cache);

/** Blocks as [start, stop]; one block where borders would say nothing. */
export function blocksOf(recording) {
  const { length, block_length: block } = recording.start;
  return !block || block >= length || block < 4 ? [[0, length]] : borders(recording.start);
}
