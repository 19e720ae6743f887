"""The tables of docs/scale.md, from its formulas.  python docs/make_scale.py"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

GIGA, TERA = 1e9, 1e12
# The machine and the model; docs/scale.md says where each number comes from.
PARAMETERS, WEIGHTS = 8e9, 16 * GIGA  # LLaDA-8B, bytes in bf16
BANDWIDTH, READ = 4.8 * TERA, 0.8  # bytes/s of an H200, share that is reached
PEAK, USED = 989 * TERA, 0.42  # FLOP/s in bf16, share that is reached
LINK, LATENCY, LAYERS, WIDTH = 450 * GIGA, 10e-6, 32, 4096
KEYS = 2 * LAYERS * WIDTH * 2  # bytes of keys and values a position
PROMPT, ANSWER, WINDOW, PER_FORWARD = 500, 250, 64, 4.0
PRICE = 3.0  # dollars per GPU and hour


def forward(rows: float, gpus: int = 1) -> tuple[float, float, float]:
    """Seconds of reading, computing and talking in a forward of ``rows`` windows."""
    read = (WEIGHTS + rows * KEYS * (PROMPT + ANSWER)) / (gpus * BANDWIDTH * READ)
    compute = 2 * PARAMETERS * rows * WINDOW / (gpus * PEAK * USED)
    sent = rows * WINDOW * WIDTH * 2 * 2 * (gpus - 1) / gpus
    talk = 2 * LAYERS * (LATENCY + sent / LINK) if gpus > 1 else 0.0
    return read, compute, talk


def seconds(rows: float, gpus: int = 1) -> float:
    """Of a whole forward: reading and computing overlap, talking does not."""
    read, compute, talk = forward(rows, gpus)
    return max(read, compute) + talk


def positions(per_forward: float = PER_FORWARD, window: int = WINDOW) -> float:
    """Fed for one answer: all of it once, then a window in every forward."""
    return PROMPT + ANSWER + ANSWER / per_forward * window


def rate(fed: float) -> float:
    """Answers a second of one GPU that is always full."""
    return PEAK * USED / (2 * PARAMETERS * fed)


def dollars(fed: float, load: float) -> float:
    """Per million tokens written."""
    return PRICE / 3600 / (rate(fed) * ANSWER * load) * 1e6


def _head(names: str) -> Iterator[str]:
    columns = names.split(", ")
    yield f"| {' | '.join(columns)} |"
    yield "|---:" * len(columns) + "|"


def sharing() -> Iterator[str]:
    """Replicas against tensor parallel."""
    yield from _head(
        "GPUs, rows, reading, computing, talking, a forward, tokens/s of a row, per GPU"
    )
    for gpus, rows in ((1, 1), (1, 2), (1, 4), (1, 8), (2, 1), (2, 8), (4, 1), (8, 1), (8, 8)):
        read, compute, talk = (1000 * one for one in forward(rows, gpus))
        whole = seconds(rows, gpus)
        one, each = PER_FORWARD / whole, rows * PER_FORWARD / whole / gpus
        yield (
            f"| {gpus} | {rows} | {read:.2f} ms | {compute:.2f} ms | {talk:.2f} ms | "
            f"{1000 * whole:.2f} ms | {one:,.0f} | {each:,.0f} |"
        )


def capacity() -> Iterator[str]:
    """What a thousand GPUs answer, and what it costs."""
    yield from _head(
        "tokens a forward, window, fed per token, answers/s of a GPU, "
        "tokens/s of a thousand at 80 %, $ per million tokens"
    )
    for per_forward, window in ((3.2, 64), (4.0, 64), (6.4, 64), (9.1, 64), (4.0, 32)):
        fed = positions(per_forward, window)
        yield _costs(f"| {per_forward:.1f} | {window} |", fed)
    yield _costs("| 1 (autoregressive) | 1 |", PROMPT + ANSWER)


def _costs(name: str, fed: float) -> str:
    tokens = 1000 * rate(fed) * ANSWER * 0.8
    return (
        f"{name} {fed / ANSWER:.1f} | {rate(fed):.2f} | {tokens / 1e6:.2f} M | "
        f"{dollars(fed, 0.8):.2f} |"
    )


def waiting() -> Iterator[str]:
    """Mean time of an answer, in multiples of one without a queue."""
    yield from _head("load, random replica, fewer of two, one line for 10, one line for a thousand")
    for load in (0.5, 0.7, 0.8, 0.9, 0.95):
        two = sum(load ** (2**i - 2) for i in range(1, 30))
        lines = [1 + erlang(load, count) / (count * (1 - load)) for count in (10, 1000)]
        yield (
            f"| {load:.0%} | {1 / (1 - load):.2f} | {two:.2f} | {lines[0]:.2f} | {lines[1]:.4f} |"
        )


def erlang(load: float, count: int) -> float:
    """Erlang's C: the share of requests that wait, of ``count`` servers."""
    blocked = 1.0  # Erlang's B by its recursion, for factorials overflow
    for number in range(1, count + 1):
        blocked = load * count * blocked / (number + load * count * blocked)
    return blocked / (1 - load * (1 - blocked))


def fleet() -> Iterator[str]:
    """GPUs for so many requests a day."""
    yield from _head(
        "requests a day, mean a second, busiest hour, GPUs at 80 %, with one in 50 spare"
    )
    for day in (1e6, 1e7, 1e8, 1e9):
        mean = day / 86400
        needed = 3 * mean / (rate(positions()) * 0.8)
        row = (day, mean, 3 * mean, needed, 1.02 * needed)
        yield f"| {' | '.join(f'{one:,.0f}' for one in row)} |"


def training() -> Iterator[str]:
    """A micro-batch of one text with FSDP: computing against moving weights."""
    compute = 8 * PARAMETERS * 2 * 1024 / (PEAK * USED)
    moved = 3 * 4 * PARAMETERS
    yield from _head(
        "texts in a micro-batch, computing, within a machine (450 GB/s), between machines (50 GB/s)"
    )
    for texts in (1, 2, 4, 8):
        inside, outside = moved / LINK, moved / (50 * GIGA)
        yield f"| {texts} | {texts * compute:.2f} s | {inside:.2f} s | {outside:.2f} s |"


def interval(gpus: int, save: float = 2.0, failure: float = 50_700.0) -> float:
    """Young's interval between saves in seconds; ``failure``: GPU hours."""
    return sqrt(2 * save * failure * 3600 / gpus)


def main() -> None:
    """Print every table."""
    for table in (sharing, capacity, waiting, fleet, training):
        print(f"\n{table.__name__}\n", *table(), sep="\n")
    print(f"\nsave every {interval(1000):.0f} s on 1,000 GPUs")
    print(f"one answer: {positions():.0f} positions, {1 / rate(positions()):.3f} s of a GPU")


if __name__ == "__main__":
    main()
