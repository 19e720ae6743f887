"""`unmask eval --harness`: tasks of lm-eval, its own table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.table import Table

from unmask.cli import options
from unmask.cli.screen import Screen
from unmask.decode.settings import whole_number
from unmask.errors import InputError
from unmask.evaluate import harness, provenance
from unmask.evaluate.likelihood import Effort
from unmask.files import reason_of
from unmask.models.loading import find_folder

WIDTH = 1000  # of a table in a file or pipe: as lm-eval has it


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that only lm-eval's tasks need."""
    group = parser.add_argument_group("tasks of lm-eval")
    group.add_argument(
        "--harness",
        metavar="A,B",
        help="lm-eval's tasks, groups or files",
    )
    group.add_argument("--include-path", type=Path, metavar="DIR", help="folder of further tasks")
    group.add_argument("--shots", type=int, metavar="N", help="worked examples in the prompt")
    group.add_argument("--chat", action="store_true", help="use the chat template")
    group.add_argument(
        "--unsafe", action="store_true",
        help="allow lm-eval's code tasks, which run what a model wrote without a sandbox",
    )  # fmt: skip


def refuse(arguments: argparse.Namespace) -> None:
    """What is given without --harness and means nothing then.

    Raises:
        InputError: there is such an option.
    """
    for name in ("include_path", "shots", "chat", "unsafe"):
        given = getattr(arguments, name)
        if given is not None and given is not False:  # 0 shots is something given
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} is for lm-eval's tasks; drop it, or name some by --harness")


def run(arguments: argparse.Namespace) -> None:
    """Ask, print the table, write results and answers to --out."""
    _check(arguments)
    names = tuple(name.strip() for name in arguments.harness.split(",") if name.strip())
    request = harness.Request(
        names, arguments.count, arguments.include_path, arguments.shots, arguments.chat,
        arguments.unsafe,
    )  # fmt: skip
    model = options.load_model(arguments)
    outcome = harness.run(
        model,
        request,
        options.preset_name(arguments, model),
        options.overrides(arguments),
        Effort(arguments.samples, batch_size=arguments.batch_size),
        provenance.fingerprint(find_folder(arguments.model)),
    )
    if arguments.out:
        text = json.dumps(outcome.results, default=str, ensure_ascii=False)
        try:
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"out={str(arguments.out)!r} cannot be written: {reason_of(error)}"
            ) from None
    if arguments.json:
        print(json.dumps(outcome.results["results"], default=str))
    else:
        _print(outcome)


def _print(outcome: harness.Outcome) -> None:
    """lm-eval's tables as they are, or as lists where the terminal is too narrow for them."""
    screen = Screen(wide=WIDTH, markup=False)
    for part in outcome.table.strip().split("\n\n"):
        if max(map(len, part.splitlines())) <= screen.width:
            screen.print(part, soft_wrap=True)
        else:
            screen.table(_grid(part))
    if outcome.unrecorded:
        names = ", ".join(outcome.unrecorded)
        screen.print(
            f"no records of what was ranked, or has no score from 0 to 1: {names}", soft_wrap=True
        )


def _grid(markdown: str) -> Table:
    heads, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()
    )
    table = Table(*heads, box=None)
    for row in rows:
        table.add_row(*row)
    return table


def _check(arguments: argparse.Namespace) -> None:
    for name in ("task", "data", "sweep", "method", "style"):
        if getattr(arguments, name):
            raise InputError(f"--{name} is for our own tasks; drop it, or drop --harness")
    if arguments.mode == "likelihood":
        raise InputError("lm-eval's tasks say themselves whether they rank; drop --mode likelihood")
    if arguments.shots is not None:
        whole_number("shots", arguments.shots, 0, "a whole number, 0 or more")
    if arguments.out and arguments.out.exists():
        raise InputError(f"out={str(arguments.out)!r} is there already; give another file")
