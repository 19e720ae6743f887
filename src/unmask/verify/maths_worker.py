"""What does math-verify say? Run as a program: pairs come in as JSON lines, true or false go out.

It is started by ``maths.py`` by its path, so that it loads neither this package nor torch.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from types import ModuleType
from typing import TextIO

MEMORY = 4 << 30  # bytes of address space; 10^(10^10) would want as much for its digits alone


def same(checker: ModuleType, answer: str, truth: str) -> bool:
    """Whether ``checker`` (math-verify) reads both and finds them equal."""
    wanted, given = (checker.parse(f"\\boxed{{{text}}}") for text in (truth, answer))
    return bool(wanted and given and checker.verify(wanted, given))


def main(questions: TextIO, answers: TextIO) -> None:
    """Answer until the input ends; the first line, whatever it is, is answered by "ready"."""
    checker = importlib.import_module("math_verify")  # absent: fails before "ready"
    _limit_memory()
    questions.readline()
    answers.write("ready\n")
    answers.flush()
    for line in questions:
        found = False
        # BaseException: math-verify's time-out is one, and what breaks is not the same.
        with contextlib.suppress(BaseException):
            found = same(checker, *json.loads(line))
        answers.write("true\n" if found else "false\n")
        answers.flush()


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not every system can
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    channel, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    main(sys.stdin, channel)
