"""`unmask bench`: decoders side by side."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from unmask import __version__
from unmask.cli import options, prompt_file
from unmask.cli.screen import Bar, Screen
from unmask.decode.policy import default_preset
from unmask.decode.settings import MAX_NEW_TOKENS, whole_number
from unmask.errors import InputError
from unmask.evaluate import examples as tasks
from unmask.evaluate.bench import Contender, Line, Workload, contest, workload
from unmask.evaluate.curve import ACCURACY, named
from unmask.models.loading import Model, builtin, load

EXAMPLES = """\
examples:
  unmask bench
  unmask bench --task sudoku --count 64 --batch-size 16
  unmask bench --model ./checkpoint --prompts mine.jsonl --json

Decoding options apply to the fast-dllm rows (of block-causal models: those of their own preset),
lengths to all of them.
tokens/s counts tokens up to the end token; vanilla writes on behind it, as published.
fed: positions sent through the model. 1st block: seconds until the first block stands. peak: most
memory above what was in use before.
"""
DEFAULT = "stories"
COUNT = 32
WIDTH = 120  # of the table in a file or pipe


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_task(parser, DEFAULT)
    parser.add_argument(
        "--count", type=int, metavar="N", help="prompts (default: 32 of a task, all of a file)"
    )
    parser.add_argument(
        "--prompts", type=Path, metavar="FILE", help="your own prompts, as JSON lines"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="passes (default: 3)")
    parser.add_argument(
        "--batch-size",
        type=int,
        default=1,
        metavar="N",
        help="prompts that share a forward (default: 1)",
    )
    parser.add_argument("--ar-model", metavar="NAME", help="autoregressive twin (default for tiny)")
    options.add_model(parser)
    options.add_decoding(parser)


def run(arguments: argparse.Namespace) -> None:
    """Compare and print."""
    for name in ("count", "rounds", "batch_size"):
        if getattr(arguments, name) is not None:
            whole_number(name, getattr(arguments, name), 1, "a whole number of at least 1")
    if arguments.preset or arguments.settings:
        raise InputError("bench compares the presets; drop --preset and --settings")
    if arguments.prompts and arguments.task:
        raise InputError("--task cannot be combined with --prompts; drop one of the two")
    model = options.load_model(arguments)
    workload, canvas = _workload(arguments, model)
    contenders = _contenders(arguments, model, canvas)
    with Bar(transient=True) as progress:
        bar = progress.add_task("decoders", total=len(contenders) * arguments.rounds)

        def note(finished: str) -> None:
            progress.update(bar, advance=1, description=finished)
            progress.say(finished)

        lines = contest(contenders, workload, arguments.rounds, note)
    if arguments.json:
        print(
            json.dumps(
                {**_about(arguments, workload), "rows": [line.as_object() for line in lines]}
            )
        )
    else:
        _print(lines, arguments, workload)


def _workload(arguments: argparse.Namespace, model: Model) -> tuple[Workload, int | None]:
    if arguments.prompts:
        prompts = prompt_file.read(arguments.prompts)[: arguments.count]
        return Workload(prompts, arguments.batch_size), None
    if model.codec is None:
        raise InputError(f"{model.card.name} has no tokenizer; give token ids with --prompts")
    task = tasks.find(arguments.task or DEFAULT)
    examples = tasks.examples(task, arguments.count or COUNT, data=arguments.data)
    return workload(model, task, examples, arguments.batch_size), task.canvas


def _contenders(arguments: argparse.Namespace, model: Model, canvas: int | None) -> list[Contender]:
    given = {**({"max_new_tokens": canvas} if canvas else {}), **options.overrides(arguments)}
    size = {name: given[name] for name in model.defaults if name in given}
    if model.card.causal:
        if extra := sorted(given.keys() - {*size}):
            raise InputError(f"{model.card.name} is causal: {extra[0]} has no meaning; drop it")
        return [Contender("ar", model, "ar", size)]
    found = _diffusion(model, given, size)
    if arguments.model == "tiny":
        student = load("tiny-fast", arguments.device, arguments.dtype)
        found.append(Contender("d3llm, distilled (tiny-fast)", student, "d3llm", size))
    twin = arguments.ar_model or ("tiny-ar" if arguments.model == "tiny" else None)
    if twin in builtin() or arguments.ar_model:
        other = load(str(twin), arguments.device, arguments.dtype)
        if not other.card.causal:
            raise InputError(f"--ar-model {twin} is no autoregressive model; give a causal one")
        length = {name: size[name] for name in size if name == MAX_NEW_TOKENS.name}
        found.append(Contender(f"autoregressive ({other.card.name})", other, "ar", length))
    return found


def _diffusion(model: Model, given: dict[str, Any], size: dict[str, Any]) -> list[Contender]:
    """Vanilla, the family's own decoder by cache, and d3llm if the model sees the whole text."""
    found = [
        Contender("vanilla", model, "vanilla", size),
        Contender("vanilla, early stop", model, "vanilla", {**size, "early_stop": True}),
    ]
    whole = model.card.span is None
    preset = "fast-dllm" if whole else default_preset(model.card)
    usual = ["none", "prefix", "dual"] if whole else ["none", "causal"]
    for cache in [given["cache"]] if "cache" in given else usual:
        name = f"{preset}, {'no' if cache == 'none' else cache} cache"
        found.append(Contender(name, model, preset, {**given, "cache": cache}))
    return found + [
        Contender(f"d3llm, {cache} cache", model, "d3llm", {**size, "cache": cache})
        for cache in (("delayed", "sliding") if whole else ())
    ]


def _about(arguments: argparse.Namespace, workload: Workload) -> dict[str, object]:
    return {
        "model": arguments.model,
        "task": None if arguments.prompts else arguments.task or DEFAULT,
        "prompts": len(workload.prompts),
        "rounds": arguments.rounds,
        "batch_size": arguments.batch_size,
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "unmask": __version__,
    }


def _print(lines: Sequence[Line], arguments: argparse.Namespace, workload: Workload) -> None:
    right = (
        "tokens/s",
        "vs vanilla",
        "vs AR",
        "forwards",
        "tok/fwd",
        "fed",
        "1st block",
        "peak",
        named(workload.task.metric if workload.task else ACCURACY),
    )
    table = Table("decoder", box=None, header_style="bold", padding=(0, 1))
    for title in right:
        table.add_column(title, justify="right")
    for line in lines:
        table.add_row(
            line.name,
            f"{line.tokens_per_second:,.0f}",
            _ratio(line.to_vanilla),
            _ratio(line.to_ar),
            f"{line.forwards:,}",
            f"{line.tokens_per_forward:.2f}",
            f"{line.fed_positions:,}",
            f"{line.first_block * 1000:.0f} ms",
            f"{line.peak_bytes / 2**20:.1f} MB",
            line.shown(),
        )
    console = Screen(wide=WIDTH)
    console.table(table)
    console.print(
        f"{arguments.model} · prompts {len(workload.prompts)} · batch {arguments.batch_size} · "
        f"rounds {arguments.rounds} · threads {torch.get_num_threads()}",
        style="dim",
    )


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"
