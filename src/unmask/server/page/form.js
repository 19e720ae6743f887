// What does the user want? The form as a value, as requests, as a link; and errors beside their fields.

const CACHES = ["none", "prefix", "dual", "sliding", "delayed"];
const SETTINGS = ["max_tokens", "block_length", "temperature", "seed", "threshold", "cache"];
const PLAIN = ["prompt", "model", "preset", "against", ...SETTINGS, "threshold_b", "cache_b"];
const SECOND = { preset: "against", threshold: "threshold_b", cache: "cache_b" };
const OTHER_NAMES = { messages: "prompt", max_new_tokens: "max_tokens" };

const STORY = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?";
const GAPS = [
  "We solve this in small steps. Mia starts with", 1, " apples. Step 1: Mia", 2, " apples, so 12 + 7 =", 1,
  ". In the end Mia has", 1, " apples. The answer is", 1, ".",
];
const EXAMPLES = {
  one: { prompt: STORY },
  three: {
    prompt:
      "Mia has 12 apples. She buys 7 apples. Then Mia doubles the apples. " +
      "She gives 5 apples to Tom. How many apples does Mia have now?",
  },
  sudoku: { prompt: "Solve this sudoku: 0 2 1 0 1 0 4 0 3 1 0 0 2 4 0 0" },
  gaps: { prompt: STORY, mode: "infill", parts: GAPS },
};
const START = { mode: "answer", prompt: STORY, preset: "d3llm", against: "vanilla", parts: GAPS };

const find = (id) => document.getElementById(id);
const fill = (select, names) =>
  select.replaceChildren(...names.map(([value, text]) => new Option(text, value)));

/**
 * Bring the form to life; `changed` is called whenever its value is another one, `replaced` when it asks for
 * something else altogether.
 */
export function openForm(changed, replaced) {
  offer([START.preset, START.against]);
  for (const id of ["cache", "cache_b"]) {
    fill(find(id), [["", "the decoder's"], ...CACHES.map((name) => [name, name])]);
  }
  const form = find("ask");
  form.addEventListener("input", (event) => {
    const moved = event.target.name === "mode";
    clearErrors(moved ? null : event.target);
    arrange();
    changed();
    if (moved) replaced();
  });
  for (const button of form.querySelectorAll("[data-example]")) {
    button.onclick = () => {
      const now = read();
      const mode = now.mode === "infill" ? "answer" : now.mode;
      write({ ...now, mode, ...EXAMPLES[button.dataset.example] });
      changed();
      replaced();
    };
  }
  const change = (parts) => {
    showParts(parts);
    changed();
  };
  find("more").onclick = () => change([...read().parts, 1, ""]);
  find("fewer").onclick = () => change(read().parts.slice(0, Math.max(3, read().parts.length - 2)));
}

/** Let the user choose among the decoders that fit the model, the usual one first. */
export function offer(presets) {
  const asked = new URLSearchParams(location.hash.slice(1));
  const usual = { preset: presets[0], against: presets.includes(START.against) ? START.against : presets[0] };
  for (const [id, first] of Object.entries(usual)) {
    const wanted = asked.get(id) ?? first;
    const names = presets.includes(wanted) ? presets : [...presets, wanted];
    fill(find(id), names.map((name) => [name, name]));
    find(id).value = wanted;
  }
}

/** The form as a value. */
export function read() {
  const mode = document.querySelector("[name=mode]:checked").value;
  const parts = [...document.querySelectorAll("#parts [data-part]")].map((input) =>
    input.dataset.part === "gap" ? numberOf(input.value) : input.value,
  );
  return { mode, parts, ...Object.fromEntries(PLAIN.map((name) => [name, find(name).value])) };
}

/** Show a value. */
export function write(value) {
  find(`mode-${value.mode}`).checked = true;
  for (const name of PLAIN) {
    const field = find(name);
    const text = value[name] ?? "";
    if (field.nodeName === "SELECT" && text && ![...field.options].some((option) => option.value === text)) {
      field.add(new Option(text, text)); // the server will say what it thinks of it
    }
    if (field.nodeName !== "SELECT" || text || field.options[0]?.value === "") field.value = text;
  }
  clearErrors();
  showParts(value.parts);
  if (SETTINGS.some((name) => value[name])) find("settings").open = true;
  arrange();
}

/** Show what the mode needs, hide the rest. */
function arrange() {
  const { mode } = read();
  for (const part of document.querySelectorAll("[data-for]")) {
    part.hidden = !part.dataset.for.split(" ").includes(mode);
  }
  find("preset-label").textContent = mode === "compare" ? "Compare" : "Decoder";
}

