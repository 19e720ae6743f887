"""Files of records on the command line, as the curves they amount to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from unmask.evaluate import published, record
from unmask.evaluate.curve import Curve
from unmask.evaluate.metrics import curves, points


def add_families(parser: argparse.ArgumentParser) -> None:
    """Which published curves to take in."""
    parser.add_argument(
        "--published", action="store_true", help="take in the published curves of all families"
    )
    parser.add_argument(
        "--family",
        action="append",
        default=[],
        metavar="NAME",
        help=f"those of one family only: {', '.join(published.FAMILIES)}; may be repeated",
    )


def families(arguments: argparse.Namespace) -> list[str]:
    """The families asked for.

    Raises:
        InputError: one that does not exist.
    """
    if arguments.family:
        return list(dict.fromkeys(published.family(name) for name in arguments.family))
    return list(published.FAMILIES) if arguments.published else []


def measured(files: Sequence[Path]) -> list[Curve]:
    """The curves of all records in ``files``.

    Raises:
        InputError: a file cannot be read, or a record stands there twice.
    """
    return curves(points(row for file in files for row in record.read(file)))
