"""The training loop, in plain sight.

Shape legend: T supervised tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from unmask import catalogue
from unmask.distill import loss
from unmask.distill.batches import (
    Batch,
    Noise,
    Noised,
    asked_of,
    collate,
    epoch_order,
    portions,
    weight_of,
)
from unmask.distill.checkpoint import RunFolder
from unmask.distill.recipe import OBJECTIVES, Recipe
from unmask.distill.sharding import shard, whole
from unmask.distill.supervised import Supervised
from unmask.distill.texts import Text
from unmask.errors import TrainError
from unmask.models.blocks import Transformer

Line = dict[str, Any]
Probe = Callable[[], Line]
"""What else is measured while training: a quick decode, say."""


@dataclass(frozen=True)
class Run:
    """One run. ``steps``: optimiser steps; ``micro``: texts a forward; ``every``: steps between
    two saves; ``look``: steps between two looks at the held-out texts (0: none); ``sharded``: cut
    the weights among the processes instead of repeating them."""

    recipe: Recipe
    steps: int
    seed: int
    micro: int
    every: int
    look: int = 0
    sharded: bool = False


@dataclass(frozen=True)
class Data:
    """Texts to learn from, and texts that are held out."""

    texts: Sequence[Text]
    held: Sequence[Text] = ()


def steps_of(recipe: Recipe, texts: int) -> int:
    """Optimiser steps of all epochs."""
    return max(1, math.ceil(recipe.epochs * texts / min(recipe.batch, texts)))


def train(
    student: Transformer,
    teacher: Transformer | None,
    data: Data,
    run: Run,
    tools: tuple[Accelerator, RunFolder, Probe | None],
) -> Iterator[Line]:
    """Train ``student`` in place; yields a line per step, from where the folder says. ``teacher``
    is needed by the objective ``divergence`` only.

    Raises:
        TrainError: the loss is no number; the message names the samples, the last save stands.
    """
    accelerator, folder, probe = tools
    recipe = run.recipe
    module, judge = _modules(student, teacher, accelerator.num_processes if run.sharded else None)
    trained = {name: p for name, p in student.named_parameters() if p.requires_grad}
    optimiser = torch.optim.AdamW(trained.values(), weight_decay=recipe.weight_decay)
    first = folder.resume(trained, optimiser)
    if not run.sharded:
        module = accelerator.prepare(module)
    optimiser_ = accelerator.prepare(optimiser)
    objectives = _objectives(recipe)
    for step in range(first, run.steps):
        rate = optimiser.param_groups[0]["lr"] = recipe.rate * rate_share(recipe, step, run.steps)
        noised = draws_at(data.texts, run, step)
        means = _descend(module, judge, noised, objectives, (accelerator, run))
        norm = accelerator.clip_grad_norm_(module.parameters(), recipe.clip)
        means["norm"] = whole(norm).item()
        _check(means, noised, step)  # before the step: what is saved is always sound
        optimiser_.step()
        optimiser_.zero_grad()
        line: Line = {"step": step + 1, **means, "rate": rate}
        if run.look and ((step + 1) % run.look == 0 or step + 1 == run.steps):
            line |= _look(module, data.held, (accelerator, run)) | _probed(accelerator, run, probe)
        if accelerator.is_main_process:
            folder.log(line)
        if (step + 1) % run.every == 0 or step + 1 == run.steps:
            folder.save(trained, optimiser, step + 1)
        yield line


def _modules(
    student: Transformer, teacher: Transformer | None, processes: int | None
) -> tuple[nn.Module, Supervised | None]:
    """Student and teacher, whole or cut among ``processes``."""
    modules = [Supervised(one) for one in (student, teacher) if one is not None]
    if processes is not None:
        for one in modules:
            shard(one, one.denoiser, processes)
    return modules[0], modules[1] if teacher is not None else None


def _probed(accelerator: Accelerator, run: Run, probe: Probe | None) -> Line:
    """A quick decode by the main process; it alone cannot do that with weights that are cut."""
    return probe() if probe and accelerator.is_main_process and not run.sharded else {}


def _objectives(recipe: Recipe) -> dict[str, tuple[float, loss.Objective]]:
    return {
        name: (
            weight,
            catalogue.find(OBJECTIVES, name, "objective").make(recipe.temperature),
        )
        for name, weight in recipe.objectives.items()
    }


def rate_share(recipe: Recipe, step: int, steps: int) -> float:
    """Share of the peak learning rate at a step, counted from 0."""
    warm = math.ceil(recipe.warmup * steps)
    if step < warm:
        return (step + 1) / warm
    left = (steps - step) / max(1, steps - warm)
    if recipe.schedule == "cosine":
        return 0.5 * (1 - math.cos(math.pi * left))
    return left if recipe.schedule == "linear" else 1.0


def draws_at(texts: Sequence[Text], run: Run, step: int) -> list[Noised]:
    """The noised texts of a step, the same whatever ran before it and on how many machines."""
    size = min(run.recipe.batch, len(texts))
    noise = Noise(run.recipe, run.seed)
    found: list[Noised] = []
    for number in range(step * size, (step + 1) * size):
        epoch, place = divmod(number, len(texts))
        if not found or place == 0:
            order = epoch_order(texts, run.seed, epoch)
        found.append(noise(order[place], epoch, step / run.steps))
    return found


def _descend(
    module: nn.Module,
    judge: Supervised | None,
    noised: list[Noised],
    objectives: dict[str, tuple[float, loss.Objective]],
    tools: tuple[Accelerator, Run],
) -> dict[str, float]:
    """Forward and backward over this process's part of a global batch; the means of all of it."""
    accelerator, run = tools
    turns = portions(
        noised, accelerator.num_processes, run.micro, bucketed=run.recipe.compat is None
    )
    # Both are known before anything runs: no micro-batch and no machine weighs more than another.
    weight = sum(weight_of(one, run.recipe) * asked_of(one, run.recipe) for one in noised)
    sums: dict[str, Tensor] = {}
    for number, turn in enumerate(turns):
        last = number == len(turns) - 1
        part = turn[accelerator.process_index]
        # Where weights are cut, gradients are summed up at every turn: whole ones have no room.
        with nullcontext() if last or run.sharded else accelerator.no_sync(module):
            for name, value in _part(module, judge, part, objectives, (tools, weight, len(turns))):
                sums[name] = sums.get(name, 0) + value
    if accelerator.num_processes > 1:
        sums = {name: accelerator.reduce(value, "sum") for name, value in sums.items()}
    return {name: value.item() for name, value in sums.items()}


