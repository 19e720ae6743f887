"""Options that several commands share, and what they come to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unmask.decode import policy, presets
from unmask.decode.options import Entry, table
from unmask.decode.proposal import SAMPLING
from unmask.decode.saved import read_settings
from unmask.errors import InputError
from unmask.evaluate.examples import tasks
from unmask.models.loading import Model, load

MODEL_FIELDS = ("model", "device", "dtype")


def add_model(parser: argparse.ArgumentParser, default: str = "tiny") -> None:
    """--model, --device, --dtype."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", default=default, metavar="NAME",
        help=f"built-in name, checkpoint folder or hub id (default: {default})",
    )  # fmt: skip
    add_place(group)


def add_place(group: Any) -> None:
    """--device and --dtype, in a parser or a group of it."""
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    group.add_argument(
        "--dtype", default="auto",
        help="auto, float32, bfloat16, float16, or weights of 8 bits: int8 on a CPU, fp8 on an "
        "NVIDIA GPU (default: bfloat16 on a GPU, else float32)",
    )  # fmt: skip


def add_task(parser: argparse.ArgumentParser, default: str) -> None:
    """--task and --data."""
    parser.add_argument(
        "--task", metavar="NAME",
        help=f"{', '.join(sorted(tasks()))} (default: {default})",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder of data sets (default: the hub's)"
    )


def add_decoding(parser: argparse.ArgumentParser) -> None:
    """--preset and everything that overrides it."""
    known = "; ".join(f"{name}: {about}" for name, about in presets.ABOUT.items())
    group = parser.add_argument_group("decoding (each option overrides the preset)")
    group.add_argument(
        "--settings", type=Path, metavar="FILE", help="a settings file, as unmask tune writes it"
    )
    group.add_argument("--preset", metavar="NAME", help=known)
    drawn = {option.name for option in SAMPLING}
    for name, entry in table().items():
        if name not in drawn:
            add_option(group, entry)


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """--temperature and what belongs to it."""
    group = parser.add_argument_group("sampling")
    for option in SAMPLING:
        add_option(group, table()[option.name])


def add_option(group: Any, entry: Entry) -> None:
    """An option of the decoder, in a parser or a group of it."""
    flag, about = f"--{entry.name.replace('_', '-')}", entry.about.replace("%", "%%")
    if entry.kind is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=about)
        return
    shown = {int: "N", float: "X"}.get(entry.kind, "NAME")
    group.add_argument(flag, type=entry.kind, metavar=shown, help=about)


def preset(arguments: argparse.Namespace) -> str | None:
    """The preset that was asked for by name or settings file; None for that of the model."""
    if arguments.settings:
        return str(read_settings(arguments.settings)["preset"])
    return None if arguments.preset is None else str(arguments.preset)


def overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The decoding options that were given; a settings file gives way to the command line."""
    found = {name: getattr(arguments, name, None) for name in table()}
    given = {name: value for name, value in found.items() if value is not None}
    if not arguments.settings:
        return given
    if arguments.preset:
        raise InputError("--preset cannot be combined with --settings; drop one of the two")
    saved = read_settings(arguments.settings)
    del saved["preset"]
    return {**saved, **given}


def load_model(arguments: argparse.Namespace) -> Model:
    """The model that was asked for."""
    return load(*(getattr(arguments, field) for field in MODEL_FIELDS))


def preset_name(arguments: argparse.Namespace, model: Model) -> str:
    """The preset that was asked for or fits the model."""
    return preset(arguments) or policy.default_preset(model.card)
