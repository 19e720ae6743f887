"""What a task is: questions with known answers, how they are put, how answers are scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from unmask.errors import InputError

Split = Literal["train", "test"]
Scores = dict[str, float]
"""Figures of one answer or of all of them by name, 0 to 1 unless the task says otherwise."""


@dataclass(frozen=True)
class Example:
    """One question. ``answer`` is the whole reference text, ``final`` the part that is scored.

    ``choices``: the answers there are, where the model only has to pick one; ``final`` is then one
    of them. ``facts``: what a scorer needs besides, say a program's tests.
    """

    prompt: str
    answer: str
    final: str
    choices: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """An example as a model gets to see it.

    ``chat``: ``text`` is a user's turn, rendered by the checkpoint's template; else it is continued
    as it stands. ``prefix``: what the answer is made to begin with; it is not part of what is
    scored. ``stops``: the answer ends before the first of these.
    """

    text: str
    chat: bool = True
    prefix: str = ""
    stops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generated:
    """Examples that are made up: ``examples(split, seed)`` never ends."""

    examples: Callable[[Split, int], Iterator[Example]]


@dataclass(frozen=True)
class Files:
    """Examples in a data file, test split.

    ``local``: where it may lie in the user's data folder, the first that exists is taken. ``hub``:
    data set and file on the Hugging Face hub. ``read`` makes an example of a row (of either) and
    raises KeyError, TypeError or ValueError for a row that is none. ``shots``: how many worked
    examples stand before each question, as ``facts["shots"]``; they are the first rows of
    ``shots_from``, a file given like the first two fields. ``keep``: which rows belong to the test
    split, of a file that holds more; None for all.
    """

    local: tuple[str, ...]
    hub: tuple[str, str] | None
    read: Callable[[Mapping[str, Any]], Example]
    shots: int = 0
    shots_from: tuple[tuple[str, ...], tuple[str, str] | None] = ((), None)
    keep: Callable[[Mapping[str, Any]], bool] | None = None


def whole_prompt(example: Example, style: str) -> Question:
    """The prompt as the user's turn: style "chat", the only one.

    Raises:
        InputError: another style.
    """
    if style != "chat":
        raise InputError(f"style={style!r} is not one of this task, which has chat only")
    return Question(example.prompt)


@dataclass(frozen=True)
class Task:
    """A benchmark.

    ``canvas``: tokens that hold an answer and its end token. ``score``: figures of one answer (text
    up to the end token or stop), of which ``metric`` is the one that stands for accuracy.
    ``styles``: how each model family is asked, by family name, "" for all others; ``ask`` puts the
    question in that style. ``overall``: figures that are no mean over answers (BLEU, F1, Matthews),
    from (example, text) pairs. ``picks``: whether answers are choices, which likelihood can rank.
    """

    name: str
    about: str
    licence: str
    canvas: int
    source: Generated | Files
    score: Callable[[Example, str], Scores]
    metric: str = "accuracy"
    ask: Callable[[Example, str], Question] = whole_prompt
    styles: Mapping[str, str] = field(default_factory=lambda: {"": "chat"})
    overall: Callable[[Sequence[tuple[Example, str]]], Scores] | None = None
    picks: bool = False

    def style(self, family: str) -> str:
        """How a model of ``family`` is asked."""
        return self.styles.get(family, self.styles[""])

    def is_right(self, example: Example, text: str) -> bool:
        """Whether ``text`` has the full score."""
        return self.score(example, text)[self.metric] == 1.0
