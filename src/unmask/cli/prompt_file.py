"""A file of prompts to a file of answers: with a progress bar, resumable.

A line of the input is {"prompt": text}, {"messages": [...]} or {"token_ids": [...]}. A line of the
output is the object of `unmask generate --json` with the input's line number as "index" and, in
"asked", a hash of the prompt and the settings, so that only answers to the same question are kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from unmask import rows
from unmask.cli import figures, options
from unmask.cli.screen import Bar
from unmask.decode.generate import finished, prepare
from unmask.decode.prompts import Prompt
from unmask.decode.step import Row
from unmask.errors import InputError, PromptError
from unmask.files import FAULTS, reason_of
from unmask.models.loading import Model

FIELDS: dict[str, tuple[Any, Any]] = {
    "prompt": (str, None),
    "messages": (list, dict),
    "token_ids": (list, int),
}


def run(arguments: argparse.Namespace) -> None:
    """Answer every line that is not answered yet."""
    prompts = read(arguments.prompts)
    asked = _questions(arguments, prompts)
    done = answered(arguments.out, asked) if arguments.out else set()
    model = options.load_model(arguments)
    preset = options.preset_name(arguments, model)
    waiting = [index for index in range(len(prompts)) if index not in done]
    rows = _rows(arguments, model, preset, {index: prompts[index] for index in waiting})
    with _output(arguments.out) as out, progress_bar() as progress:
        task = progress.add_task("prompts", total=len(prompts), completed=len(done))
        for at, result in finished(model, rows, arguments.batch_size):
            index = waiting[at]
            about = figures.as_object(result, preset, model)
            line = {"index": index, "asked": asked[index], **about}
            print(json.dumps(line, ensure_ascii=False), file=out, flush=True)
            progress.advance(task)


def _rows(
    arguments: argparse.Namespace, model: Model, preset: str, prompts: Mapping[int, Prompt]
) -> list[Row]:
    """A row for every prompt; a bad one is told by its number in the file."""
    rows, overrides = [], options.overrides(arguments)
    for at, (index, prompt) in enumerate(prompts.items()):
        try:
            [row] = prepare(model, [prompt], preset, raw=arguments.raw, overrides=overrides)
        except PromptError as error:
            raise PromptError(f"{arguments.prompts}, prompt {index + 1}: {error}") from None
        row.index = at
        rows.append(row)
    return rows


def _questions(arguments: argparse.Namespace, prompts: Sequence[Prompt]) -> list[str]:
    """A hash per prompt of all that its answer depends on."""
    settings = {name: str(getattr(arguments, name)) for name in ("model", "dtype", "raw")}
    decoding = [options.preset(arguments), options.overrides(arguments)]
    shared = json.dumps([settings, *decoding], sort_keys=True)
    return [
        hashlib.sha256((shared + json.dumps(prompt)).encode()).hexdigest()[:16]
        for prompt in prompts
    ]


def digest(prompts: Sequence[Prompt]) -> str:
    """A hash of all prompts, in their order."""
    return hashlib.sha256(json.dumps(prompts).encode()).hexdigest()[:16]


def read(path: Path, field: str | None = None) -> list[Prompt]:
    """The prompts of a file. ``field``: where they stand, if not in one of the three above.

    Raises:
        InputError: the file cannot be read, or a line holds no prompt; the message names the line.
    """
    if path.suffix == ".parquet":
        entries = rows.read(path)
        return [
            _prompt(f"{path}, row {number}", row, field) for number, row in enumerate(entries, 1)
        ]
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--prompts {path} cannot be read: {error}") from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    prompts = [_line(path, number, line, field) for number, line in numbered]
    if not prompts:
        raise InputError(f"--prompts {path} is empty; write one JSON object a line")
    return prompts


def _line(path: Path, number: int, line: str, field: str | None) -> Prompt:
    try:
        entry = json.loads(line)
    except FAULTS as error:
        reason = reason_of(error)
        raise PromptError(f"{path}, line {number}: no valid JSON ({reason})") from None
    return _prompt(f"{path}, line {number}", entry, field)


def _prompt(where: str, entry: Any, own: str | None = None) -> Prompt:
    """The prompt of one entry; ``where`` it stands, for the message; ``own``: text is in there."""
    if own is not None:
        if not isinstance(entry, dict) or own not in entry:
            raise PromptError(f"{where}: there is no field {own}")
        entry = {"prompt": entry[own]}
    given = [field for field in FIELDS if isinstance(entry, dict) and field in entry]
    if len(given) != 1:
        raise PromptError(f"{where}: give exactly one of {', '.join(FIELDS)}")
    value, (kind, item) = entry[given[0]], FIELDS[given[0]]
    if not isinstance(value, kind) or (item and not all(isinstance(one, item) for one in value)):
        raise PromptError(f"{where}: {own or given[0]} has the wrong type")
    if not value or (isinstance(value, str) and not value.strip()):
        raise PromptError(f"{where}: {own or given[0]} is empty")
    prompt: Prompt = value
    return prompt


def answered(path: Path, asked: Sequence[str]) -> set[int]:
    """Line numbers that the output file already has; a half-written last line is cut off.

    Raises:
        InputError: the file holds anything but answers to these prompts with these settings.
    """
    if not path.exists():
        return set()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--out {path} cannot be read: {error}") from None
    *lines, last = text.split("\n")
    found = {_answer(path, number, line, asked) for number, line in enumerate(lines, 1)}
    if last:  # a run was killed while it wrote
        kept = text.removesuffix(last)
        if lines or last.startswith('{"index": '):
            path.write_text(kept, encoding="utf-8")
        else:
            raise _foreign(path, 1)
    return found


def _answer(path: Path, number: int, line: str, asked: Sequence[str]) -> int:
    try:
        entry: dict[str, Any] = json.loads(line)
        index, question = entry["index"], entry["asked"]
        if asked[index] == question and index >= 0:
            return int(index)
    except (*FAULTS, KeyError, TypeError, IndexError):
        pass
    raise _foreign(path, number)


def _foreign(path: Path, number: int) -> InputError:
    return InputError(
        f"--out {path}, line {number} is no answer to these prompts with these settings; "
        "give another file"
    )


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


MEMORY = 600.0
"""Seconds over which a bar measures its speed: answers may come in batches, minutes apart."""


def progress_bar(*, disable: bool = False) -> Bar:
    """A bar with counts and the time that is left, on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Bar(*columns, disable=disable, speed_estimate_period=MEMORY)
