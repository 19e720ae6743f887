"""Is a free answer right? The checkers of the distillation papers, and unit tests."""

from __future__ import annotations

from collections.abc import Callable

from unmask.verify.programs import program_of
from unmask.verify.sandbox import run

BOX = r"\boxed{"


def exact(text: str, truth: str) -> bool:
    """Whether both say the same, spaces at the ends aside."""
    return text.strip() == truth.strip()


def boxed(text: str, truth: str) -> bool:
    r"""Whether the last ``\boxed{...}`` of ``text`` is that of ``truth`` (or all of it), case,
    commas and white space aside (d3LLM, data preparation)."""
    found = last_box(text)
    wanted = last_box(truth)
    return found is not None and _plain(found) == _plain(truth if wanted is None else wanted)


def last_box(text: str) -> str | None:
    r"""What stands in the last ``\boxed{...}``, braces matched; None if there is none."""
    start = text.rfind(BOX)
    if start < 0:
        return None
    depth = 1
    for at in range(start + len(BOX), len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if not depth:
            return text[start + len(BOX) : at]
    return None


def _plain(text: str) -> str:
    return "".join(text.lower().replace(",", "").split())


def programs(text: str, truth: str) -> bool:
    """Whether the program in ``text`` passes the tests (asserts) that ``truth`` is, in the sandbox.

    Raises:
        InputError: this system cannot confine a program.
    """
    program = program_of(text)
    return bool(program) and run(program, tests=truth).passed


CHECKS: dict[str, Callable[[str, str], bool]] = {
    "exact": exact,
    "boxed": boxed,
    "programs": programs,
}
