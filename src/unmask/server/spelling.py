"""Which tokens make up a text that was given out, and what are their bytes, places and odds?"""

from __future__ import annotations

import codecs
import math
from typing import NamedTuple

from unmask.server.answer import Answer
from unmask.text.tokenizer import TextCodec

UNLIKELY = -9999.0
"""OpenAI's number for a probability of 0."""


class Token(NamedTuple):
    """A token of an answer.

    ``logprob``: of its probability when it was written, in nats. ``bytes``: of its text, also where
    it is part of a character only. ``offset``: where it begins in the answer, in characters.
    """

    text: str
    logprob: float
    bytes: list[int]
    offset: int


class Spelling:
    """The tokens of one answer, told piece by piece as its text is."""

    def __init__(self, answer: Answer, codec: TextCodec) -> None:
        self._answer, self._codec = answer, codec
        self._done = self._offset = 0
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")

    def upto(self, text: str, least: int = 0) -> list[Token]:
        """Those that were not told yet of the tokens that make up ``text``, and of the first
        ``least``, whether they add text or not.

        Only for text that was given out already: its tokens do not change any more.
        """
        ids, sure = self._answer.written()
        low, high = self._done, len(ids)
        while low < high:
            middle = (low + high) // 2
            if self._codec.decode(ids[:middle]).startswith(text):
                high = middle
            else:
                low = middle + 1
        low = max(low, least)
        found = [self._token(ids[at], sure[at], at) for at in range(self._done, low)]
        self._done = max(self._done, low)
        return found

    def _token(self, token: int, probability: float, at: int) -> Token:
        text, spelled = self._codec.piece(token, first=at == 0)
        place = self._offset
        if self._codec.decode([token, token]):  # a special token has a name, and adds no text
            self._offset += len(self._characters.decode(spelled))
        return Token(text, _log(probability), list(spelled), place)


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else UNLIKELY
