"""Ask a running `unmask serve` with the ordinary client of OpenAI, and read a stream.

unmask serve tiny-fast --port 8000
python examples/ask_server.py http://127.0.0.1:8000/v1      (needs: pip install openai)
"""

from __future__ import annotations

import sys

from openai import OpenAI

QUESTION = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"


def main(url: str) -> None:
    """Once whole, with settings of ours beside OpenAI's; once as a stream."""
    client = OpenAI(base_url=url, api_key="none")
    model = client.models.list().data[0].id
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": QUESTION}],
        extra_body={"preset": "d3llm", "threshold": 0.5},
    )
    usage = answer.usage.model_dump() if answer.usage else {}
    print(answer.choices[0].message.content)
    print(f"{usage['completion_tokens']} tokens in {usage['forwards']} forwards")
    stream = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    main(sys.argv[1])
