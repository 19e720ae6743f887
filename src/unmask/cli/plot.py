"""`unmask plot`: one picture of records, published curves or trajectories."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from unmask.canvas.trajectory import Trajectory
from unmask.cli import runs
from unmask.decode.settings import whole_number
from unmask.errors import InputError
from unmask.evaluate.curve import MEASURED
from unmask.evaluate.leaderboard import Table, tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXAMPLES = """\
examples:
  unmask plot curves runs/*.jsonl --task stories --out curves.svg
  unmask plot curves --family Dream --task MATH --out math.pdf
  unmask plot radar --family LLaDA --theme dark --out llada.png
  unmask plot bars runs/*.jsonl --figure tokens-per-second --out speed.svg
  unmask generate "Tom has 3 pens. How many pens does Tom have now?" --save a.trajectory
  unmask plot heat a.trajectory b.trajectory --names d3llm vanilla --block-length 16 --out heat.svg

unmask plot KIND --help shows the options of a kind. The same input gives the same file.
"""
KINDS = {
    "curves": "accuracy over tokens per forward, of one task",
    "radar": "AUP of every task",
    "bars": "one figure of every method, by task",
    "heat": "which forward wrote which position of an answer",
}
FIGURES = ("aup", "own-aup", "tokens-per-forward", "tokens-per-second", "accuracy")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's kinds, each with its options."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for kind, about in KINDS.items():
        own = kinds.add_parser(kind, help=about, description=about[0].upper() + about[1:] + ".")
        what = "trajectories" if kind == "heat" else "records, JSON lines, also gzipped"
        own.add_argument("files", nargs="*", type=Path, metavar="FILE", help=what)
        own.add_argument(
            "--out", type=Path, required=True, metavar="FILE", help="ends in .svg, .png or .pdf"
        )
        own.add_argument(
            "--theme", choices=["light", "dark"], default="light", help="(default: light)"
        )
        if kind != "bars":
            own.add_argument("--title", help="instead of the one made up")
        if kind == "heat":
            _add_heat(own)
            continue
        runs.add_families(own)
        own.set_defaults(task=None)
        if kind != "radar":
            own.add_argument("--task", metavar="NAME", help="of this task only")
        if kind == "bars":
            own.add_argument("--figure", choices=FIGURES, default="aup", help="(default: aup)")


def _add_heat(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--names", nargs="+", metavar="NAME", help="what to call the trajectories")
    parser.add_argument("--block-length", type=int, metavar="N", help="mark borders of blocks")


def run(arguments: argparse.Namespace) -> None:
    """Draw and write."""
    from unmask.evaluate.plots import style

    drawing = {"curves": _curves, "radar": _radar, "bars": _bars, "heat": _heat}[arguments.kind]
    style.save(drawing(arguments), arguments.out)
    print(arguments.out)


def _curves(arguments: argparse.Namespace) -> Figure:
    from unmask.evaluate.plots import curves

    found = _tables(arguments)
    if len(found) > 1:
        raise InputError(
            f"curves are drawn of one table, here are {len(found)} "
            f"({'; '.join(table.title for table in found)}); choose by --task and --family"
        )
    return curves.draw(found[0].rows, arguments.title or found[0].title, arguments.theme)


def _radar(arguments: argparse.Namespace) -> Figure:
    from unmask.evaluate.plots import radar

    found = _tables(arguments)
    companies = list(dict.fromkeys(table.company for table in found))
    if len(companies) > 1:
        raise InputError(
            f"a radar is drawn of one company, here are {'; '.join(companies)}; choose by --family"
        )
    return radar.draw(found, arguments.title or f"AUP, {companies[0]}", arguments.theme)


def _bars(arguments: argparse.Namespace) -> Figure:
    from unmask.evaluate.plots import bars

    panels = bars.panels(_tables(arguments), arguments.figure)
    return bars.draw(panels, arguments.figure, arguments.theme)


def _heat(arguments: argparse.Namespace) -> Figure:
    from unmask.evaluate.plots import heat

    if arguments.block_length is not None:
        whole_number("block_length", arguments.block_length, 1, "a whole number of at least 1")
    names = arguments.names or [""] * len(arguments.files)
    if len(names) != len(arguments.files):
        raise InputError(
            f"names: {len(names)} for {len(arguments.files)} trajectories; give one for each"
        )
    pairs = zip(arguments.files, names, strict=True)
    strips = [heat.strip(Trajectory.load(file), name) for file, name in pairs]
    title = arguments.title or "Order of writing"
    return heat.draw(strips, title, arguments.theme, arguments.block_length)


def _tables(arguments: argparse.Namespace) -> list[Table]:
    """The tables asked for; in company of published curves, where that was asked for."""
    families = runs.families(arguments)
    found = tables(runs.measured(arguments.files), families)
    if arguments.task:
        found = [table for table in found if table.task.lower() == arguments.task.lower()]
    if families:
        found = [table for table in found if table.company != MEASURED] or found
    if not found:
        raise InputError(
            f"there is nothing to draw for task {arguments.task}; leave --task away to see all"
            if arguments.task
            else "there is nothing to draw; give files of records, or --published"
        )
    return found
