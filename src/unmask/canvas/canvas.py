"""The text being written: a frozen value that remembers when every token was born.

Shape legend: L positions (prompt and answer region). ``born`` is 0 for what was given, the number
of the forward pass for what was written, and `MASKED` for what is still open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unmask.errors import PromptError

MASKED = -1
Ids = NDArray[np.int64]
Births = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Canvas:
    """One text on the host. Whether a position is open is told by ``born``, never by the token id:
    a mask id inside a prompt is just a token there."""

    tokens_L: Ids
    born_L: Births
    prompt_length: int
    mask_id: int
    step: int = 0
    given: int = 0
    """End of the last given text: the prompt, or behind it (infilling)."""
    padding: int | None = None
    """Where the padding behind an early end begins."""

    @classmethod
    def start(
        cls, prompt: list[int], length: int, mask_id: int, fixed: Mapping[int, int] | None = None
    ) -> Canvas:
        """``length`` masks behind ``prompt``; ``fixed`` maps offsets in the answer to given ids.

        Raises:
            PromptError: nothing is left to write, or a fixed offset lies outside the answer.
        """
        tokens = np.full(len(prompt) + length, mask_id, dtype=np.int64)
        tokens[: len(prompt)] = prompt
        born = np.full(len(tokens), MASKED, dtype=np.int32)
        born[: len(prompt)] = 0
        for offset, token in (fixed or {}).items():
            if not 0 <= offset < length:
                raise PromptError(
                    f"fixed position {offset} lies outside the {length} answer tokens"
                )
            tokens[len(prompt) + offset] = token
            born[len(prompt) + offset] = 0
        if not (born == MASKED).any():
            raise PromptError("the canvas has no masks to fill; leave at least one gap")
        given = len(prompt) + max(fixed, default=-1) + 1 if fixed else len(prompt)
        return cls(tokens, born, len(prompt), mask_id, given=given)

    def __len__(self) -> int:
        return len(self.tokens_L)

    @cached_property
    def open(self) -> NDArray[np.intp]:
        """Positions that are still masked, ascending."""
        return np.flatnonzero(self.born_L == MASKED)

    @property
    def done(self) -> bool:
        """Whether no mask is left."""
        return len(self.open) == 0

    def commit(self, at: NDArray[np.intp], tokens: Ids) -> Canvas:
        """The canvas after one more forward that wrote ``tokens`` at the open positions ``at``."""
        assert (self.born_L[at] == MASKED).all(), "a commit touches open positions only"
        after, born = self.tokens_L.copy(), self.born_L.copy()
        after[at] = tokens
        born[at] = self.step + 1
        return self._next(after, born, self.step + 1, self.padding)

    def close(self, end: int, pad: int, *, written: bool) -> Canvas:
        """``pad`` at the open positions from ``end`` on, as written by the last forward; with
        ``written`` in the place of text as well, which keeps its birth. The same canvas if all of
        them have it."""
        masked = self.born_L[end:] == MASKED
        new = masked | (self.tokens_L[end:] != pad) if written else masked
        if not new.any():
            return self
        after, born = self.tokens_L.copy(), self.born_L.copy()
        after[end:][new] = pad
        born[end:][masked] = self.step
        return self._next(after, born, self.step, end)

    def _next(self, tokens_L: Ids, born_L: Births, step: int, padding: int | None) -> Canvas:
        # Not dataclasses.replace: this runs for every row of every forward.
        fixed = self.prompt_length, self.mask_id
        return Canvas(tokens_L, born_L, *fixed, step, self.given, padding)

    def at(self, step: int) -> Ids:
        """The tokens as they stood after forward ``step``, masks included."""
        hidden = (self.born_L > step) | (self.born_L == MASKED)
        return np.where(hidden, self.mask_id, self.tokens_L)
