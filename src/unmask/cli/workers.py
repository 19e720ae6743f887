"""`--ray` and `--workers`: a command's work goes to the machines of a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from unmask import __version__
from unmask.cli import options
from unmask.cluster.connection import connected, crew, needs
from unmask.cluster.connection import options as ray_options
from unmask.cluster.pool import Pool
from unmask.cluster.spread import Here, Spread
from unmask.decode.settings import whole_number
from unmask.errors import InputError
from unmask.models.loading import Model, builtin, load, outline

Replica = TypeVar("Replica")


def add_ray(parser: argparse.ArgumentParser, count: str, about: str) -> None:
    """--ray, and the option ``count`` that says how many there are."""
    group = parser.add_argument_group("cluster (docs/cluster.md)")
    group.add_argument(
        "--ray", nargs="?", const="", metavar="ADDRESS",
        help="use a Ray cluster: HOST:PORT, auto, or by itself a new one on this machine",
    )  # fmt: skip
    group.add_argument(count, type=int, metavar="N", help=f"with --ray: {about}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """--ray and --workers."""
    add_ray(parser, "--workers", "copies of the model (default: as many as the cluster has room)")


def refuse(arguments: argparse.Namespace, why: str) -> None:
    """No cluster where there is nothing for it to do.

    Raises:
        InputError: one is given.
    """
    if arguments.ray is not None or arguments.workers is not None:
        raise InputError(f"{why}; drop --ray and --workers")


@contextmanager
def models(
    arguments: argparse.Namespace, lot: int | None = None
) -> Iterator[tuple[Model, Spread[Model]]]:
    """A model to ask about, and who answers. Without --ray that is the model itself, ``lot`` items
    at a time; with it the model has no weights, for it is loaded by every worker."""
    if arguments.ray is None:
        alone(arguments, "workers")
        model = options.load_model(arguments)
        yield model, Here(model, lot)
        return
    found = outline(arguments.model)
    given = elsewhere(arguments.model), arguments.device, arguments.dtype
    with pool(arguments, partial(load, *given), least=arguments.batch_size) as spread:
        yield found, spread


@contextmanager
def pool(
    arguments: argparse.Namespace, load_: Callable[[], Replica], least: int
) -> Iterator[Pool[Replica]]:
    """Workers that call ``load_``; see `Pool`. They compute with as many threads as this process,
    so that it makes no difference to a record who answers."""
    if arguments.workers is not None:
        whole_number("workers", arguments.workers, 1, "a whole number of at least 1")
    check_device(arguments.device)
    threads = torch.get_num_threads()
    with connected(arguments.ray) as ray:
        each = needs(ray, arguments.device, threads)
        count = crew(ray, arguments.workers, each, "workers")
        prepared = partial(_prepared, __version__, threads, load_)
        with Pool(ray, prepared, workers=count, least=least, **ray_options(each)) as found:
            yield found


def _prepared(version: str, threads: int, load_: Callable[[], Replica]) -> Replica:
    """What a worker does first; ``version``: of the package where the command was given."""
    if version != __version__:
        raise InputError(
            f"a worker has unmask {__version__}, not {version} as here; install the same version "
            "on all machines"
        )
    torch.set_num_threads(threads)
    return load_()


def alone(arguments: argparse.Namespace, count: str) -> None:
    """Without a cluster.

    Raises:
        InputError: option ``count`` is given and means nothing then.
    """
    if getattr(arguments, count) is not None:
        raise InputError(f"--{count} is for a cluster; add --ray, or drop it")


def elsewhere(model: str) -> str:
    """The name of a model for processes that run in another folder."""
    path = Path(model).expanduser()
    return str(path.resolve()) if model not in builtin() and path.is_dir() else model


def check_device(device: str) -> None:
    """A worker sees one GPU, whichever Ray gives it.

    Raises:
        InputError: ``device`` names a certain one.
    """
    if ":" in device:
        raise InputError(f"device={device!r} cannot be chosen with --ray; use cuda, auto or cpu")
