"""A settings file: the preset and overrides that `unmask tune` found, as JSON.

{"preset": "d3llm", "overrides": {"threshold": 0.3}, ...}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unmask import catalogue
from unmask.decode import options
from unmask.decode.presets import PRESETS
from unmask.errors import InputError
from unmask.files import read_object


def read_settings(path: str | Path) -> dict[str, Any]:
    """``preset`` and overrides of a settings file, as `unmask.generate` takes them.

        unmask.generate(model, prompts, **unmask.read_settings("settings.json"))

    Raises:
        InputError: the file cannot be read, or names a preset or option that there is not.
    """
    entry = read_object(Path(path), InputError)
    preset, overrides = entry.get("preset"), entry.get("overrides")
    if not isinstance(preset, str) or not isinstance(overrides, dict):
        raise InputError(
            f"settings {path} needs the fields preset (a name) and overrides (an object); "
            "unmask tune writes such a file"
        )
    known = ("preset", [preset], PRESETS), ("option", overrides, options.table())
    for field, names, those in known:
        for name in names:
            if name not in those:
                reason = catalogue.unknown(field, name, sorted(those))
                raise InputError(f"settings {path}: {reason}", field=field, given=name)
    return {"preset": preset, **overrides}


def write_settings(path: Path, preset: str, overrides: dict[str, Any], **about: Any) -> None:
    """Write a settings file; ``about`` says where it comes from and is not read back.

    Raises:
        InputError: the file cannot be written.
    """
    entry = {"preset": preset, "overrides": overrides, **about}
    try:
        path.write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"settings {path} cannot be written: {error}") from None
