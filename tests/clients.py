"""What clients send, and which cells of the table in docs/serving.md that makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
CHAT = "/v1/chat/completions"
COLUMNS = (
    "chat", "streamed chat", "text", "streamed text", "usage in a stream", "seed", "stop", "n",
    "logprobs", "structured output", "tools", "score a prompt",
)  # fmt: skip
BLAMED = {
    "response_format": "structured output",
    "tools": "tools",
    "tool_choice": "tools",
    "parallel_tool_calls": "tools",
    "logprobs": "logprobs",
    "top_logprobs": "logprobs",
    "echo": "score a prompt",
}
"""The column that a refused field belongs to. No other field that clients send may be refused."""
RECORDED = sorted((ROOT / "tests/data/clients").glob("*.json"))


class Asked(NamedTuple):
    """A request with a body, and the field that was refused (None: it was answered)."""

    path: str
    body: dict[str, Any]
    refused: str | None


def recording(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def columns_of(path: str, body: dict[str, Any]) -> set[str]:
    """What a request makes use of."""
    kind = ("streamed " if body.get("stream") else "") + ("chat" if path == CHAT else "text")
    used = {
        "usage in a stream": (body.get("stream_options") or {}).get("include_usage"),
        "seed": body.get("seed") is not None,
        "stop": body.get("stop"),
        "n": (body.get("n") or 1) > 1,
        "logprobs": body.get("logprobs"),
    }
    return {kind, *(name for name, is_used in used.items() if is_used)}


def row(requests: list[Asked]) -> list[str]:
    """The cells of a client: yes, refused, partly, or nothing where it never asked."""
    works, refused = set(), set()
    for path, body, field in requests:
        if field is None:
            works |= columns_of(path, body)
        else:
            refused.add(BLAMED[field])
    words = {
        (True, False): "yes", (False, True): "refused", (True, True): "partly", (False, False): "",
    }  # fmt: skip
    return [words[name in works, name in refused] for name in COLUMNS]


def documented() -> dict[str, list[str]]:
    """The cells of the table in docs/serving.md, by client."""
    text = (ROOT / "docs/serving.md").read_text()
    lines = text.split("\n## Clients\n")[1].split("\n## ")[0].splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    assert rows[0] == ["client", *COLUMNS]
    return {cells[0]: cells[1:] for cells in rows[2:]}
