"""Low-rank adapters by peft, under the checkpoint's own module names.

Every target has to be found: the references train four of LLaDA's seven matrices, because peft
passes over names that match nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import save_file

from unmask.distill.adapter import FILE, PREFIX, Update, matrices
from unmask.distill.recipe import Lora
from unmask.distill.sharding import weights_of
from unmask.errors import InputError
from unmask.files import reason_of
from unmask.models.blocks import Transformer


def module_names(base: Path) -> dict[str, str]:
    """Our name -> the checkpoint's name of every matrix inside the blocks, those that we train."""
    return {ours: theirs for ours, theirs in matrices(base).items() if ours != "head"}


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
    # LLaDA's head has the name of its down projections, and is not trained.
    others = [theirs for ours, theirs in matrices(base).items() if ours not in names]
    skipped = [theirs for theirs in others if theirs.rsplit(".", 1)[-1] in lora.targets]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=list(lora.targets),
        exclude_modules=skipped or None,
        bias="none",
    )
    try:
        config.save_pretrained(str(out))
        save_file(tensors, out / FILE)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{out} cannot be written: {reason_of(error)}") from None


def merge(model: Transformer, updates: Mapping[str, Update]) -> None:
    """Add adapters to the weights, in the model's number type (give it fp32).

    Raises:
        InputError: one is of another model, or broken.
    """
    modules = dict(model.named_modules())
    for ours, update in updates.items():
        weight, delta = modules[ours].weight, update.delta()
        assert isinstance(weight, torch.Tensor)
        if delta.shape != weight.shape:
            raise InputError(
                f"the adapter of {update.name} has the shape {list(delta.shape)}, the model's "
                f"matrix {list(weight.shape)}; it is of another model"
            )
        if not delta.isfinite().all():
            raise InputError(f"the adapter of {update.name} holds NaN or infinity; train it again")
        weight.data += delta.to(weight)


def layers(model: Transformer) -> dict[str, LoraLayer]:
    """The adapted modules by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
