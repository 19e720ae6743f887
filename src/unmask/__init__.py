"""unmask: run, distil, measure and serve diffusion language models."""

from __future__ import annotations

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
