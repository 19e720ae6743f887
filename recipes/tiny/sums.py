"""Drills: rows of independent sums in which one number of each is hidden.

Stories alone teach a masked model its sums slowly: in most of their random masks the operands of a
hidden result are hidden too. In a drill every target follows from what is visible. The sums are those
of the training stories; a sum that is a whole test problem (one step) is never drilled.

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
RESULT_SHARE = 0.7  # otherwise an operand is hidden: the way back teaches the same table


def facts(seed: int) -> Iterator[Step]:
    """Endless sums as they occur in the stories."""
    draw = random.Random(f"sums/{seed}")
    while True:
        _, steps = numbers(draw)
        yield from (step for step in steps if not held_out(step.before, [step]))


def rows(tokenizer: Tokenizer, count: int, seed: int, *, causal: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Ids and blanks [count, L]; a causal model is asked for results only."""
    source, draw = facts(seed), random.Random(f"blanks/{seed}")
    opening = tokenizer.encode("<|user|>Sums<|answer|>").ids
    full_stop = tokenizer.token_to_id(".")
    while True:
        ids, blanks = [], []
        for _ in range(count):
            row, hidden = list(opening), []
            for _ in range(SUMS):
                step = next(source)
                written = tokenizer.encode(f" {step.before} {step.sign} {step.amount} = {step.after}").ids
                place = 4 if causal or draw.random() < RESULT_SHARE else draw.choice((0, 2))
                hidden.append(len(row) + place)
                row += [*written, full_stop]
            ids.append(row)
            blanks.append([at in hidden for at in range(len(row))])
        yield torch.tensor(ids), torch.tensor(blanks)
