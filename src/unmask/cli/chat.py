"""`unmask chat`: turns at the terminal."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from unmask.cli import figures, options
from unmask.cli.generate import watching
from unmask.cli.screen import Screen
from unmask.decode.generate import finished, prepare
from unmask.errors import PromptError
from unmask.text.chat import Message

EXAMPLES = """\
examples:
  unmask chat
  unmask chat --model GSAI-ML/LLaDA-8B-Instruct --system "Answer in one sentence."

The built-in model reads the last message only; larger models get the whole conversation.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--system", metavar="TEXT", help="a system message")
    parser.add_argument("--pause", type=float, default=0.05, metavar="S", help=argparse.SUPPRESS)
    options.add_model(parser, "tiny-fast")
    options.add_decoding(parser)
    options.add_sampling(parser)


def run(arguments: argparse.Namespace) -> None:
    """Read a line, answer it, until there is none."""
    model = options.load_model(arguments)
    if model.template is None:
        raise PromptError(f"{model.card.name} has no chat template; use unmask generate")
    preset = options.preset_name(arguments, model)
    overrides = options.overrides(arguments)
    console = Screen()
    turns: list[Message] = []
    if arguments.system:
        turns.append({"role": "system", "content": arguments.system})
    while text := _ask(console):
        turns.append({"role": "user", "content": text})
        try:
            rows = prepare(model, [turns], preset, raw=False, overrides=overrides)
        except PromptError as error:  # too long, say: this turn is dropped, the talk goes on
            turns.pop()
            print(f"unmask: {error}", file=sys.stderr)
            continue
        with watching(console, model, rows[0], arguments.pause, live=console.is_terminal) as watch:
            [(_, result)] = finished(model, rows, 1, watch)
        if not console.is_terminal:
            print(result.text)
        console.print(figures.as_line(result, preset, model.card.name), style="dim", soft_wrap=True)
        turns.append({"role": "assistant", "content": result.text or ""})


def _ask(console: Console) -> str:
    try:
        return console.input("[bold]> [/bold]" if console.is_terminal else "").strip()
    except EOFError:
        return ""
