"""Schedule ``blocks``: blocks from left to right, any order inside (LLaDA, section 2.4).

The last block is shorter when the answer is no multiple of the block length. Blocks without masks
are skipped. A model that attends block by block has its own blocks, on a grid that starts with the
text: there the end of a prompt shares a block with the first tokens of the answer, and blocks of
the schedule are parts of the model's (Fast-dLLM v2: sub-blocks).
"""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.settings import Card, Settings
from unmask.decode.window import BLOCK_LENGTH, HORIZON, Schedule, Window, sight_of, window_of


@dataclass(frozen=True)
class Blocks:
    """Blocks of ``length`` positions counted from the end of the prompt, or from the start of the
    model's block of ``span`` that they lie in.

    ``sight``: how many positions behind the open block are fed; None: all.
    """

    length: int
    sight: int | None
    span: int | None = None
    ahead = False

    def __call__(self, canvas: Canvas) -> Window:
        """The first block with a mask in it."""
        first, prompt = int(canvas.open[0]), canvas.prompt_length
        base, end = prompt, len(canvas)
        if self.span is not None:
            base = first // self.span * self.span
            end = min(base + self.span, end)
        start = base + (first - base) // self.length * self.length
        stop = min(start + self.length, end)
        return window_of(canvas, (max(start, prompt), stop), self.sight)


OPTIONS = (BLOCK_LENGTH, HORIZON)


def build(settings: Settings, card: Card) -> Schedule:
    """The schedule, on the grid of the model's blocks if it has one."""
    settings.fit("schedule", card, fits=not card.causal)
    return Blocks(settings[BLOCK_LENGTH], sight_of(settings, card), card.span)
