"""Schedule ``blocks``: blocks from left to right, any order inside (LLaDA, section 2.4).

The last block is shorter when the answer is no multiple of the block length. Blocks without masks
are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.settings import Settings
from unmask.decode.window import Schedule, Window, beyond, window_of


@dataclass(frozen=True)
class Blocks:
    """Blocks of ``length`` positions counted from the end of the prompt.

    ``horizon``: how many blocks of masks behind the open one are fed; None: all.
    """

    length: int
    horizon: int | None
    ahead = False

    def __call__(self, canvas: Canvas) -> Window:
        """The first block with a mask in it."""
        offset = int(canvas.open[0]) - canvas.prompt_length
        start = canvas.prompt_length + offset // self.length * self.length
        stop = min(start + self.length, len(canvas))
        unseen = beyond(canvas, stop, self.length, self.horizon)
        return window_of(canvas, (start, stop), stop, unseen)


USES = ("horizon",)


def build(settings: Settings) -> Schedule:
    """From ``block_length`` and ``horizon``."""
    return Blocks(settings.block_length, settings.horizon)
