"""When has an answer said enough? Its row ends with the forward that completed a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from unmask.canvas.events import Commit
from unmask.decode.generate import Watch
from unmask.decode.step import Row
from unmask.text.frontier import Frontier


def ending(rows: Sequence[Row], frontiers: Sequence[Frontier], pad_id: int) -> Watch:
    """Watches ``rows``, each with its frontier, and fills what is open with ``pad_id`` once a stop
    string stands in text that can no longer change.

    The text before the stop string is what it would have been; forwards and tokens are fewer.
    """

    def watch(commits: list[Commit], seconds: float) -> None:
        del seconds
        for commit in commits:
            row, frontier = rows[commit.row], frontiers[commit.row]
            frontier.push(row.canvas)
            if frontier.stopped and not row.canvas.done:
                row.canvas = row.canvas.close(0, pad_id, written=False)

    return watch
