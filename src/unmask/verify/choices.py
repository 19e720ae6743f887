"""Which of the given answers does a text pick, and how well do such picks agree with the truth?"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

DENIED = re.compile(r"(?:\bnot|n['’]t|\bneither|\bnor)\s+(?:(?:an?|the|at all|very|really)\s+)?$")
JOINED = re.compile(r"\s*(?:/|\b(?:and|or|nor)\b)\s*")
LABELS = (True, False, None)
BEFORE = 24  # characters, enough for a denial and what may stand after it

Guess = bool | None
"""Whether the true class is picked; None where no label is, which is neither class."""


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


def f1(truths: Sequence[bool], guesses: Sequence[Guess]) -> float:
    """F1 of the true class; 0 where nobody names it."""
    pairs = list(zip(truths, guesses, strict=True))
    named = [*truths, *guesses].count(True)
    return 2 * pairs.count((True, True)) / named if named else 0.0


def matthews(truths: Sequence[bool], guesses: Sequence[Guess]) -> float:
    """Matthews' correlation, -1 to 1; 0 where either side names one class only.

    No label is a class of its own (Gorodkin 2004, R_K), as it is in scikit-learn: taken for the
    wrong label it would count as knowledge of the right one.
    """
    count = len(truths)
    right = sum(truth == guess for truth, guess in zip(truths, guesses, strict=True))
    theirs, ours = ([[*side].count(label) for label in LABELS] for side in (truths, guesses))
    agreed = sum(one * other for one, other in zip(theirs, ours, strict=True))
    spread = (count**2 - sum(n**2 for n in theirs)) * (count**2 - sum(n**2 for n in ours))
    return (count * right - agreed) / math.sqrt(spread) if spread else 0.0
