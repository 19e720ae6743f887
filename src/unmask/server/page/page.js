// What happens when? Asking, listening, drawing: where the parts of the page meet.

import { asCurl, asPython } from "./code.js";
import { faults } from "./faults.js";
import { clearErrors, fromHash, offer, openForm, read, requests, showErrors, toHash, write } from "./form.js";
import { panelIn } from "./panel.js";
import { begin, commit, finish } from "./recording.js";
import { canvas, models, Refusal } from "./stream.js";
import { openTheme } from "./theme.js";
import { openTransport } from "./transport.js";
import { differences, verdict } from "./verdict.js";

const find = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const PATIENCE = 1500; // milliseconds that the second of two may wait unexplained
const PAUSE = 80; // milliseconds from one drawing to the next while events come
let panels = [];
let runs = []; // {name, recording, panel}
let expected = 0; // how many runs there will be
let stopper = null;
let drawn = false; // whether a redraw is on its way
let began = 0;

const transport = openTransport(source, paint);

/**
 * The picture at the playhead. While the first of two keeps the second waiting for long, it is shown
 * as it comes; the replay of both begins with the second.
 */
function paint(step) {
  const waiting = stopper !== null && runs.some((run) => !run.recording);
  const live = waiting && performance.now() - began > PATIENCE;
  panels.forEach((panel) => panel.paint(live ? Infinity : step));
}

/** What the playhead may show: no further than what every run has reached. */
function source() {
  const known = runs.filter((run) => run.recording);
  const all = known.map((run) => run.recording);
  const open = stopper !== null;
  const counts = all.map((recording) => recording.forwards.length);
  const unfinished = all.filter((recording) => !recording.done).map((recording) => recording.forwards.length);
  const waiting = open && known.length < expected ? [0] : [];
  const limits = [...unfinished, ...waiting];
  const end = open && limits.length ? Math.min(...limits) : Math.max(0, ...counts);
  const longest = all.find((recording) => recording.forwards.length === Math.max(...counts));
  return { end, open, times: longest?.forwards.map((forward) => forward.seconds) ?? [] };
}

function lay(count) {
  find("panels").replaceChildren();
  find("panels").classList.toggle("two", count === 2);
  panels = Array.from({ length: count }, () => panelIn(find("panels"), (step) => transport.to(step)));
}

/** Draw the strata now and then: events come faster than anybody can see. */
function redraw() {
  if (drawn) return;
  drawn = true;
  setTimeout(() => requestAnimationFrame(draw), stopper ? PAUSE : 0);
}

function draw() {
  drawn = false;
  const columns = Math.max(1, ...runs.map((run) => run.recording?.forwards.length ?? 0));
  panels.forEach((panel) => panel.measure(columns));
  paint(transport.step);
  transport.show();
}

async function run(event) {
  event?.preventDefault();
  stopper?.abort();
  const own = (stopper = new AbortController());
  clearErrors();
  const value = read();
  const asked = requests(value);
  expected = asked.length;
  began = performance.now();
  runs = asked.map(([name, body, fields], at) => ({ name: title(asked, at), body, fields, recording: null }));
  find("verdict").hidden = true;
  lay(asked.length);
  intoView(panels[0].node.querySelector(".answer"));
  busy(true);
  say(`Decoding with ${runs.map((one) => one.name).join(", then ")}.`);
  transport.to(0);
  if (!calm.matches) transport.play();
  let at = 0;
  try {
    // One after the other, so that each has the machine to itself.
    for (; at < runs.length; at += 1) await listen(runs[at], panels[at], own.signal);
    if (own === stopper) settle();
  } catch (error) {
    if (own === stopper) await fail(error, runs.slice(at), own);
  }
}

/** Nothing that was asked before the form asked for something else may stand below it. */
function forget() {
  stopper?.abort();
  stopper = null;
  runs = [];
  find("verdict").hidden = true;
  busy(false);
  say("");
  lay(1);
  transport.to(0);
}

const intoView = (node) => node.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });

/** Names of two runs of the same preset tell what differs. */
function title(asked, at) {
  const [name, body] = asked[at];
  if (asked.length < 2 || asked[0][0] !== asked[1][0]) return name;
  const told = ["threshold", "cache"].filter((field) => body[field] !== undefined);
  return [name, ...told.map((field) => `${field} ${body[field]}`)].join(", ");
}

