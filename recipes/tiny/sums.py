"""Drills: rows of independent sums in which one number of each is hidden.

Stories alone teach a masked model its sums slowly: in most of their random masks the operands of a
hidden result are hidden too. In a drill every target follows from what is visible. The sums are
those of the training stories; a sum that is a whole test problem (one step) is never drilled.

    12 + 7 = 19. 30 - 4 = 26. 9 * 2 = 18. ...
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
from tokenizers import Tokenizer
from torch import Tensor

from unmask.evaluate.tasks.stories import Step, held_out, numbers

SUMS = 8
LONGEST = 26
LEADS = ("", ", so", " This makes")
RESULT_SHARE = 0.7  # otherwise an operand is hidden: the way back teaches the same table


def facts(seed: int) -> Iterator[Step]:
    """Endless sums as they occur in the stories."""
    draw = random.Random(f"sums/{seed}")
    while True:
        _, steps = numbers(draw)
        yield from (step for step in steps if not held_out(step.before, [step]))


def filled(
    tokenizer: Tokenizer, count: int, seed: int, *, causal: bool
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Ids, hidden and targets [count, L]: one number of every sum; a causal model is asked for
    results only."""
    source, draw = facts(seed), random.Random(f"blanks/{seed}")
    [full_stop] = tokenizer.encode(".").ids
    while True:
        ids, blanks = [], []
        for _ in range(count):
            row, hidden = list(_opening(tokenizer)), []
            for _ in range(SUMS):
                place = 4 if causal or draw.random() < RESULT_SHARE else draw.choice((0, 2))
                hidden.append(len(row) + place)
                row += [*_written(tokenizer, next(source)), full_stop]
            ids.append(row)
            blanks.append([at in hidden for at in range(len(row))])
        yield torch.tensor(ids), torch.tensor(blanks), torch.tensor(blanks)


def opened(tokenizer: Tokenizer, count: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Ids, hidden and targets [count, L]: a few sums, the last one open and all behind it hidden.

    That is where a decoder stands when it comes to a result.
    """
    source, draw = facts(seed + 1), random.Random(f"open/{seed}")
    [filler] = tokenizer.encode("<|end|>").ids
    while True:
        ids, hidden, targets = [], [], []
        for _ in range(count):
            row = list(_opening(tokenizer))
            for _ in range(draw.choice((0, 0, 1))):
                row += tokenizer.encode(f"{draw.choice(LEADS)}{_text(next(source))}.").ids
            row += tokenizer.encode(f"{draw.choice(LEADS)}{_text(next(source))}").ids
            last = len(row) - 1
            ids.append(row + [filler] * (LONGEST - len(row)))
            hidden.append([at >= last for at in range(LONGEST)])
            targets.append([at == last for at in range(LONGEST)])
        yield torch.tensor(ids), torch.tensor(hidden), torch.tensor(targets)


def _opening(tokenizer: Tokenizer) -> list[int]:
    ids: list[int] = tokenizer.encode("<|user|>Sums<|answer|>").ids
    return ids


def _text(step: Step) -> str:
    return f" {step.before} {step.sign} {step.amount} = {step.after}"


def _written(tokenizer: Tokenizer, step: Step) -> list[int]:
    ids: list[int] = tokenizer.encode(_text(step)).ids
    return ids
