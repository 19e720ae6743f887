"""Fill gaps in a fixed text: what stands behind a gap counts as much as what stands before it.

python examples/fill_gaps.py
"""

from __future__ import annotations

import unmask

QUESTION = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"


def main() -> None:
    """Three gaps of one token each; all the rest is given."""
    model = unmask.load("tiny")
    text = unmask.Infill(
        "Step 1: Mia buys 7 apples, so 12 + 7 =", 1,
        ". In the end Mia has", 1,
        " apples. The answer is", 1, ".",
        prompt=QUESTION,
    )  # fmt: skip
    [answer] = unmask.generate(model, text)
    print(answer.text)
    print(f"{answer.tokens} tokens in {answer.forwards} forwards")


if __name__ == "__main__":
    main()
