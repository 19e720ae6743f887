"""Which matrices does an adapter change, and by how much? Also for those that other tools made.

Only what is known to be merged as peft does it is taken. Adapters come in dozens of kinds that
share their file names, and one taken for another makes a model that is wrong without a word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from unmask.errors import InputError
from unmask.files import read_object, reason_of
from unmask.models import loading, stored, weights

PREFIX = "base_model.model."
FILE, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
INITS = (True, False, None, "gaussian", "orthogonal", "eva", "mica")
"""Ways to begin that leave the model as it is. PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA take
something out of it first."""
WHERE = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
USED = (
    *WHERE, "peft_type", "bias", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern",
    "init_lora_weights",
)  # fmt: skip
HARMLESS = (
    "auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision",
    "task_type", "lora_dropout", "megatron_core", "qalora_group_size",
    "corda_config", "eva_config", "loftq_config", "lora_ga_config",
)  # fmt: skip
"""Fields that say nothing about the sum. The last four go with a way to begin, which is checked."""


@dataclass(frozen=True, eq=False)
class Update:
    """``scale`` * ``up`` @ ``down`` is added to the matrix that the checkpoint calls ``name``."""

    name: str
    up: Tensor
    down: Tensor
    scale: float

    def delta(self) -> Tensor:
        """What is added, in float32."""
        return self.scale * (self.up.float() @ self.down.float())


def matrices(base: Path) -> dict[str, str]:
    """Our name -> the checkpoint's name of every matrix that can be adapted: those inside the
    blocks, and the head where it has weights of its own."""
    config = loading.read_config(base / "config.json")
    names = loading.family_of(config).weight_names(config)
    return {
        ours.removesuffix(".weight"): theirs.removesuffix(".weight")
        for theirs, ours in names.items()
        if ours == "head.weight"
        or (ours.startswith("blocks.") and ours.endswith(".weight") and "norm" not in ours)
    }


def read(folder: Path, base: Path) -> dict[str, Update]:
    """What the adapter in ``folder`` adds to the checkpoint ``base``, by our names.

    Raises:
        InputError: the folder holds no adapter, one that cannot be merged, or one of another model.
    """
    path = folder / SETTINGS
    settings, names, found = read_object(path, InputError), matrices(base), {}
    try:
        _check(settings)
        targeted = _targets(settings)
        ranks = _by_module(settings, "r", "rank_pattern")
        alphas = _by_module(settings, "lora_alpha", "alpha_pattern")
        for ours, (up, down) in _pairs(folder / FILE, names, base).items():
            theirs = names[ours]
            _expect(theirs, up, down, targeted=targeted(theirs))
            if up is not None and down is not None:
                rank = _rank(theirs, up, down, ranks(theirs))
                root = math.sqrt(rank) if settings.get("use_rslora") else rank
                found[ours] = Update(theirs, up, down, alphas(theirs) / root)
    except (ValueError, TypeError, re.error) as error:
        raise InputError(f"{path}: {reason_of(error)}") from None
    return found


def _check(settings: Mapping[str, Any]) -> None:
    """Refuse every field that would make the sum another one."""
    if settings.get("peft_type") != "LORA":
        raise InputError(_refusal(settings, "peft_type", "only LORA is merged here"))
    if settings.get("bias", "none") != "none":
        raise InputError(_refusal(settings, "bias"))
    if settings.get("init_lora_weights", True) not in INITS:
        raise InputError(
            _refusal(
                settings,
                "init_lora_weights",
                "it changes the model before training; make a plain adapter of it with peft's "
                "save_pretrained(path_initial_model_for_weight_conversion=...)",
            )
        )
    if not isinstance(settings.get("use_rslora", False), (bool, type(None))):
        raise InputError(_refusal(settings, "use_rslora", "it has to be true or false"))
    for name, value in settings.items():
        if value and name not in USED and name not in HARMLESS:
            raise InputError(_refusal(settings, name))


def _refusal(settings: Mapping[str, Any], field: str, why: str = "") -> str:
    given = f"{settings.get(field)!r:.120}"
    return f"{field}={given} cannot be merged here{f' ({why})' if why else ''}; merge it with peft"


def _targets(settings: Mapping[str, Any]) -> Callable[[str], bool]:
    """Whether peft would adapt a module of that name."""
    target = settings.get("target_modules")
    if not target:
        raise InputError(f"target_modules={target!r} names no module; give those of the training")
    where: dict[str, Any] = {name: settings.get(name) for name in WHERE}
    config = LoraConfig(**where)
    return lambda name: bool(check_target_module_exists(config, name))


def _by_module(settings: Mapping[str, Any], field: str, patterns: str) -> Callable[[str], float]:
    """The value of ``field`` for a module: of the first pattern that its name ends in, or plain."""
    special = settings.get(patterns) or {}
    if not isinstance(special, dict):
        raise InputError(f"{patterns}={special!r} has to be an object of names and numbers")
    plain = _number(field, settings.get(field), whole=field == "r")
    numbers = {
        name: _number(f"{patterns}[{name!r}]", value, whole=field == "r")
        for name, value in special.items()
    }

    def value_of(module: str) -> float:
        fitting = (numbers[one] for one in numbers if re.match(rf"(.*\.)?({one})$", module))
        return next(fitting, plain)

    return value_of


def _number(name: str, value: Any, *, whole: bool) -> float:
    real = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not real or (whole and (value < 1 or value % 1)):
        kind = "a whole number of at least 1" if whole else "a number"
        raise InputError(f"{name}={value!r} is not allowed; it has to be {kind}")
    return float(value)


def _pairs(
    path: Path, names: Mapping[str, str], base: Path
) -> dict[str, tuple[Tensor | None, Tensor | None]]:
    """Up and down of every matrix in ``names``, where there are any; nothing else may be there."""
    if not path.is_file():
        raise InputError(
            f"{path.name} is not beside it (only safetensors are read, never pickled .bin files)"
        )
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path.name} is broken: {reason_of(error)}") from None
    pairs = {}
    for ours, theirs in names.items():
        up, down = (tensors.pop(f"{PREFIX}{theirs}.lora_{side}.weight", None) for side in "BA")
        pairs[ours] = (up, down)
        copy = tensors.pop(f"{PREFIX}{theirs}.base_layer.weight", None)
        if copy is not None:
            _check_copy(f"{theirs}.weight", copy, base)
    if tensors:
        raise InputError(
            f"tensor {min(tensors)} of {path.name} is of no module of this model that can be merged"
        )
    return pairs


def _check_copy(name: str, copy: Tensor, base: Path) -> None:
    """With an adapter of the head peft stores the head as well, and would merge into that one."""
    path = stored.files_of(weights.shards(base)).get(name)
    own = copy.new_empty(0)
    if path is not None:
        with stored.opened(path) as file:
            own = file.get_tensor(name)
    if not torch.equal(own.float(), copy.float()):
        raise InputError(
            f"{name} comes with the adapter and differs from that of {base}; give the model that "
            "it was trained on"
        )


def _expect(name: str, up: Tensor | None, down: Tensor | None, *, targeted: bool) -> None:
    """Refuse what peft would leave out, or make up, in silence."""
    if (up is None) != (down is None):
        side = "lora_B" if up is None else "lora_A"
        raise InputError(f"{name} has no {side}, half of its pair; the adapter is damaged")
    if up is None and targeted:
        raise InputError(
            f"{name} is among target_modules and has no tensors; if it was never trained, name it "
            "in exclude_modules"
        )
    if up is not None and not targeted:
        raise InputError(
            f"{name} has tensors and is not among target_modules; add it, or take them out"
        )


def _rank(name: str, up: Tensor, down: Tensor, rank: float) -> int:
    """The rank of a pair, which has to be the one that the settings give."""
    shapes = [list(one.shape) for one in (up, down)]
    if not up.is_floating_point() or not down.is_floating_point():
        raise InputError(f"{name} has tensors of {up.dtype} and {down.dtype}, not of real numbers")
    if [len(one) for one in shapes] != [2, 2] or not shapes[0][1] == shapes[1][0] == rank:
        raise InputError(f"{name} has tensors of shape {shapes}, and r is {rank:.0f} there")
    return int(rank)
