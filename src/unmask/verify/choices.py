"""Which of the given answers does a text pick, and how well do such picks agree with the truth?"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

DENIED = re.compile(r"(?:\bnot|n['’]t|\bneither|\bnor)\s+(?:(?:an?|the|at all|very|really)\s+)?$")
JOINED = re.compile(r"\s*(?:/|\b(?:and|or|nor)\b)\s*")
BEFORE = 24  # characters, enough for a denial and what may stand after it


def picked(text: str, choices: Sequence[str]) -> str | None:
    """The choice that ``text`` names first, as whole words in any case.

    None if it names none, if a denial stands right before it ("not positive"), or if another choice
    is joined to it ("yes or no", "yes/no").
    """
    lower = text.lower()
    # The longest first, so that of two choices that begin alike the fuller one is seen.
    options = "|".join(
        re.escape(one.lower()) for one in sorted(choices, key=len, reverse=True) if one
    )
    if not options:
        return None
    named = re.compile(rf"(?<!\w)(?:{options})(?!\w)")
    first = named.search(lower)
    if first is None or DENIED.search(lower[max(0, first.start() - BEFORE) : first.start()]):
        return None
    joined = JOINED.match(lower, first.end())
    other = named.match(lower, joined.end()) if joined else None
    if other is not None and other[0] != first[0]:
        return None
    return next(one for one in choices if one.lower() == first[0])


def f1(truths: Sequence[bool], guesses: Sequence[bool]) -> float:
    """F1 of the true class; 0 where nobody names it."""
    both, _, missed, false = _table(truths, guesses)
    wrong = missed + false
    return 2 * both / (2 * both + wrong) if both + wrong else 0.0


def matthews(truths: Sequence[bool], guesses: Sequence[bool]) -> float:
    """Matthews' correlation, -1 to 1; 0 where either side names one class only."""
    both, neither, missed, false = _table(truths, guesses)
    spread = (both + false) * (both + missed) * (neither + false) * (neither + missed)
    return (both * neither - false * missed) / math.sqrt(spread) if spread else 0.0


def _table(truths: Sequence[bool], guesses: Sequence[bool]) -> tuple[int, int, int, int]:
    """How often both are true, both are false, only the truth is true, only the guess is."""
    pairs = list(zip(truths, guesses, strict=True))
    return (
        pairs.count((True, True)),
        pairs.count((False, False)),
        pairs.count((True, False)),
        pairs.count((False, True)),
    )
