"""The folder of a training run: its settings, log and state, and the student that comes out."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError

from unmask.distill import saves
from unmask.distill.saves import Weights
from unmask.distill.sharding import weights_of
from unmask.distill.shards import mark_of
from unmask.errors import InputError
from unmask.files import FAULTS, LOCK, claim, read_object, reason_of, write_whole
from unmask.models import loading, stored, weights
from unmask.models.blocks import Transformer

SETTINGS, LOG = "run.json", "log.jsonl"
NOTES = logging.getLogger(__name__)
Tell = Callable[[str], object]
CODED = ("config.json", "tokenizer_config.json")
COPIED = (".json", ".txt", ".jinja", ".py", ".model")
"""Beside the weights: a checkpoint may bring its own code, by which the reference loads it."""


class RunFolder:
    """A run that can be killed at any moment and goes on with the same numbers."""

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        *,
        owner: bool = True,
        tell: Tell = NOTES.warning,
    ) -> None:
        """Open or begin ``folder``; ``settings`` are all that the losses depend on. Of several
        processes one is the ``owner``: it writes, and until ``close`` no other run does.
        ``tell`` is told what was damaged.

        Raises:
            InputError: it cannot be written, holds something else, or a run of other settings.
        """
        self.folder, self.owner = folder, owner
        self._tell: Tell = tell if owner else lambda _: None
        self._settings = json.loads(json.dumps(settings))
        self._run = mark_of(self._settings)
        self._release: Callable[[], object] = lambda: None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise InputError(f"{folder} cannot be used: {reason_of(error)}") from None

    def _open(self) -> None:
        """Claim the folder, and see to it that run.json says whose it is. The saves say so too, if
        it is damaged."""
        path = self.folder / SETTINGS
        others = (one.name for one in self.folder.iterdir() if one.suffix != ".part")
        begun = any(name != LOCK for name in others)
        if begun and not path.exists() and not saves.is_of(self.folder, self._run):
            raise InputError(f"{self.folder} holds something else; give a new folder")
        if self.owner:
            self._release = claim(self.folder, self)
        if path.exists() and self._known(path) == self._settings:
            return
        if begun or path.exists():
            if not saves.is_of(self.folder, self._run):
                raise self._refusal(path)
            self._tell(f"{path} was damaged and is written anew: the saves are of this run")
        if self.owner:
            write_whole(path, json.dumps(self._settings, indent=2).encode() + b"\n")

    def close(self) -> None:
        """Let other runs write here, though somebody may hold on to this: a kept traceback, say."""
        self._release()

    def _known(self, path: Path) -> object:
        try:
            return json.loads(path.read_bytes())
        except FAULTS:
            return None

    def _refusal(self, path: Path) -> InputError:
        known = self._known(path)
        if not isinstance(known, dict):
            return InputError(
                f"{path} cannot be read, and no save is of this run; give a new folder"
            )
        names = sorted({*known, *self._settings})
        changed = [name for name in names if known.get(name) != self._settings.get(name)]
        return InputError(
            f"{self.folder} holds a run with other settings ({', '.join(changed)}); give another "
            "folder or the same settings"
        )

    def resume(self, trained: Weights, optimiser: torch.optim.Optimizer) -> int:
        """Fill weights and optimiser from the newest save that is whole, of however many processes;
        the number of steps done (0: none).

        Raises:
            InputError: there are saves, and none is whole.
        """
        faults: list[str] = []
        for step in saves.steps(self.folder):
            try:
                saves.read(self.folder, trained, optimiser, step, self._run)
            except InputError as error:
                faults.append(str(error))
                continue
            if faults:
                self._tell(
                    f"{self.folder}: a save is damaged ({'; '.join(faults)}); the run goes on from "
                    f"the one before, of step {step}"
                )
            if not saves.checked(self.folder, step):
                self._tell(
                    f"{self.folder}: the save of step {step} has no checksums, as earlier versions "
                    "wrote none; whether it is whole was not checked"
                )
            self._cut_log(step)
            return step
        if faults:
            raise InputError(
                f"{self.folder} has no save that is whole ({'; '.join(faults)}); give another "
                "folder to begin again"
            )
        self._cut_log(0)
        return 0

    def save(self, trained: Weights, optimiser: torch.optim.Optimizer, step: int) -> None:
        """Write the state, every process its part: all of it or, should a machine stop here, the
        one before.

        Raises:
            InputError: it cannot be written; the last save stands.
        """
        saves.write(self.folder, trained, optimiser, step, self._run)

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
        if not self.owner or not (step or path.exists()):
            return
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        kept = [line for line in lines if 0 < _step_of(line) <= step]
        if len(kept) < step:
            self._tell(f"{path} was damaged: it has {len(kept)} lines of {step} steps")
        try:
            write_whole(path, b"".join(line + b"\n" for line in kept))
        except OSError as error:
            raise InputError(f"{path} cannot be written: {reason_of(error)}") from None


def _step_of(line: bytes) -> int:
    """The step that a line of the log is of; 0 if it cannot be read."""
    try:
        return int(json.loads(line)["step"])
    except (*FAULTS, KeyError, TypeError):
        return 0


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
    names = stored.needed(model.body, names, stored.files_of(weights.shards(base)))
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
