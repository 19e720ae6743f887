"""A finished canvas and how it came to be; saved as safetensors, never unpickled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from unmask.canvas.canvas import Births, Canvas, Ids
from unmask.errors import InputError
from unmask.files import FAULTS, reason_of

FORMAT = "unmask-trajectory-1"


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Ids [L], births [L] and positions fed per forward [steps] of one answer."""

    tokens_L: Ids
    born_L: Births
    prompt_length: int
    mask_id: int
    fed: NDArray[np.int64]
    model: str
    policy: str

    @property
    def steps(self) -> int:
        """Forward passes."""
        return len(self.fed)

    def order(self) -> NDArray[np.intp]:
        """Answer positions in the order of their birth (ties from left to right)."""
        born = self.born_L[self.prompt_length :]
        return self.prompt_length + np.argsort(born, kind="stable")

    def at(self, step: int) -> Ids:
        """The tokens as they stood after forward ``step``, masks included."""
        return Canvas(self.tokens_L, self.born_L, self.prompt_length, self.mask_id).at(step)

    def save(self, path: Path) -> None:
        """Write one safetensors file.

        Raises:
            InputError: the file cannot be written.
        """
        about = {
            "format": FORMAT,
            "prompt_length": self.prompt_length,
            "mask_id": self.mask_id,
            "model": self.model,
            "policy": self.policy,
        }
        tensors: dict[str, NDArray[Any]] = {
            "tokens": self.tokens_L.astype(np.uint32),
            "born": self.born_L.astype(np.uint16),
            "fed": self.fed.astype(np.uint32),
        }
        assert self.steps < 2**16, "births are stored in 16 bits"
        try:
            path.write_bytes(save(tensors, metadata={"unmask": json.dumps(about)}))
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error}") from None

    @classmethod
    def load(cls, path: Path) -> Trajectory:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or is no trajectory.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                about = json.loads((file.metadata() or {}).get("unmask", "{}"))
                if about.get("format") != FORMAT:
                    raise InputError(
                        f"{path} is no trajectory; write one with unmask generate --save"
                    )
                tokens, born, fed = (file.get_tensor(name) for name in ("tokens", "born", "fed"))
            found = cls(
                tokens.astype(np.int64),
                born.astype(np.int32),
                about["prompt_length"],
                about["mask_id"],
                fed.astype(np.int64),
                about["model"],
                about["policy"],
            )
        except (*FAULTS, SafetensorError, KeyError, AttributeError) as error:
            raise InputError(
                f"{path} cannot be read as a trajectory ({reason_of(error)}); "
                "write one with unmask generate --save"
            ) from None
        if not found._sound():
            raise InputError(
                f"{path} is a damaged trajectory; write one with unmask generate --save"
            )
        return found

    def _sound(self) -> bool:
        """Whether shapes, types and numbers fit together."""
        shapes = {self.tokens_L.ndim, self.born_L.ndim, self.fed.ndim} == {1}
        kinds = isinstance(self.prompt_length, int) and isinstance(self.mask_id, int)
        names = isinstance(self.model, str) and isinstance(self.policy, str)
        if not (shapes and kinds and names and len(self.tokens_L) == len(self.born_L)):
            return False
        births = self.born_L.min(initial=0) >= 0 and self.born_L.max(initial=0) <= self.steps
        return 0 <= self.prompt_length <= len(self.tokens_L) and bool(births)
