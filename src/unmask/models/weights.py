"""Safetensors files -> the parameters of a model; names and shapes are checked both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from unmask.errors import CheckpointError
from unmask.files import read_object
from unmask.models.blocks import Transformer
from unmask.models.parallel import part_of
from unmask.models.quantized import MOST, rounded
from unmask.models.stored import files_of, needed, opened

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


def fill(
    model: Transformer,
    folder: Path,
    names: dict[str, str],
    device: torch.device,
    dtype: torch.dtype,
) -> None:
    """Load ``names`` (checkpoint name -> parameter name) into a model on the meta device.

    What the model wants in 8 bits is rounded as it is read, and never fills memory as it was.

    Raises:
        CheckpointError: a tensor is missing, unexpected or of the wrong shape; a file is broken.
    """
    wanted = dict(model.named_parameters())
    loaded: dict[str, torch.Tensor] = {}
    files = files_of(shards(folder))
    names = needed(model.body, names, files)
    missing = [name for name in names if name not in files]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CheckpointError(f"{folder}: tensor {missing[0]!r}{more} is missing")
    for path in dict.fromkeys(files.values()):
        for name, tensor in _tensors(path, names, wanted, device):
            loaded |= _kept(names[name], tensor, wanted[names[name]], dtype)
    together = model.head.weight is model.embedding.weight
    if together:
        shared = [name for name in loaded if name.startswith("embedding.")]
        loaded |= {name.replace("embedding", "head"): loaded[name] for name in shared}
    elif model.body.tied:
        loaded |= _kept("head.weight", loaded["embedding.weight"], model.head.weight, dtype)
    model.load_state_dict(loaded, assign=True)
    if together:
        model.head.weight = model.embedding.weight
    model.requires_grad_(requires_grad=False)


def _kept(
    name: str, tensor: torch.Tensor, wanted: torch.Tensor, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """What becomes of the parameter ``name``: rounded, or in ``dtype``; or this process's part."""
    if wanted.dtype in MOST:
        numbers, scale = rounded(tensor, wanted.dtype)
        return {name: numbers, name.removesuffix("weight") + "scale": scale}
    return {name: part_of(tensor.to(dtype), wanted)}


def _tensors(
    path: Path, names: dict[str, str], wanted: Mapping[str, torch.Tensor], device: torch.device
) -> Iterator[tuple[str, torch.Tensor]]:
    """Those of one file that have ``names``; a misshapen one is refused before it is read."""
    with opened(path, str(device)) as file:
        for name in file.keys():  # noqa: SIM118 - not a dict
            if name not in names:
                continue
            shape, given = list(wanted[names[name]].shape), file.get_slice(name).get_shape()
            if given != shape:
                raise CheckpointError(
                    f"{path}: tensor {name!r} has shape {given}, config.json asks for {shape}"
                )
            tensor = file.get_tensor(name)
            if not tensor.is_floating_point():
                kind = str(tensor.dtype).removeprefix("torch.")
                raise CheckpointError(
                    f"{path}: tensor {name!r} is of type {kind}; only weights that are not "
                    "quantised are read (dtype='int8' or 'fp8' rounds them)"
                )
            yield name, tensor


def shards(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint: the one, or those that its index names.

    Raises:
        CheckpointError: one is missing; there is an index and one file that it does not name.
    """
    index, paths = folder / INDEX, [folder / SINGLE]
    if index.exists():
        try:
            names = {
                str(name) for name in read_object(index, CheckpointError)["weight_map"].values()
            }
            if not names:
                raise TypeError("it names no file")
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{index} is no weight index ({error}); download it again"
            ) from None
        if paths[0].exists() and SINGLE not in names:
            raise CheckpointError(
                f"{folder} has both {SINGLE} and {INDEX}, which names other files; delete the one "
                "that is stale"
            )
        paths = [folder / name for name in sorted(names)]
    for path in paths:
        if path.parent != folder or not path.is_file():
            other = " (only safetensors are read, never pickled .bin or .pt files)"
            raise CheckpointError(f"{folder} has no {path.name}{other}")
    return paths


def dtypes_of(folder: Path) -> dict[str, torch.dtype]:
    """The number type of every tensor of a checkpoint."""
    found = {}
    for path in shards(folder):
        with opened(path) as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                found[name] = file.get_slice(name)[:0].dtype
    return found
