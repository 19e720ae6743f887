"""`unmask eval`: accuracy and parallelism of a model on tasks, a record for every answer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from unmask.cli import harness, options, points, workers
from unmask.cli.screen import Bar, Screen
from unmask.cluster.spread import Spread
from unmask.decode.settings import whole_number
from unmask.errors import InputError
from unmask.evaluate import examples as tasks
from unmask.evaluate import provenance
from unmask.evaluate.answers import Poll, records
from unmask.evaluate.journal import Journal, opened
from unmask.evaluate.questions import ask
from unmask.evaluate.record import Record
from unmask.evaluate.run import Contestant
from unmask.evaluate.sweep import combinations
from unmask.evaluate.task import Example, Task
from unmask.models.loading import Model, find_folder

EXAMPLES = """\
examples:
  unmask eval --model tiny-fast --count 200
  unmask eval --model tiny --preset d3llm --sweep threshold=0,0.05,0.1,0.2 --out runs/tiny.jsonl
  unmask eval --task gsm8k math500 --data ./data --model ./checkpoint --preset d3llm
  unmask eval --task glue/sst2 --mode likelihood --data ./data --model ./checkpoint
  unmask eval --harness gsm8k,arc_easy --model ./checkpoint --preset d3llm --count 100 --chat

Every answer becomes a line of --out: text, score, tokens up to the stop, forwards (refreshing or
reading a cache), positions fed, seconds on a warm model, settings, versions. The same command goes
on where it was interrupted. unmask leaderboard makes tables and plots of such files.
"""
OUT = Path("runs/eval.jsonl")
MODES = ("generate", "likelihood")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--task", nargs="+", metavar="NAME",
        help=f"{', '.join(sorted(tasks.tasks()))}, or all (default: stories)",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder of data sets (default: the hub's)"
    )
    parser.add_argument(
        "--count", type=int, metavar="N", help="questions of each task (default: all, stories 1000)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="file of records, added to (default: runs/eval.jsonl)",
    )  # fmt: skip
    parser.add_argument(
        "--sweep", action="append", default=[], metavar="OPTION=A,B",
        help="a decoding option and its values; again for more, all combinations are run",
    )  # fmt: skip
    parser.add_argument("--method", metavar="LABEL", help="of the curve (default: model, preset)")
    parser.add_argument("--style", metavar="NAME", help="how questions are put, if not as usual")
    parser.add_argument(
        "--mode", choices=MODES, default="generate",
        help="likelihood: rank the choices of a task that has some (default: generate)",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=int, default=128, metavar="N",
        help="masks drawn for each likelihood (default: 128)",
    )  # fmt: skip
    parser.add_argument(
        "--batch-size", type=int, default=1, metavar="N",
        help="answers that share a forward (default: 1)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the points as JSON")
    harness.add_options(parser)
    options.add_model(parser)
    options.add_decoding(parser)
    options.add_sampling(parser)
    workers.add_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Answer what is not answered yet, then print what it comes to."""
    for name in ("count", "samples", "batch_size"):
        if getattr(arguments, name) is not None:
            whole_number(name, getattr(arguments, name), 1, "a whole number of at least 1")
    if arguments.harness is not None:
        workers.refuse(arguments, "--harness answers in this process")
        harness.run(arguments)
        return
    harness.refuse(arguments)
    chosen = _tasks(arguments)
    swept = combinations(arguments.sweep)
    questions = _questions(arguments, chosen)
    chosen = [task for task in chosen if task.name in questions]
    out = arguments.out or OUT
    with workers.models(arguments) as (model, spread):
        who = [_contestant(arguments, model, one) for one in swept]
        for task in chosen:  # settings that cannot be are told before anything is answered
            for one in who:
                canvas = one.settings(task)["max_new_tokens"]
                ask(model, task, questions[task.name][0], canvas, one.style)
        pairs = [(task, one) for task in chosen for one in who]
        with opened(out) as journal:
            wanted = _answer(arguments, journal, pairs, questions, spread)
    more = points.overall(chosen, questions, wanted)
    points.show(wanted, more, as_json=arguments.json, where=out)


def _answer(
    arguments: argparse.Namespace,
    journal: Journal,
    pairs: list[tuple[Task, Contestant]],
    questions: dict[str, list[Example]],
    spread: Spread[Model],
) -> list[Record]:
    """All records that were asked for, old and new."""
    known = {record.key: record for record in journal.records}
    wanted: list[Record] = []
    total = sum(len(questions[task.name]) for task, _ in pairs)
    with bar() as progress:
        line = progress.add_task("", total=total, right="")
        for task, who in pairs:
            point = ", ".join(f"{name} {value}" for name, value in who.swept.items())
            progress.update(line, description=f"{task.name} {point}".strip())
            own: list[Record] = []
            poll = Poll(task, arguments.mode, arguments.samples)
            for record in records(who, poll, dict(enumerate(questions[task.name])), known, spread):
                if record.key not in known:
                    journal.write(record)
                own.append(record)
                right = 100 * sum(one.right for one in own) / len(own)
                progress.update(line, advance=1, right=points.shown(record.metric, right))
            wanted += sorted(own, key=lambda record: record.index)
    return wanted


def _tasks(arguments: argparse.Namespace) -> list[Task]:
    named = arguments.task or ["stories"]
    named = list(tasks.tasks()) if named == ["all"] else named
    if len(set(named)) < len(named):
        raise InputError(f"task={' '.join(named)!r} names one twice; give each once")
    found = [tasks.find(name) for name in named]
    if arguments.mode == "likelihood":
        found = [task for task in found if task.picks or arguments.task != ["all"]]
        for task in found:
            if not task.picks:
                raise InputError(f"task {task.name} has no choices to rank; drop --mode likelihood")
        given = sorted(options.overrides(arguments)) + ["preset"] * bool(arguments.preset)
        if arguments.sweep or given:
            name = "--sweep" if arguments.sweep else f"--{given[0].replace('_', '-')}"
            raise InputError(f"--mode likelihood decodes nothing; drop {name}")
    return found


def _questions(arguments: argparse.Namespace, chosen: list[Task]) -> dict[str, list[Example]]:
    """By task; of all tasks, those whose data is at hand, and a line about each of the others."""
    found: dict[str, list[Example]] = {}
    for task in chosen:
        try:
            found[task.name] = tasks.examples(task, arguments.count, data=arguments.data)
        except InputError as error:
            if arguments.task != ["all"]:
                raise
            Screen(stderr=True).print(f"left out: {error}", soft_wrap=True, markup=False)
    return found


def _contestant(arguments: argparse.Namespace, model: Model, swept: dict[str, Any]) -> Contestant:
    preset, given = options.preset_name(arguments, model), options.overrides(arguments)
    how = arguments.mode
    if twice := sorted(given.keys() & swept.keys()):
        raise InputError(f"{twice[0]} is both swept and given; drop one of the two")
    return Contestant(
        model,
        model.card.name,
        provenance.fingerprint(find_folder(arguments.model)),
        preset,
        arguments.method or f"{model.card.name} {preset if how == 'generate' else how}",
        given,
        swept,
        arguments.style,
        arguments.batch_size,
    )


def bar() -> Bar:
    """Counts, accuracy so far, time gone and time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[right]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Bar(*columns)
