"""The command `unmask`: a table of sub-commands, and errors as one clear line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from unmask import __version__
from unmask.cli import bench, chat, generate, inspect, models
from unmask.errors import UnmaskError

COMMANDS = (generate, chat, bench, inspect, models)
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
    top = argparse.ArgumentParser(
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
    given = parser().parse_args(arguments)
    try:
        given.run(given)
    except UnmaskError as error:
        print(f"unmask: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("unmask: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away
        sys.stderr.close()
        return 0
    return 0
