"""`unmask models`: what is built in, and which checkpoints load."""

from __future__ import annotations

import argparse

from rich.table import Table

from unmask import catalogue
from unmask.cli.screen import Screen
from unmask.models.loading import FAMILIES, builtin, load

EXAMPLES = """\
examples:
  unmask models
  unmask generate --model ./my-llada-checkpoint "Why is the sky blue?"
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options."""
    del parser


def run(arguments: argparse.Namespace) -> None:
    """Print two tables."""
    del arguments
    console = Screen()
    table = Table("built in", "parameters", "kind", box=None, header_style="bold")
    for name in builtin():
        card = load(name, device="cpu").card
        kind = "autoregressive baseline" if card.causal else "masked diffusion"
        table.add_row(name, f"{card.parameters / 1e6:.2f} M", kind)
    console.print(table)
    families = Table("family", "checkpoints", box=None, header_style="bold")
    for name in catalogue.names(FAMILIES):
        module = catalogue.find(FAMILIES, name, "family")
        summary = (module.__doc__ or "").split("\n\n")[0].split(":", 1)[1]
        families.add_row(name, " ".join(summary.split()))
    console.print()
    console.print(families)
