// Which forward is shown? The playhead: slider, buttons, keys, and a clock slow enough to see.

const PACES = [
  ["auto", "slow motion"],
  ["1", "1 forward/s"],
  ["2", "2 forwards/s"],
  ["5", "5 forwards/s"],
  ["10", "10 forwards/s"],
  ["30", "30 forwards/s"],
  ["real", "real time"],
];
const LONGEST = 9; // seconds that a replay in slow motion may take
const SLOWEST = 1.6; // forwards per second
const KEYS = { ArrowLeft: "back", ArrowRight: "next", Home: "first", End: "last", " ": "play" };
const find = (id) => document.getElementById(id);

/**
 * A playhead. `source` says {end: forwards so far, open: whether more will come, times: seconds
 * after each forward}; `paint(step)` draws.
 */
export function openTransport(source, paint) {
  let step = 0;
  let exact = 0; // step with its fraction
  let playing = false;
  let before = 0; // when the clock was last looked at
  let frame = 0; // the one that is asked for
  find("speed").replaceChildren(...PACES.map(([value, text]) => new Option(text, value)));

  function to(wanted, { stop = true } = {}) {
    if (stop) playing = false;
    step = Math.min(Math.max(0, Math.round(wanted)), source().end);
    if (stop) exact = step;
    show();
    paint(step);
  }

  function show() {
    const { end, open } = source();
    const scrub = find("scrub");
    scrub.max = Math.max(1, end);
    scrub.value = step;
    scrub.disabled = end === 0;
    scrub.style.setProperty("--share", end ? step / end : 0);
    const text = end ? `forward ${step} of ${end}${open ? " so far" : ""}` : "forward 0";
    scrub.setAttribute("aria-valuetext", end ? text : "nothing decoded yet");
    find("where").textContent = end ? `${step} / ${end}${open ? "+" : ""}` : "0";
    find("where").setAttribute("aria-label", text);
    find("play").classList.toggle("playing", playing);
    find("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    for (const id of ["first", "back"]) find(id).disabled = step === 0;
    for (const id of ["next", "last"]) find(id).disabled = step >= end;
    find("play").disabled = end === 0 && !open;
    find("pace").textContent = pace();
  }

  function rate() {
    const { end } = source();
    const chosen = find("speed").value;
    return chosen === "auto" ? Math.max(SLOWEST, end / LONGEST) : Number(chosen);
  }

  /** How much slower than the machine the replay is. */
  function pace() {
    const { end, open, times } = source();
    const real = times[end - 1];
    if (!end || !real) return "";
    const took = real < 1 ? `${Math.round(1000 * real)} ms` : `${real.toFixed(1)} s`;
    if (open) return `${took} of decoding so far`;
    if (find("speed").value === "real") return `decoded in ${took}`;
    const slower = end / rate() / real;
    if (slower < 1.05) return `decoded in ${took}`;
    return `decoded in ${took}, shown ${slower < 10 ? slower.toFixed(1) : Math.round(slower)}× slower`;
  }

  function tick(now) {
    if (!playing) return;
    // A frame may bear a time from before the press that started the clock.
    const passed = Math.min(0.25, Math.max(0, (now - before) / 1000));
    before = now;
    const { end, open, times } = source();
    const real = find("speed").value === "real";
    exact = Math.min(end, real ? realStep(passed, times, end) : exact + passed * rate());
    if (exact >= end && !open) {
      playing = false;
      to(end);
      return;
    }
    if (Math.floor(exact) !== step) to(Math.floor(exact), { stop: false });
    frame = requestAnimationFrame(tick);
  }

  /** The playhead `passed` seconds of real time later. */
  function realStep(passed, times, end) {
    const at = Math.floor(exact);
    const since = times[at - 1] ?? 0;
    let clock = since + (exact - at) * ((times[at] ?? since) - since) + passed;
    let next = at;
    while (next < end && times[next] <= clock) next += 1;
    if (next >= end) return end;
    const from = times[next - 1] ?? 0;
    return next + (clock - from) / Math.max(1e-9, times[next] - from);
  }

  function play() {
    if (step >= source().end && !source().open) exact = step = 0;
    playing = true;
    before = performance.now();
    to(step, { stop: false });
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(tick);
  }

  const moves = {
    first: () => to(0),
    back: () => to(step - 1),
    next: () => to(step + 1),
    last: () => to(source().end),
    play: () => (playing ? to(step) : play()),
  };
  for (const [id, move] of Object.entries(moves)) find(id).onclick = move;
  find("scrub").oninput = (event) => to(Number(event.target.value));
  find("speed").onchange = show;
  document.addEventListener("keydown", (event) => {
    const name = KEYS[event.key];
    if (!name || event.ctrlKey || event.metaKey || event.altKey || source().end === 0) return;
    if (event.target.closest("input:not(#scrub), textarea, select")) return;
    if (event.key === " " && event.target.closest("button, summary, a")) return;
    event.preventDefault();
    moves[name]();
  });

  return {
    to,
    play,
    show,
    get step() {
      return step;
    },
  };
}
