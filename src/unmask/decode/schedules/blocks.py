"""Schedule ``blocks``: blocks from left to right, any order inside (LLaDA, section 2.4).

The last block is shorter when the answer is no multiple of the block length. Blocks without masks
are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.window import Schedule, Window, block_window


@dataclass(frozen=True)
class Blocks:
    """Blocks of ``length`` positions counted from the end of the prompt."""

    length: int

    def __call__(self, canvas: Canvas) -> Window:
        """The first block with a mask in it."""
        offset = int(canvas.open[0]) - canvas.prompt_length
        start = canvas.prompt_length + offset // self.length * self.length
        return block_window(canvas, start, min(start + self.length, len(canvas)))


def build(block_length: int) -> Schedule:
    """The schedule."""
    return Blocks(block_length)
