"""Which tensors do the files of a checkpoint hold, and which of them may be left aside?

Shape legend: D head width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from unmask.errors import CheckpointError
from unmask.models.blocks import Body

Files = Mapping[str, Path]
HEADS = {
    "model.embed_tokens.weight": "lm_head.weight",
    "model.transformer.wte.weight": "model.transformer.ff_out.weight",
}
"""Names of embedding and head."""
FREQUENCIES = "rotary_emb.inv_freq"
"""Of rotary positions; they follow from config.json, but older libraries store them."""
RELATIVE, ABSOLUTE = 0.01, 1e-6
"""Frequencies may differ so much: they were stored in 16 bits, too."""
ROWS = 4096
"""Compared at a time."""


@contextmanager
def opened(path: Path, device: str = "cpu") -> Iterator[Any]:
    """A file of tensors.

    Raises:
        CheckpointError: it is broken.
    """
    try:
        with safe_open(path, framework="pt", device=device) as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is broken ({error}); download it again") from None


def files_of(paths: list[Path]) -> dict[str, Path]:
    """Name of every tensor -> the file that holds it.

    Raises:
        CheckpointError: a tensor is in two files; a file is broken.
    """
    found: dict[str, Path] = {}
    for path in paths:
        with opened(path) as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                if name in found:
                    raise CheckpointError(
                        f"{path.parent}: tensor {name!r} is in {found[name].name} and in "
                        f"{path.name}; delete the file that is stale"
                    )
                found[name] = path
    return found


def needed(body: Body, names: dict[str, str], files: Files) -> dict[str, str]:
    """``names`` (checkpoint name -> parameter name) as ``files`` have them: of a tied pair, a
    checkpoint may store either name, or both alike.

    Raises:
        CheckpointError: a tied pair differs; stored frequencies are not those of config.json; a
            tensor is unexpected.
    """
    spare: set[str] = set()
    for embedding, head in HEADS.items() if body.tied else ():
        if embedding in names and head in files:
            if embedding in files:
                _check_alike(files, embedding, head)
                spare.add(head)
            else:
                names = {head if name == embedding else name: ours for name, ours in names.items()}
    for name in files:
        if name.endswith(FREQUENCIES):
            _check_frequencies(files[name], name, body)
        elif name not in names and name not in spare:
            raise CheckpointError(f"{files[name]}: unexpected tensor {name!r}")
    return names


def _check_alike(files: Files, one: str, other: str) -> None:
    with opened(files[one]) as first, opened(files[other]) as second:
        a, b = first.get_slice(one), second.get_slice(other)
        alike = a.get_shape() == b.get_shape() and a.get_dtype() == b.get_dtype()
        starts = range(0, a.get_shape()[0], ROWS) if alike and a.get_shape() else ()
        alike = alike and all(torch.equal(a[at : at + ROWS], b[at : at + ROWS]) for at in starts)
    if not alike:
        raise CheckpointError(
            f"{files[other]}: tensor {other!r} differs from {one!r}, but config.json ties the two; "
            "say there that they are not tied, or delete the tensor"
        )


def _check_frequencies(path: Path, name: str, body: Body) -> None:
    """Others would mean that positions are scaled, and that config.json does not say so."""
    with opened(path) as file:
        stored_D = file.get_tensor(name).float()
    even_D = torch.arange(0, body.head_width, 2)
    expected_D = body.rope_theta ** (-even_D / body.head_width)
    close = stored_D.shape == expected_D.shape and torch.allclose(
        stored_D, expected_D, rtol=RELATIVE, atol=ABSOLUTE
    )
    if not close:
        raise CheckpointError(
            f"{path}: tensor {name!r} holds other frequencies than rope_theta={body.rope_theta:g} "
            "of config.json gives; repair config.json, or delete the tensor if that is right"
        )
