"""`unmask tune`: the fastest settings that keep the accuracy."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.progress import TextColumn, TimeElapsedColumn
from rich.table import Table

from unmask.cli import options
from unmask.cli.screen import Bar, Screen
from unmask.decode.options import table
from unmask.decode.saved import write_settings
from unmask.decode.settings import MAX_NEW_TOKENS, in_range, whole_number
from unmask.decode.window import BLOCK_LENGTH
from unmask.errors import InputError
from unmask.evaluate import examples as tasks
from unmask.evaluate.bench import Line, Workload, workload
from unmask.evaluate.curve import ACCURACY, named
from unmask.evaluate.tune import Rung, Verdict, tune
from unmask.models.loading import Model

EXAMPLES = """\
examples:
  unmask tune
  unmask tune --model ./checkpoint --task sudoku --budget 0.5 --out sudoku.json
  unmask generate --settings settings.json "..."

Tried: fast-dllm and d3llm with their caches, and dparallel, each from a careful bar to a bold one.
The result is a settings file, which other commands take as --settings.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    options.add_task(parser, "stories")
    parser.add_argument(
        "--count", type=int, default=100, metavar="N", help="problems (default: 100)"
    )
    parser.add_argument(
        "--budget", type=float, default=1.0, metavar="POINTS",
        help="accuracy that may be lost, in points (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--batch-size", type=int, default=1, metavar="N",
        help="prompts that share a forward (default: 1)",
    )  # fmt: skip
    options.add_option(parser, table()[BLOCK_LENGTH.name])
    parser.add_argument(
        "--out", type=Path, default=Path("settings.json"), metavar="FILE",
        help="settings file to write (default: settings.json)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_model(parser)


def run(arguments: argparse.Namespace) -> None:
    """Search, print the curve, write the file."""
    for name in ("count", "batch_size"):
        whole_number(name, getattr(arguments, name), 1, "a whole number of at least 1")
    budget = in_range("budget", arguments.budget, 0, 100, "accuracy points from 0 to 100") / 100
    task = tasks.find(arguments.task or "stories")
    model = options.load_model(arguments)
    if model.card.causal:
        raise InputError(f"{model.card.name} is causal: it writes one token per forward anyway")
    if model.card.span is not None:
        raise InputError(
            f"{model.card.name} is block-causal, and tune tries presets for models that see the "
            "whole text; try bars with unmask eval --sweep threshold=0.8,0.9"
        )
    if model.codec is None:
        raise InputError(f"{model.card.name} has no tokenizer, so its answers cannot be scored")
    examples = tasks.examples(task, arguments.count, data=arguments.data)
    load = workload(model, task, examples, arguments.batch_size)
    size: dict[str, Any] = {MAX_NEW_TOKENS.name: task.canvas}
    if arguments.block_length is not None:
        size[BLOCK_LENGTH.name] = arguments.block_length
    verdict = _searched(model, load, size, budget)
    if verdict.best:
        _write(arguments, verdict.best)
    if arguments.json:
        print(json.dumps(_as_object(verdict)))
    else:
        _print(verdict, arguments)


def _searched(model: Model, load: Workload, size: dict[str, Any], budget: float) -> Verdict:
    with Bar(TextColumn("{task.description}"), TimeElapsedColumn(), transient=True) as progress:
        bar = progress.add_task("vanilla", total=None)

        def note(finished: str) -> None:
            progress.update(bar, description=finished)
            progress.say(finished)

        return tune(model, load, size, budget, note)


def _write(arguments: argparse.Namespace, best: Rung) -> None:
    write_settings(
        arguments.out,
        best.preset,
        best.overrides,
        model=arguments.model,
        task=arguments.task or "stories",
        measured=best.final.as_object() if best.final else {},
    )


def _as_object(verdict: Verdict) -> dict[str, Any]:
    def rung(one: Rung) -> dict[str, Any]:
        about = {"preset": one.preset, "overrides": one.overrides, "within": one.within}
        return {**about, **(one.final or one.line).as_object()}

    return {
        "base": verdict.base.as_object(),
        "rungs": [rung(one) for one in verdict.rungs],
        "best": rung(verdict.best) if verdict.best else None,
    }


def _add(table: Table, name: tuple[str, str], line: Line, *, timed: bool, mark: str) -> None:
    figures = (
        f"{line.tokens_per_forward:.2f}",
        f"{line.forwards:,}",
        f"{line.fed_positions:,}",
        line.shown(),
        f"{line.tokens_per_second:,.0f}" if timed else "",
    )
    style = {"best": "bold green", "too low": "dim"}.get(mark)
    table.add_row(*name, *figures, mark, style=style)


def _print(verdict: Verdict, arguments: argparse.Namespace) -> None:
    table = Table("decoder", box=None, header_style="bold", padding=(0, 1))
    score = named(verdict.base.metric or ACCURACY)
    for title in ("bar", "tok/fwd", "forwards", "fed", score, "tokens/s", ""):
        table.add_column(title, justify="right", no_wrap=True)
    _add(table, ("vanilla", ""), verdict.base, timed=True, mark="")
    for rung in verdict.rungs:
        mark = "best" if rung is verdict.best else "" if rung.within else "too low"
        name = (rung.ladder, f"{rung.overrides['threshold']:g}")
        _add(table, name, rung.final or rung.line, timed=rung.final is not None, mark=mark)
    console = Screen()
    console.table(table)
    best = verdict.best
    if best is None:
        points = "1 point" if arguments.budget == 1 else f"{arguments.budget:g} points"
        console.print(
            f"Nothing keeps the {score} within {points}; no file was written.", soft_wrap=True
        )
        return
    ratio = best.final.tokens_per_second / verdict.base.tokens_per_second if best.final else 0
    console.print(
        f"{best.ladder} at {best.overrides['threshold']:g}: {ratio:.1f}x vanilla (early stop too). "
        f"Written to {arguments.out}; use it with --settings {arguments.out}"
    )
