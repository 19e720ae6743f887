"""Ray, connected to a cluster, and how many workers this cluster has room for."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from unmask.errors import InputError

REACH = 5.0
"""Seconds that a machine gets to take a connection. Ray itself would try for a minute."""
Needs = Mapping[str, float]
"""What a worker takes of a machine, by Ray's names: CPU, GPU."""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module ``ray``, connected.

    ``address``: HOST:PORT of a cluster's head, "auto" for the cluster that runs on this machine, ""
    for one of our own that ends with the block. A process that is connected already stays so.

    Raises:
        InputError: Ray is not installed, or nobody answers at the address.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(f"a cluster needs {error.name}; type pip install 'unmask[ray]'") from None
    if ray.is_initialized():
        yield ray
        return
    _reach(address)
    own: dict[str, Any] = {"include_dashboard": False} if not address else {}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody was asked
    try:
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **own
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"ray={address!r} cannot be joined ({str(error).splitlines()[0]}); type ray status "
            "to see whether it runs and lets you in (RAY_AUTH_MODE=token where it asks for one)"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    if address in ("", "auto"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "//" in host:
        raise InputError(
            f"ray={address!r} is no address; give HOST:PORT of the cluster's head (port 6379 if "
            "ray start was not told otherwise), auto, or nothing"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"ray={address!r} cannot be reached ({error}); start the cluster there with ray start "
            "--head, and join it here with ray start --address"
        ) from None


def needs(ray: Any, device: str, threads: int) -> Needs:
    """What a worker takes: a GPU if ``device`` may be one and the cluster has any, else as many
    CPUs as it has threads."""
    gpus = ray.cluster_resources().get("GPU", 0)
    if device.startswith("cuda") or (device == "auto" and gpus):
        return {"CPU": 1, "GPU": 1}
    return {"CPU": threads}


def crew(ray: Any, wanted: int | None, each: Needs, name: str) -> int:
    """How many workers to start: ``wanted`` (option ``name``), or as many as there is room for.

    Raises:
        InputError: there is less room. They would wait for ever.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(
        min(int(machine.get(kind, 0) // count) for kind, count in each.items())
        for machine in machines
    )
    if not room or (wanted or 1) > room:
        one = " and ".join(f"{count:g} {kind}" for kind, count in each.items())
        threads = "; OMP_NUM_THREADS says how many CPUs that are" if "GPU" not in each else ""
        raise InputError(
            f"{name}={wanted or 1} is more than this cluster has room for, which is {room} of "
            f"{one} each{threads}; lower it or add machines with ray start --address"
        )
    return wanted or room


def options(each: Needs) -> dict[str, float]:
    """The same as Ray's options for an actor."""
    return {f"num_{kind.lower()}s": count for kind, count in each.items()}
