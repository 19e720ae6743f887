"""The table of options in docs/presets.md and the types of `unmask.generate`'s keywords, both from
the declarations in src/unmask/decode.  python docs/make_options.py"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from unmask.decode import options

ROOT = Path(__file__).parents[1]
PAGE, TYPES = ROOT / "docs" / "presets.md", ROOT / "src" / "unmask" / "decode" / "overrides.py"
MARKED = re.compile(r"(?<=<!-- options -->\n).*?(?=<!-- end of options -->)", re.DOTALL)


def rows() -> list[str]:
    """A row for every meaning of every option."""
    found = [
        "| option | what it means | what may be given | default | read by |",
        "|---|---|---|---|---|",
    ]
    for entry in options.table().values():
        meanings: dict[tuple[Any, ...], list[str]] = {}
        for user, option in entry.uses:
            default = "" if option.default is None else f"`{option.default}`"
            meanings.setdefault((option.about, option.range, default), []).append(user)
        for (about, may, default), users in meanings.items():
            by = ", ".join(f"`{user}`" for user in users if user) or "all"
            found.append(f"| `{entry.name}` | {about} | {may} | {default} | {by} |")
    return found


def page(text: str) -> str:
    """docs/presets.md with the table as it should be."""
    return MARKED.sub("\n" + "\n".join(rows()) + "\n\n", text)


def types() -> str:
    """src/unmask/decode/overrides.py as it should be."""
    fields = [f"    {e.name}: {e.kind.__name__} | None" for e in options.table().values()]
    head = '''"""Keywords of `unmask.generate`, for editors. Written by docs/make_options.py."""

from __future__ import annotations

from typing import TypedDict


class Overrides(TypedDict, total=False):
    """What changes a preset; None leaves it as it is."""

'''
    return head + "\n".join(fields) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    TYPES.write_text(types(), encoding="utf-8")
