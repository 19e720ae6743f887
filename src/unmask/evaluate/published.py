"""What others have published: the curves of d3LLM's leaderboard, beside which ours can stand.

`published.json` names its sources. All 77 areas are computed again from the points; 76 come out as
printed, to 5e-3. The other one is d3LLM-Coder's MBPP: printed 186.36, from its points 186.1772.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from unmask.catalogue import unknown
from unmask.evaluate.curve import Curve, Dot
from unmask.evaluate.intervals import Interval

FAMILIES = ("LLaDA", "Dream", "Coder")
OURS = {
    "GSM8K-CoT": "gsm8k",
    "Long-GSM8K": "gsm8k/long",
    "HumanEval": "humaneval",
    "HumanEval-Instruct": "humaneval",
    "MBPP": "mbpp",
    "MBPP-Instruct": "mbpp",
}
"""Which of our tasks asks the same questions. MATH is not here: `math500` is 500 of its 5,000."""


@dataclass(frozen=True)
class Published:
    """A curve. ``points``: (tokens per forward, accuracy in percent). ``aup``: as printed."""

    family: str
    task: str
    method: str
    points: tuple[tuple[float, float], ...]
    aup: float

    def curve(self) -> Curve:
        """The same, to be scored among others; intervals and speeds are not published."""
        ordered = sorted(self.points, key=lambda point: (point[0], -point[1]))
        dots = tuple(Dot(Interval(rate), Interval(right)) for rate, right in ordered)
        return Curve(self.task, self.method, self.family, dots, printed=self.aup)


@cache
def leaderboard() -> tuple[Published, ...]:
    """All of them, in the order of the source."""
    text = files("unmask.evaluate").joinpath("published.json").read_text("utf-8")
    return tuple(
        Published(
            row["family"],
            row["task"],
            row["method"],
            tuple((rate, right) for rate, right in row["points"]),
            row["aup"],
        )
        for row in json.loads(text)["curves"]
    )


def family(name: str) -> str:
    """The family of that name, in any case.

    Raises:
        InputError: there is none.
    """
    for known in FAMILIES:
        if known.lower() == name.lower():
            return known
    raise unknown("family", name, list(FAMILIES))


def tasks(of: str) -> list[str]:
    """The tasks of a family, in the order of the source."""
    return list(dict.fromkeys(one.task for one in leaderboard() if one.family == of))


def curves(of: str, task: str) -> list[Curve]:
    """The curves of a family on one of its tasks."""
    return [one.curve() for one in leaderboard() if (one.family, one.task) == (of, task)]