async function listen(one, panel, signal) {
  for await (const [name, data] of canvas(one.body, find("key").value, signal)) {
    if (signal.aborted) throw new DOMException("stopped", "AbortError");
    if (name === "start") {
      one.recording = begin(data);
      panel.take(one.recording, one.name);
    } else if (name === "commit") commit(one.recording, data);
    else if (name === "done") finish(one.recording, data);
    redraw();
  }
}

function settle() {
  stopper = null;
  busy(false);
  redraw();
  const [one, two] = runs;
  const { forwards, done } = one.recording;
  let spoken = `${forwards.length} forwards, ${done.usage?.completion_tokens} tokens. ${done.text ?? ""}`;
  if (two) {
    const { head, line } = verdict([one.name, one.recording], [two.name, two.recording]);
    find("verdict").firstElementChild.textContent = head;
    find("verdict").lastElementChild.textContent = line;
    find("verdict").hidden = false;
    intoView(find("verdict"));
    const apart = differences(one.recording, two.recording);
    panels.forEach((panel, at) => panel.differ(apart[at]));
    spoken = `${head} ${line}`;
  }
  find("copy-text").disabled = false;
  say(`Done. ${spoken}`);
  if (calm.matches) transport.to(source().end);
}

/** `left`: the run that failed, and those that would have come behind it. */
async function fail(error, left, own) {
  const unread = `The answer could not be read: ${error.message}`;
  const refusal = error instanceof Refusal ? error : new Refusal(unread);
  let found = [];
  if (error.name !== "AbortError") found = await allFaults(refusal, left, own.signal);
  if (own !== stopper) return;
  stopper = null;
  busy(false);
  redraw();
  transport.to(transport.step);
  say(found.length ? "" : "Stopped.");
  showErrors(found);
}

/** Where a field is to blame, whatever else is; as [refusal, names of fields]. */
async function allFaults(refusal, left, signal) {
  if (!refusal.field) return [[refusal]];
  const found = [];
  try {
    for (const [at, { body, fields }] of left.entries()) {
      const all = await faults(body, find("key").value, signal, at ? null : refusal);
      found.push(...all.map((one) => [one, fields]));
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
  return found;
}

function busy(is) {
  document.body.classList.toggle("busy", is);
  find("stage").setAttribute("aria-busy", String(is));
  find("stop").hidden = !is;
  find("run").textContent = is ? "Restart" : "Unmask";
  find("copy-text").disabled = is || !runs[0]?.recording?.done;
}

const say = (text) => (find("said").textContent = text);

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    find("copied").textContent = `Copied ${what}.`;
  } catch {
    find("copied").textContent = "The browser does not let this page copy.";
  }
}

function openCopies() {
  const each = (write) => {
    const keyed = find("key").value !== "";
    return requests(read())
      .map(([, body]) => write(body, keyed))
      .join("\n\n");
  };
  find("copy-curl").onclick = () => copy(each(asCurl), "the command");
  find("copy-python").onclick = () => copy(each(asPython), "the program");
  find("copy-text").onclick = () => copy(runs.map((one) => one.recording.done.text).join("\n\n"), "the answer");
  find("copy-link").onclick = () => {
    remember();
    copy(location.href, "the link");
  };
}

async function nameModels() {
  try {
    const served = await models(find("key").value);
    const names = served.map((model) => model.id);
    const wanted = read().model || fromHash(location.hash).model;
    find("model").replaceChildren(...names.map((name) => new Option(name, name)));
    find("model").classList.toggle("only", names.length < 2);
    if (names.includes(wanted)) find("model").value = wanted;
    offer(served[0].presets);
  } catch (error) {
    showErrors([[error]]);
  }
}

const remember = () => history.replaceState(null, "", `#${toHash(read())}`);
openTheme(find("theme"), redraw);
openForm(remember, forget);
openCopies();
write(fromHash(location.hash));
lay(1);
transport.show();
find("ask").addEventListener("submit", run);
find("stop").onclick = () => {
  stopper?.abort();
  find("run").focus();
};
find("ask").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event);
});
find("key").addEventListener("change", nameModels);
addEventListener("hashchange", () => {
  write(fromHash(location.hash));
  forget();
});
new ResizeObserver(redraw).observe(find("panels"));
nameModels();
