"""Which text of a canvas can no longer change? What a stream may give out while decoding goes on.

Tokens are never taken back before the first mask: a stop rule cuts behind an end token only, and
end tokens appear where masks are. So the text before the first mask is final, but for half a
character at its end, and but for letters that may turn out to begin a stop string.
"""

from __future__ import annotations

from collections.abc import Sequence

from unmask.canvas.canvas import Canvas
from unmask.text.tokenizer import HALF, TextCodec


class Frontier:
    """Gives out an answer piece by piece.

    ``region``: the positions that count, None for all behind the prompt. ``least``: a stop string
    counts once it reaches beyond so many tokens. ``text``: all that has been given out.
    ``stopped``: a stop string was met, ``text`` ends before it. ``tokens``: up to and including the
    end token, or the one that completed the stop string, or else the last.
    """

    def __init__(
        self,
        codec: TextCodec,
        end_ids: tuple[int, ...],
        stops: Sequence[str] = (),
        region: tuple[int, int] | None = None,
        least: int = 0,
    ) -> None:
        self._codec, self._end_ids = codec, end_ids
        self._stops = tuple(stop for stop in stops if stop)
        self._region, self._least = region, least
        self._seen = -1
        self.text = ""
        self.stopped = False
        self.tokens = 0

    def push(self, canvas: Canvas) -> str:
        """New text that can no longer change; nothing once a stop string was met."""
        return self._give(canvas, last=False)

    def finish(self, canvas: Canvas) -> str:
        """The rest, of a canvas that will not change any more."""
        return self._give(canvas, last=True)

    def _give(self, canvas: Canvas, *, last: bool) -> str:
        ids = self._final(canvas)
        if self.stopped or (len(ids) == self._seen and not last):
            return ""
        self._seen, before = len(ids), self.tokens
        self.tokens = len(ids)
        if self._end_ids and ids and ids[-1] in self._end_ids:
            ids = ids[:-1]
        whole = self._codec.decode(ids)
        met = self._met(ids, whole)
        if met:
            self.stopped = True
            self.tokens = self._completed(ids, before)
            whole = whole[: min(met)]
        elif not last:
            whole = self._sure(whole)
        new = whole[len(self.text) :]
        self.text += new
        return new

    def _met(self, ids: list[int], whole: str) -> list[int]:
        """Where stop strings begin that count."""
        if len(ids) <= self._least:
            return []
        free = len(self._codec.decode(ids[: self._least])) + 1 if self._least else 0
        begins = (whole.find(stop, max(0, free - len(stop))) for stop in self._stops)
        return [at for at in begins if at >= 0]

    def _final(self, canvas: Canvas) -> list[int]:
        """Ids before the first mask, up to and including the first end token."""
        start, stop = self._region or (canvas.prompt_length, len(canvas))
        behind = canvas.open[canvas.open >= start]
        stop = min(stop, int(behind[0])) if len(behind) else stop
        found: list[int] = canvas.tokens_L[start:stop].tolist()
        for at, token in enumerate(found):
            if token in self._end_ids:
                return found[: at + 1]
        return found

    def _completed(self, ids: list[int], before: int) -> int:
        """How many tokens it took to complete a stop string; more than ``before``."""
        for count in range(max(before, 1), len(ids)):
            if self._met(ids[:count], self._codec.decode(ids[:count])):
                return count
        return len(ids)

    def _sure(self, whole: str) -> str:
        """Without half a character, and without what may become a stop string."""
        whole = whole.rstrip(HALF)
        held = max(
            (
                size
                for stop in self._stops
                for size in range(1, min(len(stop), len(whole)) + 1)
                if whole.endswith(stop[:size])
            ),
            default=0,
        )
        return whole[: len(whole) - held]
