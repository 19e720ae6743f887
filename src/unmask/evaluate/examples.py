"""A task by its name, and its examples from a data folder, the hub or thin air."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from huggingface_hub import hf_hub_download

from unmask import catalogue, rows
from unmask.errors import InputError
from unmask.evaluate.task import Example, Files, Generated, Split, Task
from unmask.files import reason_of
from unmask.models import hub

FOLDER = "unmask.evaluate.tasks"
Place = tuple[tuple[str, ...], tuple[str, str] | None]


def tasks() -> dict[str, Task]:
    """All tasks by name; a file may hold several (``glue/sst2``)."""
    modules = (catalogue.find(FOLDER, name, "task") for name in catalogue.names(FOLDER))
    return {task.name: task for module in modules for task in module.TASKS}


def find(name: str) -> Task:
    """The task of that name.

    Raises:
        InputError: there is none; the message lists what there is.
    """
    known = tasks()
    if name not in known:
        raise catalogue.unknown("task", name, sorted(known))
    return known[name]


def examples(
    task: Task, count: int | None = None, *, data: Path | None = None, split: Split = "test"
) -> list[Example]:
    """The first ``count`` examples; None takes all, or 1,000 of a task that is made up.

    Args:
        task: what to ask.
        count: how many.
        data: folder that holds data sets; without it they come from the hub.
        split: "train" exists for tasks that are made up.

    Raises:
        InputError: the data is not there, or a row of it is no example.
    """
    source = task.source
    if isinstance(source, Generated):
        return list(itertools.islice(source.examples(split, 0), 1000 if count is None else count))
    path = _path(task, (source.local, source.hub), data)
    found = list(itertools.islice(_read(task, path, source), count))
    if not found:
        raise InputError(f"{path} has rows, but none of the test split of {task.name}")
    if not source.shots:
        return found
    worked = _path(task, source.shots_from, data)
    every = replace(source, keep=None)
    shots = tuple(itertools.islice(_read(task, worked, every), source.shots))
    return [replace(one, facts={**one.facts, "shots": shots}) for one in found]


def _read(task: Task, path: Path, source: Files) -> Iterator[Example]:
    for number, row in enumerate(rows.read(path), 1):
        try:
            found = source.read(row) if source.keep is None or source.keep(row) else None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"no field {error}" if isinstance(error, KeyError) else reason_of(error)
            raise InputError(
                f"{path}, row {number} is no example of {task.name}: {reason}"
            ) from None
        if found:
            yield found


def _path(task: Task, place: Place, data: Path | None) -> Path:
    local, remote = place
    if data is not None:
        for name in local:
            if (data / name).is_file():
                return data / name
        raise InputError(
            f"data={str(data)!r} has no file for task {task.name}; it looks for {', '.join(local)}"
        )
    if remote is None:
        raise InputError(
            f"task {task.name} is not on the hub; give --data, a folder with {local[0]}"
        )
    try:
        fetch = partial(hf_hub_download, *remote, repo_type="dataset")
        return hub.fetched(remote[0], "dataset", fetch)
    except OSError as error:
        raise InputError(
            f"data set {remote[0]} of task {task.name} cannot be had from the hub "
            f"({error}); give --data, a folder with {local[0]}"
        ) from None
