// How does one do the same without the page? The request as a curl command and as Python.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const base = () => new URL("v1", document.baseURI).href;

/** A curl command that streams the events of this request. */
export function asCurl(body, hasKey) {
  const key = hasKey ? ` \\\n  -H "Authorization: Bearer $UNMASK_API_KEY"` : "";
  return (
    `curl -N ${base()}/canvas \\\n  -H 'Content-Type: application/json'${key} \\\n` +
    `  -d ${quoted(JSON.stringify(body))}`
  );
}

/** The same answer by the client of OpenAI; gaps by plain httpx, for that client knows none. */
export function asPython(body, hasKey) {
  const key = hasKey ? `os.environ["UNMASK_API_KEY"]` : `"none"`;
  return (hasKey ? "import os\n\n" : "") + (body.infill ? asEvents(body, hasKey) : asChat(body, key));
}

function asChat({ model, prompt, max_tokens, temperature, seed, ...rest }, key) {
  const usual = Object.entries({ max_tokens, temperature, seed }).filter(([, value]) => value !== undefined);
  return [
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${literal(base())}, api_key=${key})`,
    "answer = client.chat.completions.create(",
    `    model=${literal(model ?? "")},`,
    `    messages=[{"role": "user", "content": ${literal(prompt)}}],`,
    ...usual.map(([name, value]) => `    ${name}=${literal(value)},`),
    `    extra_body=${literal(rest)},`,
    ")",
    "print(answer.choices[0].message.content)",
    "print(answer.usage)",
    "",
  ].join("\n");
}

function asEvents(body, hasKey) {
  const key = `headers={"Authorization": "Bearer " + os.environ["UNMASK_API_KEY"]}`;
  return [
    "import json",
    "",
    "import httpx",
    "",
    `body = ${literal(body)}`,
    `url = ${literal(`${base()}/canvas`)}`,
    `with httpx.stream("POST", url, json=body, timeout=None${hasKey ? `, ${key}` : ""}) as answer:`,
    "    for line in answer.iter_lines():",
    `        if line.startswith("data: "):`,
    `            event = json.loads(line.removeprefix("data: "))`,
    `print(event["text"])`,
    "",
  ].join("\n");
}

/** A value as Python writes it. */
function literal(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    const pairs = Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${literal(item)}`);
    return `{${pairs.join(", ")}}`;
  }
  return JSON.stringify(value); // text and numbers are written alike
}
