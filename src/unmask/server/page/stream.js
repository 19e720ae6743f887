// How do we talk to the server? Requests, the events of a stream, and refusals as one kind of error.

/** What the server refused: `field` names the part of the request, or is null. */
export class Refusal extends Error {
  constructor(message, field = null, status = 0) {
    super(message);
    this.field = field;
    this.status = status;
  }
}

const address = (path) => new URL(path, document.baseURI);
const headers = (key) => ({
  "Content-Type": "application/json",
  ...(key ? { Authorization: `Bearer ${key}` } : {}),
});

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(address(path), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server cannot be reached. Is it still running?");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer) {
  const { error } = await answer.json().catch(() => ({}));
  const wait = answer.headers.get("Retry-After");
  const message = error?.message ?? `The server answered with status ${answer.status}.`;
  const hint = answer.status === 429 && wait ? ` Try again in ${wait} s.` : "";
  return new Refusal(message + hint, error?.param ?? null, answer.status);
}

/** The models that the server has. */
export async function models(key) {
  const answer = await ask("v1/models", { headers: headers(key) });
  return (await answer.json()).data;
}

/** The events of one answer as [name, data]. Throws a Refusal if the server sends an error. */
export async function* canvas(body, key, signal) {
  const answer = await ask("v1/canvas", {
    method: "POST",
    headers: headers(key),
    body: JSON.stringify(body),
    signal,
  });
  for await (const [name, data] of events(answer.body)) {
    if (name === "error") {
      throw new Refusal(data.error?.message ?? "The server stopped.", data.error?.param ?? null);
    }
    yield [name, data];
    if (name === "done") return;
  }
  throw new Refusal("The stream ended before the answer did.");
}

/** Server-sent events of a body, as [name, parsed data]. */
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest = (rest + value).replace(/\r\n/g, "\n");
      const parts = rest.split("\n\n");
      rest = parts.pop();
      yield* parts.map(parse).filter(Boolean);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse(text) {
  let name = "message";
  const data = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  const joined = data.join("\n");
  return joined && joined !== "[DONE]" ? [name, JSON.parse(joined)] : null;
}
