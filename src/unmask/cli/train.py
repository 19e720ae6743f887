"""`unmask train`: a masked model from prompts and answers, by the base objective."""

from __future__ import annotations

import argparse

from unmask.cli import training

EXAMPLES = """\
examples:
  unmask harvest --answers mine.jsonl --out runs/mine
  unmask train --data runs/mine --out runs/tuned --set rate=1e-4

A line of mine.jsonl is {"prompt": ..., "answer": ...}. Interrupted runs go on when the same command
is given again.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    training.add_options(parser, "base")


def run(arguments: argparse.Namespace) -> None:
    """Train."""
    training.run(arguments)
