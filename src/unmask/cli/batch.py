"""A file of prompts to a file of answers: with a progress bar, resumable.

A line of the input is {"prompt": text}, {"messages": [...]} or {"token_ids": [...]}. A line of the
output is the object of `unmask generate --json` with the input's line number as "index".
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from unmask.cli import figures, options
from unmask.decode.generate import finished, prepare
from unmask.decode.prompts import Prompt
from unmask.errors import InputError, PromptError

FIELDS = ("prompt", "messages", "token_ids")


def run(arguments: argparse.Namespace) -> None:
    """Answer every line that is not answered yet."""
    prompts = read(arguments.prompts)
    model = options.load_model(arguments)
    preset = options.preset_name(arguments, model)
    done = answered(arguments.out, preset, model.card.name) if arguments.out else set()
    waiting = [index for index in range(len(prompts)) if index not in done]
    rows = prepare(
        model,
        [prompts[index] for index in waiting],
        arguments.preset,
        raw=arguments.raw,
        overrides=options.overrides(arguments),
    )
    with _output(arguments.out) as out, _progress() as progress:
        task = progress.add_task("prompts", total=len(prompts), completed=len(done))
        for row, result in finished(model, rows, arguments.batch_size):
            line = {"index": waiting[row], **figures.as_object(result, preset, model.card.name)}
            print(json.dumps(line, ensure_ascii=False), file=out, flush=True)
            progress.advance(task)


def read(path: Path) -> list[Prompt]:
    """The prompts of a file.

    Raises:
        InputError: the file cannot be read, or a line holds no prompt; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--prompts {path} cannot be read: {error}") from None
    prompts = [_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not prompts:
        raise InputError(f"--prompts {path} is empty; write one JSON object a line")
    return prompts


def _line(path: Path, number: int, line: str) -> Prompt:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise PromptError(f"{path}, line {number}: no valid JSON ({error})") from None
    given = [field for field in FIELDS if isinstance(entry, dict) and field in entry]
    if len(given) != 1:
        raise PromptError(f"{path}, line {number}: give exactly one of {', '.join(FIELDS)}")
    value = entry[given[0]]
    if not isinstance(value, str if given[0] == "prompt" else list):
        raise PromptError(f"{path}, line {number}: {given[0]} has the wrong type")
    prompt: Prompt = value
    return prompt


def answered(path: Path, preset: str, model: str) -> set[int]:
    """Line numbers that the output file already has; a half-written last line is cut off.

    Raises:
        InputError: the file was written by another model or preset.
    """
    if not path.exists():
        return set()
    found, kept = set(), []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            break
        if (entry.get("preset"), entry.get("model")) != (preset, model):
            raise InputError(
                f"--out {path} holds answers of {entry.get('model')} with {entry.get('preset')}; "
                "give another file"
            )
        found.add(int(entry["index"]))
        kept.append(line + "\n")
    path.write_text("".join(kept), encoding="utf-8")
    return found


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {path} cannot be written: {error}") from None
    with file:
        yield file


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))
