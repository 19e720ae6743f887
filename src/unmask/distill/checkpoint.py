"""The folder of a training run: its settings, log and state, and the student that comes out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from unmask.errors import InputError
from unmask.files import reason_of
from unmask.models import loading, weights
from unmask.models.blocks import Transformer

SETTINGS, LOG, STATE = "run.json", "log.jsonl", "state.safetensors"
ADAM = ("step", "exp_avg", "exp_avg_sq")
Weights = Mapping[str, torch.nn.Parameter]


class RunFolder:
    """A run that can be killed at any moment and goes on with the same numbers."""

    def __init__(self, folder: Path, settings: dict[str, Any], *, owner: bool = True) -> None:
        """Open or begin ``folder``; ``settings`` are all that the losses depend on. Of several
        processes one is the ``owner`` and writes.

        Raises:
            InputError: it cannot be written, holds something else, or a run of other settings.
        """
        self.folder, self.owner = folder, owner
        path = folder / SETTINGS
        settings = json.loads(json.dumps(settings))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                if any(one.suffix != ".part" for one in folder.iterdir()):
                    raise InputError(f"{folder} holds something else; give a new folder")
                _replace(path, json.dumps(settings, indent=2) + "\n")
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{folder} cannot be used: {reason_of(error)}") from None
        if known != settings:
            known = known if isinstance(known, dict) else {}
            names = sorted({*known, *settings})
            changed = [name for name in names if known.get(name) != settings.get(name)]
            raise InputError(
                f"{folder} holds a run with other settings ({', '.join(changed)}); give another "
                "folder or the same settings"
            )

    def resume(self, trained: Weights, optimiser: torch.optim.Optimizer) -> int:
        """Fill weights and optimiser from the last save; the number of steps done (0: none).

        Raises:
            InputError: the save is damaged.
        """
        path = self.folder / STATE
        if not path.exists():
            self._cut_log(0)
            return 0
        try:
            with safe_open(path, framework="pt") as file:
                step = int(file.metadata()["step"])
                for name, weight in trained.items():
                    weight.data.copy_(file.get_tensor(f"weight.{name}"))
                    optimiser.state[weight] = {
                        part: file.get_tensor(f"{part}.{name}").to(
                            "cpu" if part == "step" else weight.device
                        )
                        for part in ADAM
                    }
        except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
            raise InputError(
                f"{path} cannot be read ({reason_of(error)}); delete it to begin again"
            ) from None
        self._cut_log(step)
        return step

    def save(self, trained: Weights, optimiser: torch.optim.Optimizer, step: int) -> None:
        """Write the state: all of it or, should the machine stop here, the one before.

        Raises:
            InputError: it cannot be written; the last save stands.
        """
        tensors: dict[str, Tensor] = {}
        for name, weight in trained.items():
            tensors[f"weight.{name}"] = weight.detach().contiguous()
            for part in ADAM:
                tensors[f"{part}.{name}"] = optimiser.state[weight][part].contiguous()
        path = self.folder / STATE
        draft = path.with_suffix(".part")
        try:
            save_file(tensors, draft, {"step": str(step)})
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            draft.replace(path)
        except (OSError, SafetensorError) as error:
            draft.unlink(missing_ok=True)
            raise InputError(
                f"{path} cannot be written ({reason_of(error)}); the last save stands, make room "
                "and give the same command again"
            ) from None

    def log(self, line: Mapping[str, Any]) -> None:
        """One JSON line."""
        try:
            with (self.folder / LOG).open("a", encoding="utf-8") as file:
                print(json.dumps(line), file=file)
        except OSError as error:
            raise InputError(f"{self.folder / LOG} cannot be written: {reason_of(error)}") from None

    def _cut_log(self, step: int) -> None:
        """Drop what was logged after the save that the run goes on from."""
        path = self.folder / LOG
        if self.owner and path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            _replace(path, "".join(lines[:step]))


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(".part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def export(model: Transformer, base: Path, out: Path) -> None:
    """Write ``model`` as a checkpoint in the layout, names and number type of ``base``: the whole
    folder, or nothing.

    Raises:
        InputError: ``out`` cannot be written.
    """
    config = loading.read_config(base / "config.json")
    names = loading.family_of(config).weight_names(config)
    kind = weights.dtype_of(base)
    tensors = model.state_dict()
    draft = out.with_name(f"{out.name}.part")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for path in base.iterdir():
            if path.suffix in (".json", ".txt", ".jinja") and not path.name.endswith("index.json"):
                shutil.copyfile(path, draft / path.name)
        # Copies, for joint maps (`unmask.models.joint`) share a tensor, which no file may.
        own = {name: tensors[ours].to("cpu", kind, copy=True) for name, ours in names.items()}
        save_torch_state_dict(own, draft)
        shutil.rmtree(out, ignore_errors=True)
        draft.replace(out)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{out} cannot be written: {reason_of(error)}") from None
