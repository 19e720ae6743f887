"""`unmask generate`: one answer, live; or a file of prompts."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from unmask.canvas.events import Commit
from unmask.cli import figures, options, prompt_file
from unmask.cli.drawing import draw
from unmask.cli.screen import Screen
from unmask.decode.generate import BATCH, Result, Watch, finished, prepare
from unmask.decode.prompts import Infill, Prompt
from unmask.decode.step import Row
from unmask.errors import InputError
from unmask.models.loading import Model

EXAMPLES = """\
examples:
  unmask generate "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"
  unmask generate "Solve this sudoku: 0 2 1 0 1 0 4 0 3 1 0 0 2 4 0 0" --max-new-tokens 32
  unmask generate "..." --preset vanilla --json        the slow baseline, as one JSON object
  unmask generate "..." --cache prefix --factor 1.0    another cache and another rule
  unmask generate "..." --infill "So 12 + 7 =[1]."     [n] is a gap of n tokens, the rest is fixed
  unmask generate --prompts in.jsonl --out out.jsonl   a batch; give it again to go on after Ctrl-C
"""
GAP = re.compile(r" ?\[(\d{1,9})\]")
"""A gap. It takes the space before it, which is part of the next token."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("prompt", nargs="?", help="the question")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--infill", metavar="TEXT", help="a fixed answer with gaps: [n] is n tokens"
    )
    parser.add_argument("--raw", action="store_true", help="leave the chat template away")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the trajectory")
    parser.add_argument(
        "--pause", type=float, default=0.05, metavar="S",
        help="least seconds between two pictures at a terminal, not counted (default: 0.05)",
    )  # fmt: skip
    group = parser.add_argument_group("batches")
    group.add_argument("--prompts", type=Path, metavar="FILE", help="JSON lines, see docs/cli.md")
    group.add_argument("--out", type=Path, metavar="FILE", help="JSON lines to write (resumable)")
    group.add_argument(
        "--batch-size", type=int, default=BATCH, metavar="N",
        help=f"prompts that share a forward (default: {BATCH})",
    )  # fmt: skip
    options.add_model(parser, "tiny-fast")
    options.add_decoding(parser)
    options.add_sampling(parser)


def run(arguments: argparse.Namespace) -> None:
    """Answer."""
    if arguments.prompts:
        _refuse(arguments, ("prompt", "infill", "save"), "--prompts")
        prompt_file.run(arguments)
        return
    _refuse(arguments, ("out",), "a single prompt")
    if arguments.infill is not None:
        _refuse(arguments, ("max_new_tokens",), "--infill, which brings its own length")
    if arguments.save and (
        arguments.save.is_dir() or not arguments.save.absolute().parent.is_dir()
    ):
        raise InputError(f"--save {arguments.save} cannot be written; name a file in a folder")
    prompt = _prompt(arguments)
    model = options.load_model(arguments)
    preset = options.preset_name(arguments, model)
    rows = prepare(
        model, [prompt], preset, raw=arguments.raw, overrides=options.overrides(arguments)
    )
    console = Screen()
    live = console.is_terminal and not arguments.json
    with watching(console, model, rows[0], arguments.pause, live=live) as watch:
        [(_, result)] = finished(model, rows, 1, watch)
    if arguments.save:  # before anything is printed: the reader of a pipe may be gone by then
        result.trajectory.save(arguments.save)
    _show(console, result, arguments, preset, model)


def _prompt(arguments: argparse.Namespace) -> Prompt:
    if arguments.infill is not None:
        parts = [
            int(part) if at % 2 else part
            for at, part in enumerate(GAP.split(arguments.infill))
            if part
        ]
        return Infill(*parts, prompt=arguments.prompt or "")
    if arguments.prompt is None:
        raise InputError('no prompt was given; type unmask generate "your question"')
    return str(arguments.prompt)


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...], reason: str) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            shown = "a prompt" if name == "prompt" else f"--{name.replace('_', '-')}"
            raise InputError(f"{shown} cannot be combined with {reason}; drop one of the two")


def _show(
    console: Console, result: Result, arguments: argparse.Namespace, preset: str, model: Model
) -> None:
    if arguments.json:
        print(json.dumps(figures.as_object(result, preset, model), ensure_ascii=False))
        return
    if not console.is_terminal:
        print(result.text if result.text is not None else result.token_ids)
    console.print(figures.as_line(result, preset, model.card.name), style="dim", soft_wrap=True)


@contextmanager
def watching(
    console: Console, model: Model, row: Row, pause: float, *, live: bool
) -> Iterator[Watch | None]:
    """A watcher that redraws the canvas after every forward; None when nobody looks."""
    if not live:
        yield None
        return
    start = row.canvas.prompt_length

    def picture() -> Any:
        canvas = row.canvas
        return draw(canvas.tokens_L[start:], canvas.born_L[start:], canvas.step, model.codec)

    with Live(picture(), console=console, auto_refresh=False) as screen:

        def watch(commits: list[Commit], seconds: float) -> None:
            del commits, seconds
            screen.update(picture(), refresh=True)
            time.sleep(max(pause, 0.0))

        yield watch
