"""unmask: run, distil, measure and serve diffusion language models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unmask.canvas.trajectory import Trajectory
    from unmask.decode.generate import Result, generate
    from unmask.decode.prompts import Infill
    from unmask.decode.saved import read_settings
    from unmask.errors import CheckpointError, DecodeError, InputError, PromptError, UnmaskError
    from unmask.models.loading import Model, load

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "DecodeError",
    "Infill",
    "InputError",
    "Model",
    "PromptError",
    "Result",
    "Trajectory",
    "UnmaskError",
    "__version__",
    "generate",
    "load",
    "read_settings",
]

_HOMES = {
    "canvas.trajectory": ("Trajectory",),
    "decode.generate": ("Result", "generate"),
    "decode.prompts": ("Infill",),
    "decode.saved": ("read_settings",),
    "errors": ("CheckpointError", "DecodeError", "InputError", "PromptError", "UnmaskError"),
    "models.loading": ("Model", "load"),
}

if not TYPE_CHECKING:  # or every name would pass for one of ours

    def __getattr__(name: str) -> Any:
        """A public name, fetched at its first use: torch takes seconds to import (PEP 562)."""
        for home, names in _HOMES.items():
            if name in names:
                globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __all__
