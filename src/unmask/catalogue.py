"""A file name is a name: lists and imports the variants that lie in a package folder."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType

from unmask.errors import InputError

SHOWN = 80
"""Characters of an unknown name."""


def names(package: str) -> list[str]:
    """Names of the variants in ``package`` (a dotted path), sorted."""
    folder = importlib.import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(folder))


def find(package: str, name: str, field: str) -> ModuleType:
    """The module ``name`` of ``package``.

    Raises:
        InputError: no such file; the message names ``field`` and what there is.
    """
    known = names(package)
    if name not in known:
        raise unknown(field, name, known)
    return importlib.import_module(f"{package}.{name}")


def unknown(field: str, given: object, known: list[str]) -> InputError:
    """What to raise about a name that is not in ``known``."""
    shown, near = repr(given), []
    if len(shown) > SHOWN:  # nobody meant a name that long, and nobody reads it
        shown = shown[: SHOWN - 3] + "..."
    else:
        near = difflib.get_close_matches(str(given), known, n=1)
    also = f"; did you mean {near[0]!r}?" if near else ""
    hint = f"choose one of {', '.join(known)}{also}"
    return InputError(f"{field}={shown} is not known", field=field, given=given, hint=hint)
