"""Low-rank adapters by peft, under the checkpoint's own module names.

Every target has to be found: the references train four of LLaDA's seven matrices, because peft
passes over names that match nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from unmask.distill.recipe import Lora
from unmask.distill.sharding import weights_of
from unmask.errors import InputError
from unmask.files import FAULTS, read_object, reason_of
from unmask.models import loading
from unmask.models.blocks import Transformer

PREFIX = "base_model.model."
FILE, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


def module_names(base: Path) -> dict[str, str]:
    """Our name -> the checkpoint's name of every matrix inside the blocks."""
    config = loading.read_config(base / "config.json")
    names = loading.family_of(config).weight_names(config)
    return {
        ours.removesuffix(".weight"): theirs.removesuffix(".weight")
        for theirs, ours in names.items()
        if ours.startswith("blocks.") and ours.endswith(".weight") and "norm" not in ours
    }


def attach(model: Transformer, base: Path, lora: Lora, *, strict: bool = True) -> int:
    """Freeze ``model``, give it fresh adapters; the number of trainable parameters.

    Raises:
        InputError: a target matches no module (unless not ``strict``: the references' way).
    """
    names = module_names(base)
    found = {theirs.rsplit(".", 1)[-1] for theirs in names.values()}
    lost = [target for target in lora.targets if target not in found]
    if (lost and strict) or not found & set(lora.targets):
        raise InputError(
            f"lora targets {', '.join(lost)} match no module of this model; "
            f"it has {', '.join(sorted(found))}"
        )
    chosen = [ours for ours, theirs in names.items() if theirs.rsplit(".", 1)[-1] in lora.targets]
    model.requires_grad_(requires_grad=False)
    # peft draws from the global generator; a run must not depend on what ran before it.
    with torch.random.fork_rng():
        torch.manual_seed(0)  # noqa: TID251 - restored at once
        inject_adapter_in_model(
            LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=chosen, bias="none"),
            model,
        )
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def save(model: Transformer, base: Path, lora: Lora, out: Path, *, owner: bool = True) -> None:
    """Write the adapters as peft does, so that the reference code loads them as well. Of several
    processes all have to call, and the ``owner`` writes.

    Raises:
        InputError: ``out`` cannot be written.
    """
    names = module_names(base)
    found = weights_of(model, trained_only=True)
    if not owner:
        return
    tensors = {
        f"{PREFIX}{names[ours]}.{side}.weight": found[f"{ours}.{side}.default.weight"].contiguous()
        for ours in layers(model)
        for side in ("lora_A", "lora_B")
    }
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, target_modules=list(lora.targets), bias="none"
    )
    try:
        config.save_pretrained(str(out))
        save_file(tensors, out / FILE)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{out} cannot be written: {reason_of(error)}") from None


def merge(model: Transformer, base: Path, adapter: Path) -> None:
    """Add the adapters of a folder to the weights, in the model's number type (give it fp32).

    Raises:
        InputError: the folder holds no adapter, or one of another model.
    """
    config = read_object(adapter / SETTINGS, InputError)
    try:
        tensors = load_file(adapter / FILE)
        scale = _scale(config)
    except (*FAULTS, SafetensorError, KeyError, TypeError, ZeroDivisionError) as error:
        raise InputError(f"{adapter} holds no adapter: {reason_of(error)}") from None
    modules = dict(model.named_modules())
    for ours, theirs in module_names(base).items():
        pair = [tensors.pop(f"{PREFIX}{theirs}.lora_{side}.weight", None) for side in "BA"]
        if pair[0] is None or pair[1] is None:
            continue
        weight = modules[ours].weight
        assert isinstance(weight, torch.Tensor)
        delta = scale * (pair[0].float() @ pair[1].float())
        if delta.shape != weight.shape:
            raise InputError(f"{adapter}: {theirs} has another shape than the model's")
        weight.data += delta.to(weight)
    if tensors:
        raise InputError(f"{adapter}: {min(tensors)} is no module of this model")


def _scale(config: dict[str, Any]) -> float:
    unknown = [name for name in ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern")
               if config.get(name)]  # fmt: skip
    if unknown:
        raise InputError(f"{SETTINGS}: {unknown[0]} is not supported; merge it with peft")
    return float(config["lora_alpha"]) / float(config["r"])


def layers(model: Transformer) -> dict[str, LoraLayer]:
    """The adapted modules by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
