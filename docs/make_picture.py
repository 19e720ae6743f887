"""Draws docs/unmasking.svg: one answer of the built-in model at some of its forward passes.

Run `python docs/make_picture.py` again whenever the built-in weights change.
"""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from rich.text import Text

import unmask
from unmask.cli.drawing import draw

QUESTION = (
    "Mia has 12 apples. She buys 7 apples. Then Mia doubles the apples. "
    "How many apples does Mia have now?"
)
PICTURES = 5
WIDTH = 92


def main() -> None:
    """Decode, draw, save."""
    model = unmask.load("tiny", device="cpu")
    result = unmask.generate(model, QUESTION)[0]
    film, start = result.trajectory, result.trajectory.prompt_length
    stop = start + result.tokens - 1
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text(f'$ unmask generate "{QUESTION}"', "bold"))
    for picture in range(PICTURES):
        step = round(picture * film.steps / (PICTURES - 1))
        console.print()
        console.print(Text(f"forward {step} of {film.steps}", "grey62"))
        console.print(draw(film.tokens_L[start:stop], film.born_L[start:stop], step, model.codec))
    svg = console.export_svg(title="an answer being unmasked")
    (Path(__file__).parent / "unmasking.svg").write_text(svg)
    print(f"{result.tokens} tokens, {film.steps} forwards: docs/unmasking.svg")


if __name__ == "__main__":
    main()
