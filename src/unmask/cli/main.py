"""The command `unmask`: a table of sub-commands, and errors as one clear line."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Collection, Sequence
from importlib import import_module
from typing import Any, NoReturn, TextIO

from unmask import __version__
from unmask.errors import UnmaskError

COMMANDS = {
    "generate": "answer a prompt, watching the masks resolve",
    "chat": "talk in turns; an empty line or Ctrl-D ends it",
    "serve": "serve a model over HTTP, in OpenAI's API, with a page to watch",
    "batch": "answer a file of OpenAI batch requests, without a server",
    "bench": "compare presets on the same prompts, interleaved in one run",
    "tune": "find the fastest preset and bar that keep the accuracy of one token per forward",
    "eval": "measure accuracy and tokens per forward on tasks; sweep a setting; AUP",
    "leaderboard": "turn records of unmask eval into tables and plots, beside published ones",
    "plot": "draw curves, a radar or bars of records, or the decoding order of trajectories",
    "harvest": "store a teacher's answers and their order of writing, to distil from",
    "doctor": "check data, lengths, memory and time before a training run",
    "distill": "train a student on a harvest, so that it needs fewer forward passes",
    "train": "train a masked model on prompts and answers (the base objective)",
    "merge": "add a trained adapter to its model and write the checkpoint",
    "inspect": "replay a trajectory that generate --save wrote",
    "models": "list the built-in models and the families that load",
}
"""What each command does. Its options stand in the file of its name, which brings torch along."""
ABOUT = """\
unmask: run diffusion language models, fast.

A diffusion model starts from an answer made of masks and unmasks many of them in each forward pass.
"""
EXAMPLES = """\
examples:
  unmask generate "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"
  unmask bench
  unmask generate --model GSAI-ML/LLaDA-8B-Instruct "Why is the sky blue?"

unmask COMMAND --help shows the options of a command, with examples.
"""


def parser(filled: Collection[str] = ()) -> argparse.ArgumentParser:
    """The command line: every command with its help, those in ``filled`` with their options."""
    top = Parser(
        prog="unmask",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"unmask {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=about,
            description=about[0].upper() + about[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in filled:
            module = import_module(f"unmask.cli.{name}")
            sub.epilog = module.EXAMPLES
            module.add_options(sub)
            sub.set_defaults(run=module.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 2 for bad input, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):  # a terminal without Unicode gets question marks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    given_ = sys.argv[1:] if arguments is None else arguments
    command = next((one for one in given_ if not one.startswith("-")), "")
    try:
        given = parser([command]).parse_args(given_)
        given.run(given)
        sys.stdout.flush()
    except UnmaskError as error:
        print(f"unmask: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("unmask: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away
        _forget(sys.stdout)
        return 0
    except OSError as error:
        print(f"unmask: the output cannot be written: {error}", file=sys.stderr)
        _forget(sys.stdout)
        return 2
    return 0


def _forget(stream: TextIO) -> None:
    """Drop what could not be written, or the interpreter would try again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Parser(argparse.ArgumentParser):
    """Errors in one line; options are never abbreviated."""

    def __init__(self, **given: Any) -> None:
        super().__init__(allow_abbrev=False, **given)

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        if message.startswith("unrecognized arguments"):
            message += " (a prompt of several words needs quotes)"
        self.exit(2, f"unmask: {message}; {self.prog} --help shows what there is\n")
