"""Checkpoint folder or hub name -> a Model.

Reads config.json, safetensors and tokenizer files only; no code and no pickle is ever run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from numbers import Integral
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor

from unmask import catalogue
from unmask.errors import CheckpointError, InputError, PromptError
from unmask.files import read_object
from unmask.models import generation, hub, precision, quantized, weights
from unmask.models import parallel as parallels
from unmask.models.blocks import Transformer
from unmask.models.denoiser import ModelCard
from unmask.text import chat, tokenizer

FAMILIES = "unmask.models.families"
DOWNLOADED = ["*.json", "*.safetensors", "*.txt", "*.jinja"]
LONGEST_NAME = 1000
CONFIG_ERRORS = (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError)


@dataclass(frozen=True)
class Model:
    """A loaded checkpoint. ``defaults`` are its own decoding defaults."""

    denoiser: Transformer
    codec: tokenizer.TextCodec | None
    template: chat.ChatTemplate | None
    defaults: dict[str, Any]

    @property
    def card(self) -> ModelCard:
        """Facts about the model."""
        return self.denoiser.card

    @torch.inference_mode()
    def logits(self, token_ids: list[int]) -> Tensor:
        """Logits [L, V] of one full forward; row i is about token i, whatever the family's shift.

        A shifted model says nothing about token 0; its row 0 is the raw row 0, as in the reference.

        Raises:
            PromptError: the ids are empty, too many or outside the vocabulary.
        """
        ids = torch.tensor([check_ids(token_ids, self.card)], device=self.denoiser.device)
        at = torch.arange(ids.shape[1], device=ids.device)[None]
        raw = self.denoiser(ids, at)[0]
        return torch.cat([raw[:1], raw[:-1]]) if self.card.logit_shift else raw


def check_ids(token_ids: list[int], card: ModelCard) -> list[int]:
    """``token_ids`` if the model can take them.

    Raises:
        PromptError: they are empty, too many or outside the vocabulary.
    """
    if not isinstance(token_ids, (list, tuple)):
        kind = type(token_ids).__name__
        raise PromptError(f"token ids of type {kind} are not understood; give a list of numbers")
    if not token_ids:
        raise PromptError("the prompt is empty; give some text or at least one token id")
    if len(token_ids) > card.max_length:
        raise PromptError(
            f"{len(token_ids)} tokens are too many: {card.name} takes at most {card.max_length}"
        )
    for token in token_ids:
        whole = isinstance(token, Integral) and not isinstance(token, bool)
        if not whole or not 0 <= token < card.vocabulary:
            raise PromptError(
                f"token id {token!r} is outside the vocabulary of {card.name} "
                f"(0 to {card.vocabulary - 1})"
            )
    return [int(token) for token in token_ids]


def load(
    name: str | Path, device: str = "auto", dtype: str = "auto", *, parallel: bool = False
) -> Model:
    """Load a built-in model (``tiny``, ``tiny-fast``, ``tiny-ar``), a checkpoint folder or a hub id
    (org/name).

    ``device``: auto, cpu, cuda, cuda:1, mps. ``dtype``: auto (bfloat16 on a GPU, else float32),
    float32, bfloat16, float16; or weights of 8 bits, int8 on a CPU and fp8 on a GPU
    (`unmask.models.int8`, `unmask.models.fp8`). ``parallel``: the processes that torchrun started
    hold a part of the model each, and have to make the same calls (`unmask.models.parallel`).

    Raises:
        InputError: an unknown name, device or dtype; int8 or fp8 where it cannot be; processes
            that cannot share the model.
        CheckpointError: the folder cannot become a model; the message names file, field or tensor.
    """
    where, count = pick_device(device), 1
    if parallel:
        where, count = parallels.own_device(where), parallels.processes()
    kind, form = precision.pick(dtype, where)
    if form:
        quantized.check(form, where, parallel=parallel)
    folder = find_folder(str(name))
    model, names = _unfilled(folder, str(name))
    denoiser = model.denoiser
    size = sum(weight.numel() for weight in denoiser.parameters())
    if parallel:
        parallels.check(denoiser.body, count)
        parallels.cut(denoiser, count, where)
    if form:
        quantized.prepare(denoiser, form)
    weights.fill(denoiser, folder, names, where, kind)
    if parallel:
        parallels.settle(denoiser, count)
    if form:
        quantized.settle(denoiser, form)
    else:
        denoiser.join()
    denoiser.card = replace(denoiser.card, parameters=size, processes=count)
    return model


def outline(name: str | Path) -> Model:
    """A model but for its weights, which nobody reads (PyTorch's meta device): enough to put
    prompts and check settings, while others do the computing. Its ``card.parameters`` is 0.

    Raises:
        InputError: an unknown name.
        CheckpointError: the folder cannot become a model.
    """
    return _unfilled(find_folder(str(name)), str(name))[0]


def _unfilled(folder: Path, name: str) -> tuple[Model, dict[str, str]]:
    """A model on the meta device, and how a checkpoint calls its weights."""
    config = read_config(folder / "config.json")
    family = family_of(config)
    codec = tokenizer.read(folder)
    generating = generation.read(folder)
    try:
        body = family.body(config)
        more = (*generation.end_ids(generating, body.vocabulary), *_turn_end(codec, family))
        if config.get("eos_token_id") in (None, []) and more:
            config = {**config, "eos_token_id": list(more)}
        card = family.card(config, _short_name(name))
        names = family.weight_names(config)
        card = replace(card, end_ids=tuple(dict.fromkeys((*card.end_ids, *more))))
        with torch.device("meta"):
            denoiser = Transformer(body, card)
    except CheckpointError:
        raise
    except CONFIG_ERRORS as error:
        raise CheckpointError(f"{folder / 'config.json'}: {_reason(error)}") from None
    if card.mask_id in card.end_ids:
        raise CheckpointError(
            f"{folder}: token {card.mask_id} stands for what is not written yet and is an end "
            "token as well, so that no answer could end; give another mask_token_id in config.json"
        )
    template = chat.read(folder, codec.settings if codec else {})
    defaults = {**generation.DEFAULTS, **_own_block(card), **generation.defaults(generating)}
    return Model(denoiser.eval(), codec, template, defaults), names


def builtin() -> dict[str, Path]:
    """Name and folder of every model that ships with the package."""
    root = Path(str(resources.files("unmask.models") / "builtin"))
    return {folder.name: folder for folder in sorted(root.iterdir()) if folder.is_dir()}


def pick_device(device: str) -> torch.device:
    """The device meant by ``device``; auto takes the best there is."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    found = {"cpu": True, "cuda": cuda, "mps": mps}
    if not isinstance(device, str) or not re.fullmatch(r"cpu|mps|cuda(:\d{1,3})?", device):
        raise catalogue.unknown("device", device, ["auto", "cpu", "cuda", "mps"])
    if not found[device.split(":")[0]]:
        raise InputError(f"device={device!r} is not on this machine; use device='auto'")
    return torch.device(device)


def find_folder(name: str) -> Path:
    """The local folder of a model, downloaded if ``name`` is a hub id."""
    if name in builtin():
        return builtin()[name]
    if len(name) > LONGEST_NAME:
        raise InputError(f"model={name[:40]!r}... is no name; give a checkpoint folder or a hub id")
    path = _path(name)
    if name and path.is_dir():
        return path
    if name and path.exists():
        raise CheckpointError(f"model={name!r} is a file; give the folder that holds config.json")
    if hub.is_name(name):
        return _download(name)
    known = ", ".join(builtin())
    raise InputError(
        f"model={name!r} is no built-in model ({known}), no folder and no hub id; "
        "give one of these, a checkpoint folder, or org/name"
    )


def _path(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # ~somebody whom this machine does not know
        return Path(name)


def _download(name: str) -> Path:
    try:
        fetch = partial(snapshot_download, name, allow_patterns=DOWNLOADED)
        return hub.fetched(name, "model", fetch)
    except OSError as error:
        raise CheckpointError(
            f"model={name!r} is no folder here and cannot be downloaded ({error}); "
            "check the name and the connection, or give a checkpoint folder"
        ) from None


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object from ``path``."""
    if not path.exists():
        raise CheckpointError(f"{path.parent} has no {path.name}; give a checkpoint folder")
    return read_object(path, CheckpointError)


def family_of(config: dict[str, Any]) -> ModuleType:
    """The family module that takes these ``architectures``, where config.json names any, and this
    ``model_type``, which other kinds of model share."""
    modules = [catalogue.find(FAMILIES, name, "family") for name in catalogue.names(FAMILIES)]
    kind, classes = config.get("model_type"), config.get("architectures")
    classes = [] if classes is None else classes
    if not isinstance(classes, list) or not all(isinstance(one, str) for one in classes):
        raise CheckpointError(
            f"config.json: architectures={classes!r} is not allowed; it has to be a list of names"
        )
    for module in modules:
        if kind in module.MODEL_TYPES and set(classes) <= {*module.ARCHITECTURES}:
            return module
    fields = [("architectures", one) for one in classes] + [("model_type", kind)]
    for field, given in fields:
        if "moe" in str(given).lower():
            raise CheckpointError(
                f"config.json: {field}={given!r} is a mixture of experts; only dense models are "
                "supported (unmask models lists their families)"
            )
        constant = "ARCHITECTURES" if field == "architectures" else "MODEL_TYPES"
        known = [one for module in modules for one in getattr(module, constant)]
        if given not in known:
            raise CheckpointError(
                f"config.json: {catalogue.unknown(field, given, known)}; "
                "this family is not supported (unmask models lists those that are)"
            )
    raise CheckpointError(
        f"config.json: model_type={kind!r} and architectures={classes!r} are those of different "
        "models; repair one of the two"
    )


def _own_block(card: ModelCard) -> dict[str, Any]:
    """Models that attend block by block decode in these blocks."""
    return {} if card.span is None or card.causal else {"block_length": card.span}


def _turn_end(codec: tokenizer.TextCodec | None, family: ModuleType) -> tuple[int, ...]:
    """The family's end of turn, where the tokenizer has one."""
    turn = codec.id_of(family.TURN_END) if codec else None
    return () if turn is None else (turn,)


def _short_name(name: str) -> str:
    """The last part of a path, unless that would pass for a built-in model."""
    path = _path(name)
    if path.name in ("", ".."):  # "." and its like: the name stands elsewhere
        path = path.resolve()
        name = "/".join(path.parts[-2:])
    return name if path.name in ("", *builtin()) else path.name


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"field {error.args[0]!r} is missing"
    return f"a field has a wrong value ({error})"
