"""A decoding rule of your own, without a change to the installed package.

    python examples/own_rule.py

File names are names: every file in a plug-in folder is a variant. Folders that are added to the
package's search path, as below, count as well. docs/extend.md has the whole story.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import unmask
import unmask.decode.strategies

RULE = (
    Path(__file__).parent / "strategies"
)  # holds per_block.py, so there is a strategy of that name
QUESTION = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"


def main() -> None:
    """The same question with a published rule and with ours."""
    unmask.decode.strategies.__path__.append(str(RULE))
    model = unmask.load("tiny")
    rules: list[dict[str, Any]] = [
        {"strategy": "threshold", "threshold": 0.95},
        {"strategy": "per_block", "most": 3, "floor": 0.8},  # options that our file declares
    ]
    for rule in rules:
        [answer] = unmask.generate(model, QUESTION, "fast-dllm", **rule)
        print(f"{rule}: {answer.forwards} forwards: {answer.text}")


if __name__ == "__main__":
    main()
