"""`unmask harvest`: a teacher's answers, and the order in which it wrote them, as training data."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import statistics
from pathlib import Path

from unmask import rows
from unmask.cli import options, prompt_file, workers
from unmask.cli.questions import questions
from unmask.cli.screen import Screen, tell
from unmask.decode.settings import whole_number
from unmask.distill.harvest import Harvest, Tally, fitting, harvest
from unmask.distill.imports import Import, Refused, imported
from unmask.distill.intake import Shards
from unmask.distill.shards import read
from unmask.errors import InputError, counted
from unmask.models.loading import Model
from unmask.verify.checks import CHECKS

EXAMPLES = """\
examples:
  unmask harvest --task stories --count 1500 --out runs/harvest
  unmask harvest --task sudoku --preset vanilla --attempts 5 --out runs/sudoku
  unmask harvest --prompts mine.jsonl --check boxed --attempts 5 --model ./teacher --out runs/mine
  unmask harvest --prompts gsm8k.parquet --prompt-field question --check number --out runs/gsm8k
  unmask harvest --answers dparallel.parquet --templated --model ./teacher --out runs/published

--answers takes what others answered: rows of prompt and answer, of question, llm_response and
gt_answer (dParallel), or of prompt_ids and trajectory (d3LLM). Files: JSON lines or Parquet.
A column is_correct, or gt_answer (text or number) with a boxed answer, says which are right.

