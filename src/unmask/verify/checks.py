"""Is a free answer right? The checkers of the distillation papers, and unit tests."""

from __future__ import annotations

import ast
from collections.abc import Callable

from unmask.verify.boxes import last_box
from unmask.verify.numbers import final_number
from unmask.verify.programs import program_of
from unmask.verify.sandbox import run


def exact(text: str, truth: str) -> bool:
    """Whether both say the same, spaces at the ends aside."""
    return text.strip() == truth.strip()


def boxed(text: str, truth: str) -> bool:
    r"""Whether the last ``\boxed{...}`` of ``text`` is that of ``truth`` (or all of it), case,
    commas and white space aside (d3LLM, data preparation)."""
    found = last_box(text)
    wanted = last_box(truth)
    return found is not None and _plain(found) == _plain(truth if wanted is None else wanted)


def _plain(text: str) -> str:
    return "".join(text.lower().replace(",", "").split())


def number(text: str, truth: str) -> bool:
    """Whether both come to the same number (GSM8K: reasoning in free words on both sides)."""
    wanted = final_number(truth)
    return wanted is not None and final_number(text) == wanted


def programs(text: str, truth: str) -> bool:
    """Whether the program in ``text`` passes the tests (asserts) that ``truth`` is, in the sandbox.

    Raises:
        InputError: this system cannot confine a program.
    """
    program = program_of(text)
    return bool(program) and run(program, tests=truth).passed


def useless(check: str, truth: str) -> str | None:
    """Why ``check`` can tell no right answer from a wrong one by ``truth``; None if it can."""
    if check == "number" and final_number(truth) is None:
        return "hold no number"
    if check == "programs":
        try:
            tests = ast.parse(truth)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return "are no Python"
        if not any(isinstance(node, ast.Assert) for node in ast.walk(tests)):
            return "assert nothing"
    return None


CHECKS: dict[str, Callable[[str, str], bool]] = {
    "exact": exact,
    "boxed": boxed,
    "number": number,
    "programs": programs,
}
