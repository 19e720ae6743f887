"""The command `unmask`: a table of sub-commands, and errors as one clear line."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

from unmask import __version__
from unmask.cli import (
    batch,
    bench,
    chat,
    distill,
    doctor,
    eval,
    generate,
    harvest,
    inspect,
    leaderboard,
    merge,
    models,
    plot,
    serve,
    train,
    tune,
)
from unmask.errors import UnmaskError

COMMANDS = (
    generate, chat, serve, batch, bench, tune, eval, leaderboard, plot, harvest, doctor, distill,
    train, merge, inspect, models,
)  # fmt: skip
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


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(
        prog="unmask",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"unmask {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        sub = commands.add_parser(
            module.NAME,
            help=module.HELP,
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_options(sub)
        sub.set_defaults(run=module.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 2 for bad input, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):  # a terminal without Unicode gets question marks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        given = parser().parse_args(arguments)
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
