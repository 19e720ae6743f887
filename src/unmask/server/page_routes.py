"""Who gives out the page? One route for every file of its folder, and nothing else.

Not a mount at the root: that would answer for every path that is not there, and turn a wrong method
on a route of the API into a missing file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

FOLDER = Path(__file__).parent / "page"
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The page runs its own scripts only, whatever a model writes."""


def add_page(app: FastAPI, folder: Path = FOLDER) -> None:
    """Give out the files of ``folder``; index.html also at the root."""
    for path in sorted(folder.glob("*")):
        if not path.is_file():
            continue
        places = [f"/{path.name}", *(["/"] if path.name == "index.html" else [])]
        for place in places:
            app.add_api_route(place, _giver(path), methods=["GET", "HEAD"], include_in_schema=False)


def _giver(path: Path) -> Callable[[], FileResponse]:
    def give() -> FileResponse:
        return FileResponse(path, headers=HEADERS)

    return give
