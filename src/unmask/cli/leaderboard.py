"""`unmask leaderboard`: tables and plots of records, beside what others have published."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table as Grid

from unmask.cli import runs
from unmask.cli.screen import Screen
from unmask.errors import InputError
from unmask.evaluate import sheet
from unmask.evaluate.curve import MEASURED
from unmask.evaluate.leaderboard import Average, Table, averages, tables
from unmask.files import reason_of

EXAMPLES = """\
examples:
  unmask leaderboard runs/*.jsonl
  unmask leaderboard runs/*.jsonl.gz --out board
  unmask leaderboard runs/gsm8k.jsonl --family LLaDA --out board --theme light
  unmask leaderboard --published

Without --out the tables are printed, and nothing is written. With it the folder gets
leaderboard.md, leaderboard.csv and plots; the same records give the same files. In brackets: 95 %
intervals. Published curves stand beside ours only where the questions are the same.
"""
WIDTH = 140  # of a table in a file or pipe
THEMES = {"light": ("light",), "dark": ("dark",), "both": ("light", "dark")}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="records, JSON lines, also gzipped"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write to")
    runs.add_families(parser)
    parser.add_argument(
        "--theme", choices=[*THEMES], default="both", help="of the plots (default: both)"
    )
    parser.add_argument(
        "--format", choices=["svg", "png", "pdf"], default="svg", help="of the plots (default: svg)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Compute, print, write."""
    families = runs.families(arguments)
    if not arguments.files and not families:
        raise InputError("leaderboard has nothing to show; give files of records, or --published")
    curves = runs.measured(arguments.files)
    found, means = tables(curves, families), averages(curves, families)
    if not found:
        raise InputError("these records hold no generated tokens; a leaderboard needs some")
    console = Screen(wide=WIDTH, markup=False)  # labels are people's own
    for table in found:
        _print(console, table)
    for company in dict.fromkeys(one.company for one in means):
        _print_means(console, [one for one in means if one.company == company])
    if arguments.out:
        _write(arguments, found, means)
        console.print(f"{arguments.out}: leaderboard.md, leaderboard.csv and plots", style="dim")


def _print(console: Screen, table: Table) -> None:
    # Who a row is from stands in the title already, but in mixed company.
    mixed = len({row.curve.source for row in table.rows}) > 1
    names = sheet.heads(table.metric)
    heads = [head for head in names if mixed or head != "source"]
    grid = Grid(box=None, header_style="bold", padding=(0, 1), title=table.title)
    grid.title_justify, grid.title_style = "left", "bold"
    for head in heads:
        grid.add_column(head, justify="left" if head in ("method", "source") else "right")
    for row in table.rows:
        cells = dict(zip(names, sheet.cells(row, brief=True), strict=True))
        grid.add_row(*(cells[head] for head in heads))
    console.table(grid)
    for note in table.notes:
        console.print(note, style="dim")
    console.print()


def _print_means(console: Screen, own: Sequence[Average]) -> None:
    grid = Grid(box=None, header_style="bold", padding=(0, 1))
    grid.title, grid.title_justify = sheet.mean_title(own[0].company), "left"
    grid.title_style = "bold"
    for head in sheet.MEAN_HEADS:
        grid.add_column(head, justify="left" if head == "method" else "right")
    for one in own:
        grid.add_row(*sheet.mean_cells(one))
    console.table(grid)
    console.print()


def _write(arguments: argparse.Namespace, found: list[Table], means: list[Average]) -> None:
    out: Path = arguments.out
    pictures: dict[str, dict[str, str]] = {}
    for theme in THEMES[arguments.theme]:
        for title, stem in _plots(out, found, means, theme, arguments.format):
            pictures.setdefault(title, {})[theme] = stem
    try:
        out.mkdir(parents=True, exist_ok=True)
        page = sheet.markdown(found, means, pictures)
        (out / "leaderboard.md").write_text(page, encoding="utf-8")
        (out / "leaderboard.csv").write_text(sheet.table_csv(found), encoding="utf-8")
    except OSError as error:
        raise InputError(f"out={str(out)!r} cannot be written: {reason_of(error)}") from None


def _plots(
    out: Path, found: list[Table], means: list[Average], theme: str, kind: str
) -> Iterator[tuple[str, str]]:
    """Write them; yields section and file name of each."""
    from unmask.evaluate.plots import bars, curves, radar, style

    end = f"-dark.{kind}" if theme == "dark" else f".{kind}"
    order = _order(found)
    for table in found:
        name = f"curves-{_slug(table.title)}{end}"
        style.save(curves.draw(table.rows, table.title, theme, order), out / name)
        yield table.title, name
    for company in dict.fromkeys(one.company for one in means):
        own = [one for one in means if one.company == company]
        title = sheet.mean_title(company)
        spokes = [table for table in found if table.company == company]
        shared = [one for one in own if one.tasks == one.of]
        if len(spokes) == own[0].of >= radar.LEAST and shared:
            name = f"radar-{_slug(company)}{end}"
            style.save(radar.draw(spokes, title, theme, order), out / name)
        else:
            name = f"means-{_slug(company)}{end}"
            style.save(bars.draw(bars.means(own), "aup", theme, order), out / name)
        yield title, name


def _order(found: Sequence[Table]) -> list[str]:
    """Labels in the order of their colours: a method looks the same in all plots."""
    rows = [row for table in found for row in table.rows if row.curve.source == MEASURED]
    return sorted({row.curve.label for row in rows})


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9+]+", "-", title.lower()).strip("-")
