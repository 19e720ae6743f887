"""Schedule ``pipelined``: several blocks in flight (d3LLM, multi-block decoding).

A block enters when the one on its left has written its share of tokens, so at most one enters per
forward. The leftmost unfinished block is owed one token per forward. The reference's second bar,
``decoded_token_threshold``, never changes a result (only the leftmost unfinished block is forced,
and all before it is written), so it has no counterpart here.
"""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import MASKED, Canvas
from unmask.decode.settings import Card, Option, Settings
from unmask.decode.window import BLOCK_LENGTH, HORIZON, Schedule, Window, sight_of, window_of

ROUNDING = 1e-9


@dataclass(frozen=True)
class Pipelined:
    """Blocks of ``length`` positions; the next one enters at ``share`` of the last one's tokens.

    ``sight``: how many positions behind the last open block are fed; None: all.
    """

    length: int
    share: float
    sight: int | None
    ahead = True

    def __call__(self, canvas: Canvas) -> Window:
        """All blocks of the text up to the first that has not written its share.

        Nothing else has to be remembered: a block writes only when it is open, so its own progress
        tells that the one before had reached its share a forward earlier.
        """
        first, length = canvas.prompt_length, self.length
        start = first + (int(canvas.open[0]) - first) // length * length
        edges, text = [start], len(canvas) if canvas.padding is None else canvas.padding
        while edges[-1] < text:
            births = canvas.born_L[edges[-1] : edges[-1] + length].tolist()
            edges.append(edges[-1] + len(births))
            masked, asked = births.count(MASKED), len(births) - births.count(0)
            # Fixed text, born at 0, is nobody's progress.
            if masked and asked - masked < self.share * asked - ROUNDING:
                break
        return window_of(canvas, tuple(edges), self.sight)


SHARE = Option(
    "block_add_threshold", float, 0.1, "share of a block after which the next one enters",
    high=1, above=True,
)  # fmt: skip
OPTIONS = (BLOCK_LENGTH, SHARE, HORIZON)


def build(settings: Settings, card: Card) -> Schedule:
    """The schedule; the share's default is d3LLM's."""
    settings.fit("schedule", card, fits=not card.causal)
    return Pipelined(settings[BLOCK_LENGTH], settings[SHARE], sight_of(settings, card))
