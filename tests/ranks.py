"""Several processes that compute together, started quickly.

A fork server imports torch once and is forked for every rank; pytest itself, which has threads, is
not. What torchrun tells a process by its environment is told here in the same way.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 240.0
"""Seconds after which ranks that wait for each other are ended."""
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["unmask.distill.session", "unmask.models.parallel"])


def together(count: int, act: Callable[..., Any], *arguments: Any) -> list[int | None]:
    """Run ``act(*arguments)`` in ``count`` processes; their exit codes. As soon as one has ended
    badly the others are killed, as torchrun does."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    ranks = [
        CONTEXT.Process(target=_rank, args=((rank, count, port), act, arguments), daemon=True)
        for rank in range(count)
    ]
    for rank in ranks:
        rank.start()
    end = time.monotonic() + PATIENCE
    while any(rank.is_alive() for rank in ranks):
        bad = any(rank.exitcode not in (0, None) for rank in ranks)
        if bad or time.monotonic() > end:
            for rank in ranks:
                rank.kill()
        time.sleep(0.02)
    return [rank.exitcode for rank in ranks]


def _rank(place: tuple[int, int, int], act: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    rank, count, port = map(str, place)
    os.environ |= {
        "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count,
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    import torch

    torch.set_num_threads(1)
    act(*arguments)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
