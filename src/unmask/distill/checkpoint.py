"""The folder of a training run: its settings, log and state, and the student that comes out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError

from unmask.distill import saves
from unmask.distill.saves import Weights
from unmask.distill.sharding import weights_of
from unmask.errors import InputError
from unmask.files import read_object, reason_of
from unmask.models import loading, weights
from unmask.models.blocks import Transformer

SETTINGS, LOG = "run.json", "log.jsonl"
CODED = ("config.json", "tokenizer_config.json")
COPIED = (".json", ".txt", ".jinja", ".py", ".model")
"""Beside the weights: a checkpoint may bring its own code, by which the reference loads it."""


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
        """Fill weights and optimiser from the last save, of however many processes; the number of
        steps done (0: none).

        Raises:
            InputError: the save is damaged.
        """
        step = saves.last(self.folder)
        if step:
            saves.read(self.folder, trained, optimiser, step)
        self._cut_log(step)
        return step

    def save(self, trained: Weights, optimiser: torch.optim.Optimizer, step: int) -> None:
        """Write the state, every process its part: all of it or, should a machine stop here, the
        one before.

        Raises:
            InputError: it cannot be written; the last save stands.
        """
        saves.write(self.folder, trained, optimiser, step)

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


def export(
    model: Transformer, base: Path, out: Path, *, owner: bool = True, code: str | None = None
) -> None:
    """Write ``model`` as a checkpoint in the layout, names and number types of ``base``: the whole
    folder, or nothing. Of several processes all have to call, and the ``owner`` writes. ``code``:
    the hub id where the reference's own code lies, if ``base`` was downloaded without it.

    Raises:
        InputError: ``out`` cannot be written, or a weight not in its number type.
    """
    config = loading.read_config(base / "config.json")
    names = loading.family_of(config).weight_names(config)
    kinds = weights.dtypes_of(base)
    tensors = weights_of(model)
    if not owner:
        return
    draft = out.with_name(f"{out.name}.part")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for path in base.iterdir():
            if path.suffix in COPIED and not path.name.endswith("index.json"):
                shutil.copyfile(path, draft / path.name)
        if code and not Path(code).is_dir():
            for name in CODED:
                _refer(draft / name, code)
        save_torch_state_dict(
            {theirs: _cast(theirs, tensors[ours], kinds[theirs]) for theirs, ours in names.items()},
            draft,
        )
        shutil.rmtree(out, ignore_errors=True)
        draft.replace(out)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{out} cannot be written: {reason_of(error)}") from None


def _cast(name: str, tensor: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    found = tensor.to(kind)
    if kind == torch.float16 and not found.isfinite().all():
        raise InputError(
            f"{name} has grown too large for {kind}, the number type of its base; take a base in "
            "bfloat16 or float32"
        )
    return found


def _refer(path: Path, code: str) -> None:
    """Let the classes that ``path`` names, and whose files are not here, be found at ``code``."""
    entry = read_object(path, InputError) if path.exists() else {}
    classes = entry.get("auto_map")
    if not isinstance(classes, dict):
        return

    def found(name: Any) -> Any:
        if isinstance(name, list):
            return [found(one) for one in name]
        own = not isinstance(name, str) or "--" in name
        own = own or (path.parent / f"{name.partition('.')[0]}.py").exists()
        return name if own else f"{code}--{name}"

    entry["auto_map"] = {kind: found(name) for kind, name in classes.items()}
    path.write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
