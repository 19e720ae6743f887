"""What a task is: examples with a prompt and a known answer, and a score for what came back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Example:
    """One question. ``answer`` is the whole reference text, ``final`` the part that is scored."""

    prompt: str
    answer: str
    final: str


class Task(Protocol):
    """A module in `unmask.evaluate.tasks`."""

    CANVAS: int
    """Tokens that hold every answer of the task and its end token."""

    def examples(self, split: Split, seed: int = 0) -> Iterator[Example]:
        """Examples of one split, in an order set by ``seed``; endless where they are generated."""
        ...

    def score(self, example: Example, text: str) -> bool:
        """Whether ``text`` answers the example."""
        ...