def _part(
    module: nn.Module,
    judge: Supervised | None,
    part: list[Noised],
    objectives: dict[str, tuple[float, loss.Objective]],
    how: tuple[tuple[Accelerator, Run], float, int],
) -> list[tuple[str, Tensor]]:
    """One micro-batch: what it adds to the loss and to each mean."""
    (accelerator, run), weight, parts = how
    card = accelerator.unwrap_model(module).denoiser.card
    batch = collate(part, run.recipe, card, accelerator.device)
    asked = _ask(module, judge, batch, accelerator)
    if run.recipe.compat:
        how_ = run.recipe.reference
        reference = loss.Reference(how_.divisor, how_.certainty_on_complement)
        value, means = loss.reference_total(asked, objectives, reference)
        scale = 1 / (parts * accelerator.num_processes)
    else:
        value, means = loss.total(asked, objectives, weight)
        scale = 1.0
    # Data parallelism averages gradients; a part of a sum has to be made up for.
    accelerator.backward(value * scale * accelerator.num_processes)
    named = {"loss": value, **means}
    return [(name, one.detach() * scale) for name, one in named.items()]


def _ask(
    module: nn.Module, judge: Supervised | None, batch: Batch, accelerator: Accelerator
) -> loss.Asked:
    with accelerator.autocast():
        logits_TV = module(batch)
    teacher_TV = None
    if judge is not None:
        with torch.no_grad():
            teacher_TV = judge(batch)
    return loss.Asked(logits_TV, batch.target_T, batch.view_T, batch.weight_T, teacher_TV)


@torch.no_grad()
def _look(
    module: nn.Module,
    held: Sequence[Text],
    tools: tuple[Accelerator, Run],
) -> Line:
    """Cross-entropy on held-out texts, and the share of right tokens in their answers: of padding
    nearly all is right, and says nothing. The same draws at every look."""
    accelerator, run = tools
    if not held:
        return {}
    noise = Noise(run.recipe, run.seed)
    card = accelerator.unwrap_model(module).denoiser.card
    wrong = right = answered = total = 0.0
    for start in range(0, len(held), run.micro):
        noised = [noise(text, 0, 1.0) for text in held[start : start + run.micro]]
        batch = collate(noised, run.recipe, card, accelerator.device)
        with accelerator.autocast():
            logits_TV = module(batch)
        wrong += nn.functional.cross_entropy(logits_TV, batch.target_T, reduction="sum").item()
        right += ((logits_TV.argmax(-1) == batch.target_T) & batch.answer_T).sum().item()
        answered += batch.answer_T.sum().item()
        total += len(batch.target_T)
    if not total:
        return {}
    share = right / answered if answered else None
    return {"held_out_loss": wrong / total, "held_out_right": share}


def _check(means: dict[str, float], noised: list[Noised], step: int) -> None:
    if all(math.isfinite(value) for value in means.values()):
        return
    samples = ", ".join(str(one.text.index) for one in noised[:8])
    more = f" and {len(noised) - 8} more" if len(noised) > 8 else ""
    raise TrainError(
        f"the loss or its gradient is no number at step {step + 1}, of samples {samples}{more}; "
        "the last save stands. Lower the rate, or look at these samples"
    )
