"""Which preset and bar answer soonest without losing accuracy? Measured on a sample of a task.

Every ladder is one decoder with its bar from careful to bold; it is climbed, many rows at a time,
until accuracy has fallen out of the budget twice in a row. The rung of every ladder that needs the
fewest forwards within the budget goes to the finals, which are timed side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from unmask.evaluate.bench import Contender, Line, Note, Workload, contest, measured, quiet
from unmask.models.loading import Model

CONFIDENCES = (0.99, 0.97, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)
ENTROPIES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)  # nats; the papers use 0.4 to 0.5
LADDERS: dict[str, tuple[str, dict[str, Any], tuple[float, ...]]] = {
    "fast-dllm, dual": ("fast-dllm", {"cache": "dual"}, CONFIDENCES),
    "fast-dllm, prefix": ("fast-dllm", {"cache": "prefix"}, CONFIDENCES),
    "fast-dllm, sliding": ("fast-dllm", {"cache": "sliding", "refresh": 6}, CONFIDENCES),
    "dparallel": ("dparallel", {}, ENTROPIES),
    "d3llm, delayed": ("d3llm", {"cache": "delayed"}, ENTROPIES),
    "d3llm, dual": ("d3llm", {"cache": "dual"}, ENTROPIES),
    "d3llm, sliding": ("d3llm", {"cache": "sliding"}, ENTROPIES),
}
FALLS = 2
ROWS = 32
"""Rows at a time while only accuracy and forwards are wanted."""
ROUNDING = 1e-9


@dataclass(frozen=True)
class Rung:
    """One decoder at one bar, and what it did. ``within``: whether accuracy is in the budget.
    ``final``: its figures side by side with the other finalists, None if it was none."""

    ladder: str
    preset: str
    overrides: dict[str, Any]
    line: Line
    within: bool
    final: Line | None = None


@dataclass(frozen=True)
class Verdict:
    """``base``: one token per forward. ``rungs``: all that was tried. ``best``: None if no rung
    kept the accuracy."""

    base: Line
    rungs: list[Rung]
    best: Rung | None


def tune(model: Model, load: Workload, size: dict[str, Any], budget: float, note: Note) -> Verdict:
    """The fastest rung whose accuracy is at most ``budget`` (a share, 0.01 is one point) below that
    of one token per forward. ``size``: overrides for all. ``note`` hears of every pass."""
    wide = replace(load, batch_size=max(ROWS, load.batch_size))
    vanilla = Contender("vanilla", model, "vanilla", {**size, "early_stop": True})
    first = measured(vanilla, wide)
    note(_told(first))
    floor = (first.score or 0) - budget - ROUNDING
    rungs: list[Rung] = []
    for ladder in LADDERS:
        for rung in climb(model, wide, size, ladder, floor):
            rungs.append(rung)
            note(_told(rung.line, rung.overrides["threshold"]))
    base, rungs = finals(vanilla, load, rungs, note)
    timed = [rung for rung in rungs if rung.final]
    best = max(
        timed, key=lambda rung: rung.final.tokens_per_second if rung.final else 0, default=None
    )
    return Verdict(base, rungs, best)


def climb(
    model: Model, load: Workload, size: dict[str, Any], ladder: str, floor: float
) -> Iterator[Rung]:
    """The rungs of one ladder; ``floor`` is the least accuracy allowed."""
    preset, given, bars = LADDERS[ladder]
    rungs: list[Rung] = []
    for bar in bars:
        overrides = {**given, **size, "threshold": bar}
        line = measured(Contender(ladder, model, preset, overrides), load)
        rungs.append(Rung(ladder, preset, overrides, line, (line.score or 0) >= floor))
        yield rungs[-1]
        if len(rungs) >= FALLS and not any(rung.within for rung in rungs[-FALLS:]):
            break


def _told(line: Line, bar: float | None = None) -> str:
    at = "" if bar is None else f" at {bar:g}"
    return f"{line.name}{at}: {line.tokens_per_forward:.2f} tokens a forward, {line.shown()}"


def finals(
    vanilla: Contender, load: Workload, rungs: list[Rung], note: Note = quiet
) -> tuple[Line, list[Rung]]:
    """Time one token per forward and the best rung of every ladder, interleaved."""
    chosen: dict[str, Rung] = {}
    for rung in rungs:
        known = chosen.get(rung.ladder)
        if rung.within and (not known or rung.line.forwards < known.line.forwards):
            chosen[rung.ladder] = rung
    contenders = [
        Contender(name, vanilla.model, rung.preset, rung.overrides) for name, rung in chosen.items()
    ]
    lines = {line.name: line for line in contest([vanilla, *contenders], load, 1, note)}
    timed = [
        replace(rung, final=lines[rung.ladder]) if rung is chosen.get(rung.ladder) else rung
        for rung in rungs
    ]
    return lines["vanilla"], timed