function showParts(parts) {
  const last = parts.length - 1;
  const nodes = parts.map((part, at) => {
    const gap = at % 2 === 1;
    const node = Object.assign(document.createElement("div"), { className: gap ? "part gap" : "part" });
    const label = document.createElement("label");
    label.htmlFor = `part-${at}`;
    const place = at === 0 ? "before" : at === last ? "after" : "between";
    label.textContent = gap ? "gap, tokens" : `text ${place}`;
    const input = document.createElement(gap ? "input" : "textarea");
    Object.assign(input, { id: `part-${at}`, value: String(part) });
    if (gap) Object.assign(input, { inputMode: "numeric" });
    else Object.assign(input, { rows: 1, spellcheck: false });
    input.dataset.part = gap ? "gap" : "text";
    node.append(label, input);
    return node;
  });
  find("parts").replaceChildren(...nodes);
}

/** A number if it is one; otherwise the text, and the server says what is wrong with it. */
function numberOf(text) {
  const trimmed = text.trim();
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : text;
}

/** The requests a value means: one, or two to compare, as [name, body, names of fields]. */
export function requests(value) {
  const settings = Object.fromEntries(
    SETTINGS.filter((name) => value[name] && !(name === "max_tokens" && value.mode === "infill")).map(
      (name) => [name, name === "cache" ? value[name] : numberOf(value[name])],
    ),
  );
  const base = { ...(value.model ? { model: value.model } : {}), prompt: value.prompt };
  if (value.mode === "infill") base.infill = value.parts.filter((part) => part !== "");
  const one = [value.preset, { ...base, preset: value.preset, ...settings }, {}];
  if (value.mode !== "compare") return [one];
  const { threshold: _, cache: __, ...shared } = settings;
  const second = { ...base, preset: value.against, ...shared };
  if (value.threshold_b) second.threshold = numberOf(value.threshold_b);
  if (value.cache_b) second.cache = value.cache_b;
  return [one, [value.against, second, SECOND]];
}

/** A value as the part of an address behind #. */
export function toHash(value) {
  const search = new URLSearchParams();
  for (const name of ["mode", ...PLAIN]) if (value[name]) search.set(name, value[name]);
  if (value.mode !== "compare") for (const name of Object.values(SECOND)) search.delete(name);
  if (value.mode === "infill") search.set("parts", JSON.stringify(value.parts));
  return search.toString();
}

/** The value that a # means; whatever cannot be read is left as at the start. */
export function fromHash(hash) {
  const search = new URLSearchParams(hash.replace(/^#/, ""));
  const value = { ...START };
  for (const name of PLAIN) if (search.has(name)) value[name] = search.get(name);
  if (["answer", "compare", "infill"].includes(search.get("mode"))) value.mode = search.get("mode");
  try {
    const parts = JSON.parse(search.get("parts"));
    const sound = (part) => typeof part === "string" || typeof part === "number";
    if (parts.length >= 3 && parts.length % 2 && parts.every(sound)) value.parts = parts;
  } catch {
    // There are none in the link, or it was cut short.
  }
  return value;
}

/** The field of a request that a refusal blames, as the form calls it. */
export function fieldOf(refusal) {
  const first = refusal.field?.split(/[.[]/)[0];
  return OTHER_NAMES[first] ?? first;
}

/** Refusals as sentences beside the fields they name; `names` of a second request are others. */
export function showErrors(refusals) {
  for (const [refusal, names = {}] of refusals) showError(refusal, names);
  document.querySelector("[aria-invalid]")?.focus();
}

function showError(refusal, names) {
  const known = fieldOf(refusal);
  const name = refusal.status === 401 ? "key" : (names[known] ?? known);
  if (name === "key") find("key-field").hidden = false;
  const place = (name && find(`${name}-error`)) || find("general-error");
  if (!place.hidden) return; // two requests share the field
  place.textContent = refusal.message;
  place.hidden = false;
  if (place.id === "general-error") return;
  if (place.closest("details")) place.closest("details").open = true;
  const field = find(name) ?? find("part-0");
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", place.id);
}

/** Forget the errors of a field, or all of them. */
export function clearErrors(field = null) {
  const own = (id) => !field || id === "general-error" || id === field.getAttribute?.("aria-describedby");
  for (const place of document.querySelectorAll(".error[id]")) if (own(place.id)) place.hidden = true;
  for (const bad of document.querySelectorAll("[aria-invalid]")) {
    if (field && bad !== field) continue;
    bad.removeAttribute("aria-invalid");
    bad.removeAttribute("aria-describedby");
  }
}
