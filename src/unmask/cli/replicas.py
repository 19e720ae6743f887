"""`unmask serve --ray`: replicas of the server on the machines of a cluster, behind one address."""

from __future__ import annotations

import argparse
import queue
import signal
from collections.abc import Callable

import torch

from unmask.cli import workers
from unmask.cluster.connection import connected, crew, needs, options
from unmask.decode.settings import whole_number
from unmask.errors import InputError
from unmask.server import replicas
from unmask.server.replicas import Plan


def run(
    arguments: argparse.Namespace, plan: Plan, at: tuple[str, int], greet: Callable[[], None]
) -> None:
    """Serve at host and port ``at`` until a signal comes, and ``greet`` when it can be asked there.
    SIGHUP replaces the replicas one after another."""
    if arguments.replicas is not None:
        whole_number("replicas", arguments.replicas, 1, "a whole number of at least 1")
    workers.check_device(arguments.device)
    with connected(arguments.ray) as ray:
        each = needs(ray, arguments.device, torch.get_num_threads())
        count = crew(ray, arguments.replicas, each, "replicas")
        renewals: queue.SimpleQueue[int] = queue.SimpleQueue()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGHUP, lambda number, _: renewals.put(number))
        replicas.start(*at)
        try:
            replicas.deploy(plan, count, options(each), arguments.drain)
            _check_address(*at)
            greet()
            while renewals.get():
                replicas.deploy(plan, count, options(each), arguments.drain)
        except KeyboardInterrupt:
            pass  # asked to end, and so it does
        finally:
            replicas.withdraw(shared=arguments.ray != "")


def _check_address(host: str, port: int) -> None:
    if not replicas.listening(host, port):
        raise InputError(
            f"host={host!r} with port={port} gives no answer: Ray Serve listens on the cluster's "
            "head, where this command belongs, and if it ran before, at the address it had then "
            "(serve shutdown ends it)"
        )
