"""What all commands print to: a console, tables that fit it, bars that a pipe can follow."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import Progress, ProgressColumn, TaskID
from rich.table import Table

TELL = 10.0
"""Seconds between two lines about the same work, where nobody sees a bar move."""


class Screen(Console):
    """Tells of a broken pipe instead of leaving the process; figures keep their colour.

    ``wide``: columns in a file or pipe, unless COLUMNS says how many there are.
    """

    def __init__(self, *, wide: int | None = None, **given: Any) -> None:
        super().__init__(highlight=False, **given)
        if wide is not None and not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = wide

    def on_broken_pipe(self) -> None:
        """Left to `unmask.cli.main`."""
        raise BrokenPipeError

    def table(self, table: Table) -> None:
        """Print a table; where its cells would have to be broken, every row as a list."""
        if self._needs(table) <= self.width:
            self.print(table)
            return
        if table.title:
            self.print(table.title, style=table.title_style or "bold")
        heads = [column.header for column in table.columns]
        least = max(self.measure(head).minimum for head in heads)
        rows = zip(*(column.cells for column in table.columns), strict=True)
        for cells, row in zip(rows, table.rows, strict=True):
            self.print(cells[0], style=row.style or "bold")
            # Heads are broken before figures are.
            longest = max(self.measure(cell).maximum for cell in cells[1:])
            narrow = Table.grid(padding=(0, 1))
            narrow.add_column(max_width=max(self.width - longest - 2, least))
            narrow.add_column()
            for head, cell in zip(heads[1:], cells[1:], strict=True):
                if cell:
                    narrow.add_row(head, cell)
            self.print(Padding(narrow, (0, 0, 0, 1)), style=row.style)

    def _needs(self, table: Table) -> int:
        """Columns for every cell in one line; heads may be broken between words."""
        wide = 0
        for column in table.columns:
            heads = self.measure(column.header).minimum
            cells = [self.measure(cell).maximum for cell in column.cells]
            wide += max([heads, *cells]) + sum(table.padding[1::2])
        return wide if table.pad_edge else wide - sum(table.padding[1::2])


class Bar(Progress):
    """A progress bar on standard error. Where it cannot move, in a file or pipe, it is printed anew
    every few seconds."""

    def __init__(self, *columns: ProgressColumn, **given: Any) -> None:
        super().__init__(*columns, console=Screen(stderr=True), **given)
        self._told = time.monotonic()

    def update(self, task_id: TaskID, **given: Any) -> None:
        """As `Progress.update`."""
        super().update(task_id, **given)
        self._tell()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """As `Progress.advance`."""
        super().advance(task_id, advance)
        self._tell()

    def say(self, line: str) -> None:
        """A line of its own, where nobody sees the bar move."""
        if not self.console.is_terminal:
            self.console.print(line, markup=False, soft_wrap=True)

    def _tell(self) -> None:
        now = time.monotonic()
        if self.disable or self.console.is_terminal or now < self._told + TELL:
            return
        self._told = now
        self.console.print(self.make_tasks_table(self.tasks))


def tell(text: str) -> None:
    """A line on standard error, beside any progress bar."""
    print(text, file=sys.stderr, flush=True)
