"""`unmask inspect`: replay a saved trajectory."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.live import Live
from rich.table import Table

from unmask.canvas.trajectory import Trajectory
from unmask.cli.drawing import draw
from unmask.cli.screen import Screen
from unmask.errors import counted
from unmask.models.loading import builtin, find_folder
from unmask.text import tokenizer

EXAMPLES = """\
examples:
  unmask generate "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?" \\
      --save mia.trajectory
  unmask inspect mia.trajectory
  unmask inspect mia.trajectory --table
"""

WIDTH = 200  # of the table in a file or pipe


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("file", type=Path, help="the trajectory")
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="whose tokenizer to use (default: the built-in model that the file names)",
    )
    parser.add_argument("--table", action="store_true", help="print one line per forward")
    parser.add_argument(
        "--pause", type=float, default=0.2, metavar="S", help="seconds per forward (default: 0.2)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Replay."""
    trajectory = Trajectory.load(arguments.file)
    codec = _codec(arguments.model, trajectory.model)
    if codec is None:
        hint = f"{trajectory.model} is not built in: ids are shown; give --model for text"
        print(hint, file=sys.stderr)
    console = Screen()
    if arguments.table or not console.is_terminal:
        if not console.is_terminal:
            console.width = WIDTH
        console.print(_table(trajectory, codec))
        return
    start = trajectory.prompt_length
    tokens, born = trajectory.tokens_L[start:], trajectory.born_L[start:]
    with Live(console=console, auto_refresh=False) as screen:
        for step in range(trajectory.steps + 1):
            screen.update(draw(tokens, born, step, codec), refresh=True)
            time.sleep(max(arguments.pause, 0.0))
    console.print(
        f"{trajectory.model} · {trajectory.policy} · "
        f"{counted(trajectory.steps, 'forward')} · "
        f"{counted(int(trajectory.fed.sum()), 'position')} fed",
        style="dim",
    )


def _codec(asked: str | None, recorded: str) -> tokenizer.TextCodec | None:
    """The tokenizer to show text with; None (ids are shown) if it is not at hand.

    A name that the file records is looked up among the built-in models only.
    """
    if asked:
        return tokenizer.read(find_folder(asked))
    return tokenizer.read(builtin()[recorded]) if recorded in builtin() else None


def _table(trajectory: Trajectory, codec: tokenizer.TextCodec | None) -> Table:
    table = Table("forward", "fed", "written", "tokens", box=None, header_style="bold")
    start = trajectory.prompt_length
    for step in range(1, trajectory.steps + 1):
        at = start + np.flatnonzero(trajectory.born_L[start:] == step)
        ids = trajectory.tokens_L[at].tolist()
        shown = " ".join(
            _runs([codec.decode([t], keep_special=True) if codec else str(t) for t in ids])
        )
        table.add_row(str(step), str(trajectory.fed[step - 1]), str(len(at)), shown)
    return table


def _runs(words: list[str]) -> Iterator[str]:
    """Words without their spaces; repeated ones (padding behind the end) are counted."""
    for word, same in itertools.groupby(word.strip() for word in words):
        count = len(list(same))
        yield word if count == 1 else f"{word} x{count}"
