"""Where is the box that a mathematical answer stands in?"""

from __future__ import annotations

BOX = r"\boxed{"


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
