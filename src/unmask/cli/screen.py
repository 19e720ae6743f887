"""The console that all commands print to."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console


class Screen(Console):
    """Tells of a broken pipe instead of leaving the process; figures keep their colour."""

    def __init__(self, **given: Any) -> None:
        super().__init__(highlight=False, **given)

    def on_broken_pipe(self) -> None:
        """Left to `unmask.cli.main`."""
        raise BrokenPipeError


def tell(text: str) -> None:
    """A line on standard error, beside any progress bar."""
    print(text, file=sys.stderr, flush=True)
