// What else is wrong with a request that was refused? The server tells one field at a time.

import { fieldOf } from "./form.js";
import { canvas, Refusal } from "./stream.js";

const SOUND = { prompt: "Hello" }; // stands in for one that was refused, so that the rest can be judged
const DECIDES = "preset"; // what is right for the other fields hangs on it

/**
 * All refusals of a body, of which `first` may be known: what is blamed is left out, and the rest is
 * asked again. The only judge is the server; an answer that begins is stopped at once.
 */
export async function faults(body, key, signal, first = null) {
  const found = [];
  const rest = { ...body };
  const blamed = new Set();
  for (let one = first ?? (await refused(rest, key, signal)); one; one = await refused(rest, key, signal)) {
    const name = fieldOf(one);
    if (blamed.has(name)) break;
    blamed.add(name);
    found.push(one);
    if (!(name in rest) || name === DECIDES) break;
    if (name in SOUND) rest[name] = SOUND[name];
    else delete rest[name];
  }
  return found;
}

/** The refusal of a field; null if the answer begins, or if something else is the matter. */
async function refused(body, key, signal) {
  try {
    for await (const _ of canvas(body, key, signal)) return null;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error instanceof Refusal && error.field) return error;
  }
  return null;
}
