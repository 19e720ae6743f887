"""Would this run go well? Data, lengths, windows, memory and time, before hours are spent."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import torch

from unmask.distill.batches import Noise, Noised, asked_of, collate, portions
from unmask.distill.session import Session
from unmask.distill.supervised import Supervised
from unmask.distill.train import draws_at

SAMPLE = 200
"""Draws that are looked at."""


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``trouble``: something to mend."""

    what: str
    value: str
    trouble: str = ""


def examine(session: Session) -> list[Finding]:
    """What there is to know about a session before it starts."""
    return [*_data(session), *_draws(session), *_cost(session)]


def _data(session: Session) -> list[Finding]:
    sorting, texts = session.sorting, session.texts
    given = sorting.kept + sorting.wrong + sorting.long + sorting.endless
    lengths = sorted(len(text) for text in texts)
    answers = [text.end - text.prompt_length for text in texts]
    room = [len(text) - text.prompt_length for text in texts]
    lost = given - sorting.kept
    few = "" if len(texts) >= session.wish.recipe.batch else "fewer texts than one batch"
    return [
        Finding("samples", f"{given}, {sorting.kept} usable", _mostly(lost, given)),
        Finding(
            "left out",
            f"{sorting.wrong} wrong, {sorting.long} too long, {sorting.endless} without an end",
        ),
        Finding("to learn from", f"{len(texts)} texts, {len(session.held)} held out", few),
        Finding(
            "positions",
            f"{lengths[0]} to {lengths[-1]}, median {statistics.median(lengths):.0f}",
        ),
        Finding("padding", f"{1 - sum(answers) / sum(room):.0%} of the canvases"),
        Finding("chat template", _opening(session)),
    ]


def _mostly(lost: int, given: int) -> str:
    return "more than a third of the samples is left out" if lost > given / 3 else ""


def _opening(session: Session) -> str:
    """How the first prompt begins, for the eye: templated twice, or not at all?"""
    text, codec = session.texts[0], session.student.codec
    if codec is None:
        return "token ids only: there is no tokenizer"
    return repr(codec.decode(text.ids_L[: text.prompt_length].tolist(), keep_special=True)[:80])


def _draws(session: Session) -> list[Finding]:
    recipe = session.wish.recipe
    noise = Noise(recipe, session.wish.seed)
    noised = [noise(text, 0, 0.5) for text in session.texts[:SAMPLE]]
    asked = [asked_of(one, recipe) for one in noised]
    filler = sum(not (one.draw.hidden_L | one.draw.rest_L)[: one.text.end].any() for one in noised)
    empty = sum(count == 0 for count in asked)
    trouble = "draws that ask for nothing cost two forwards each" if empty else ""
    if not trouble and filler > len(noised) / 3:
        trouble = "padding is learnt in more than a third of the draws; lower filler"
    return [
        Finding("asked per text", f"{statistics.mean(asked):.1f} tokens"),
        Finding("draws", f"{filler} of {len(noised)} padding only, {empty} empty", trouble),
    ]


def _cost(session: Session) -> list[Finding]:
    """Some micro-batches are timed, forward and backward, and thrown away; with divergence, the
    student stands in for the teacher, which has its size."""
    wish, module = session.wish, Supervised(session.student.denoiser)
    try:
        least, most = _step(session, module)
    except torch.OutOfMemoryError:
        trouble = "too little memory: lower --micro-batch or give --recompute"
        return [Finding("a micro-batch", f"{wish.micro} texts", trouble)]
    weights = sum(p.numel() * p.element_size() for p in module.parameters())
    teacher = weights * ("divergence" in wish.recipe.objectives)
    moments = session.trainable * 8  # two, fp32; the gradient was there when the peak was
    states = session.trainable * 12
    peak, room = _peak_and_room(session.student.denoiser.device)
    peak += teacher + moments
    trouble = "" if peak <= room else "too little memory: lower --micro-batch or give --recompute"
    whole = " to ".join(dict.fromkeys(_clock(step * session.steps) for step in (least, most)))
    return [
        Finding("a step", f"{least:.2f} to {most:.2f} s, {session.steps} steps: {whole}"),
        Finding("weights and optimiser", f"{(weights + teacher + states) / 2**30:.2f} GiB"),
        Finding("at its peak", f"{peak / 2**30:.2f} of {room / 2**30:.2f} GiB", trouble),
    ]


def _step(session: Session, module: Supervised) -> tuple[float, float]:
    """The least and the most seconds of a step: of the run's first, middle and last, the shortest
    and the longest texts are timed (what is between them is taken for their mean), twice each."""
    run, processes = session.run, session.accelerator.num_processes
    bucketed = run.recipe.compat is None
    found: list[float] = []
    for step in sorted({0, session.steps // 2, session.steps - 1}):
        noised = draws_at(session.texts, run, step)
        turns = portions(noised, processes, run.micro, bucketed=bucketed)
        ends = [turns[at][session.accelerator.process_index] for at in (0, -1)]
        if not found:
            _timed(session, module, ends[-1])  # the first is slower: memory is asked for
        for _ in range(2):
            mean = sum(_timed(session, module, part) for part in ends) / 2
            found.append(mean * len(turns))
    return min(found), max(found)


def _peak_and_room(device: torch.device) -> tuple[int, int]:
    """Bytes of this process at its peak, and bytes that it could have."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        peak = torch.cuda.max_memory_allocated(device)
        return peak, free + torch.cuda.memory_reserved(device)
    unit = 1 if sys.platform == "darwin" else 1024  # of getrusage
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return peak, psutil.virtual_memory().available + psutil.Process().memory_info().rss


def _timed(session: Session, module: Supervised, part: Sequence[Noised]) -> float:
    started = time.perf_counter()
    card, device = session.student.card, session.student.denoiser.device
    batch = collate(part, session.wish.recipe, card, device)
    if "divergence" in session.wish.recipe.objectives:
        with torch.no_grad():
            module(batch)
    with session.accelerator.autocast():
        loss = module(batch).logsumexp(-1).sum()
    loss.backward()
    module.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _clock(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
