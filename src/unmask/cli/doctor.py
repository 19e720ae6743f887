"""`unmask doctor`: checks data, recipe and machine before a long run."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.table import Table

from unmask.cli import training
from unmask.cli.screen import Screen
from unmask.errors import InputError

EXAMPLES = """\
examples:
  unmask doctor --recipe d3llm-tiny --data runs/harvest

Takes the options of unmask distill; nothing is written. Ends with 2 if there is something to mend.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    training.add_options(parser, None, out=False)


def run(arguments: argparse.Namespace) -> None:
    """Examine, print, and fail if something has to be mended."""
    with tempfile.TemporaryDirectory() as folder:
        arguments.out = Path(folder) / "run"
        session = training.begin(arguments)
        from unmask.distill.doctor import examine

        findings = examine(session)
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        table.add_row(f"[dim]{finding.what}[/]", finding.value, f"[yellow]{finding.trouble}[/]")
    Screen().print(table)
    troubles = [finding.trouble for finding in findings if finding.trouble]
    if troubles:
        raise InputError("; ".join(troubles))