Give the same command again after an interruption: what is stored is not answered twice, and what
is damaged is answered again. Answers of a task are checked, those to prompts if --check says how;
--attempts tries wrong ones again at temperature 0.1, 0.2, ...
"""

LOT = 32
"""Batches that are worked on together: between two lots the slots run empty, and so they do while
wrong answers are tried again."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of shards")
    parser.add_argument("--task", metavar="NAME", help="stories or sudoku: its training split")
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="your own")
    parser.add_argument("--answers", type=Path, metavar="FILE", help="answers that exist already")
    parser.add_argument(
        "--templated", action="store_true", help="prompts of --answers have their chat template"
    )
    parser.add_argument(
        "--check", choices=sorted(CHECKS),
        help="how an answer is compared with the prompt's field answer (programs: its asserts)",
    )  # fmt: skip
    parser.add_argument(
        "--prompt-field", metavar="NAME",
        help="where the prompt stands (default: prompt, messages or token_ids)",
    )  # fmt: skip
    parser.add_argument(
        "--answer-field", metavar="NAME", help="where the answer stands (default: answer)"
    )
    parser.add_argument("--count", type=int, metavar="N", help="prompts (default: 1000 of a task)")
    parser.add_argument(
        "--attempts", type=int, default=1, metavar="N",
        help="tries for an answer that is checked and wrong (default: 1)",
    )  # fmt: skip
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="default: 32")
    parser.add_argument(
        "--shard-size", type=int, default=128, metavar="N",
        help="samples a file, and the most that a killed harvest loses (default: 128)",
    )  # fmt: skip
    parser.add_argument("--raw", action="store_true", help="do not use the chat template")
    parser.add_argument("--json", action="store_true", help="print the statistics as one object")
    options.add_model(parser)
    options.add_decoding(parser)
    options.add_sampling(parser)
    workers.add_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Harvest with a progress bar, then print what it came to."""
    for name in ("count", "attempts", "batch_size", "shard_size"):
        if getattr(arguments, name) is not None:
            whole_number(name, getattr(arguments, name), 1, "a whole number of at least 1")
    if arguments.answers:
        workers.refuse(arguments, "--answers are there already")
        _take(arguments)
        return
    prompts, check, size = questions(arguments)
    with workers.models(arguments, LOT * arguments.batch_size) as (model, spread):
        overrides = {**size, **options.overrides(arguments)}
        preset = options.preset_name(arguments, model)
        settings = {
            "model": arguments.model,
            "preset": preset,
            "overrides": overrides,
            "dtype": arguments.dtype,
            "source": str(arguments.prompts or arguments.task),
            "prompts": prompt_file.digest(prompts),
            "attempts": arguments.attempts,
            "check": arguments.check,
            "raw": arguments.raw,
            "vocabulary": model.codec.digest() if model.codec else None,
        }
        sizes = arguments.batch_size, arguments.shard_size, arguments.attempts
        how = Harvest(preset, overrides, *sizes, check, arguments.raw)
        fit, unfit = fitting(model, prompts, how)
        shards = Shards(arguments.out, settings, tell)
        if unfit:
            Screen(stderr=True).print(f"{len(unfit)} left out, the first: {unfit[0]}")
        with prompt_file.progress_bar() as progress:
            bar = progress.add_task("answers", total=len(fit), completed=len(shards.done()))
            for _ in harvest(spread, fit, shards, how, lambda: progress.advance(bar)):
                pass  # stored as it comes
    _print(arguments, model)


def _take(arguments: argparse.Namespace) -> None:
    """Samples from answers that exist already."""
    if arguments.task or arguments.prompts or arguments.check or arguments.attempts > 1:
        raise InputError(
            "--answers are taken as they are; drop --task, --prompts, --check and --attempts"
        )
    model = options.load_model(arguments)
    canvas = arguments.max_new_tokens or model.defaults["max_new_tokens"]
    whole_number("max_new_tokens", canvas, 1, "a whole number of at least 1")
    entries = rows.read(arguments.answers)
    first = next(entries)  # a file that cannot be read leaves no folder behind
    settings = {
        "model": arguments.model,
        "source": str(arguments.answers),
        "content": hashlib.sha256(arguments.answers.read_bytes()).hexdigest(),
        "canvas": canvas,
        "templated": arguments.templated,
        "fields": [arguments.prompt_field, arguments.answer_field],
        "count": arguments.count,
        "vocabulary": model.codec.digest() if model.codec else None,
    }
    entries = itertools.islice(itertools.chain([first], entries), arguments.count)
    shards, refused = Shards(arguments.out, settings, tell), Refused()
    fields = arguments.prompt_field, arguments.answer_field
    how = Import(canvas, arguments.templated, arguments.shard_size, *fields)
    with prompt_file.progress_bar() as progress:
        bar = progress.add_task("samples", total=None, completed=len(shards.done()))
        for _ in imported(model, entries, shards, how, refused):
            progress.advance(bar)
    if refused.long:
        Screen(stderr=True).print(
            f"{counted(refused.long, 'answer')} longer than {counted(canvas, 'token')} left out; "
            "--max-new-tokens makes room"
        )
    if refused.masked:
        Screen(stderr=True).print(
            f"{refused.masked} answers hold the mask token and are left out; a student would learn "
            "to write it"
        )
    _print(arguments, model)


def _print(arguments: argparse.Namespace, model: Model) -> None:
    tally = Tally(model.card.end_ids)
    for sample in read(arguments.out):
        tally.add(sample)
    samples, lengths = len(tally.lengths), tally.lengths
    if not samples:
        raise InputError(f"{arguments.out} holds no sample: every answer was left out")
    spread = [min(lengths), statistics.median(lengths), max(lengths)]
    about = {
        "samples": samples,
        "correct": tally.correct if tally.checked else None,
        "endless": tally.endless,
        "kept": tally.kept,
        "tokens_per_sample": round(sum(lengths) / samples, 2),
        "lengths": spread,
        "tokens_per_forward": round(sum(lengths) / tally.forwards, 3),
    }
    if arguments.json:
        print(json.dumps(about))
        return
    right = f", {tally.correct / tally.checked:.1%} right" if tally.checked else ""
    endless = f", {tally.endless} without an end" if tally.endless else ""
    Screen().print(
        f"{counted(samples, 'sample')}{right}{endless}, {tally.kept} to learn from; "
        f"{about['tokens_per_sample']:.1f} tokens each ({spread[0]} to {spread[2]}, median "
        f"{spread[1]:.0f}), {about['tokens_per_forward']:.2f} a forward: {arguments.out}",
        soft_wrap=True,
    )
