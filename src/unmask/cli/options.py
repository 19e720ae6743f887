"""Options that several commands share, and what they come to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unmask import catalogue
from unmask.decode import policy, presets
from unmask.decode.saved import read_settings
from unmask.errors import InputError
from unmask.evaluate.examples import tasks
from unmask.models.loading import Model, load

MODEL_FIELDS = ("model", "device", "dtype")
SAMPLING = ("temperature", "top_p", "top_k", "seed")
DECODING = (
    "max_new_tokens", "block_length", "schedule", "strategy", "cache", "threshold", "factor",
    "delta", "steps", "early_stop", "compat", "block_add_threshold", "delay", "refresh", "horizon",
)  # fmt: skip
NUMBERS: dict[str, tuple[type, str, str]] = {
    "--max-new-tokens": (int, "N", "length of the answer canvas"),
    "--block-length": (int, "N", "positions in a block"),
    "--threshold": (
        float, "X", "least confidence (strategy threshold) or most entropy in nats (low_entropy)"
    ),
    "--factor": (float, "X", "for strategy factor, say 1.0"),
    "--delta": (float, "X", "for strategy frechet, say 0.25"),
    "--steps": (int, "N", "forwards of the answer (fixed_steps, margin, random_order)"),
    "--block-add-threshold": (
        float, "X", "share of a block after which the next one enters (pipelined), say 0.1"
    ),
    "--delay": (int, "N", "forwards that a finished block (delayed) or token (sliding) waits"),
    "--refresh": (int, "N", "feed everything every N forwards (delayed, sliding)"),
    "--horizon": (int, "N", "feed only N blocks of masks behind the open ones"),
}  # fmt: skip


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
    known = "\n".join(f"{name}: {about}" for name, about in presets.ABOUT.items())
    group = parser.add_argument_group("decoding (each option overrides the preset)")
    group.add_argument(
        "--settings", type=Path, metavar="FILE", help="a settings file, as unmask tune writes it"
    )
    group.add_argument("--preset", metavar="NAME", help=known.replace("\n", "; "))
    for kind, folder in (
        ("schedule", "schedules"),
        ("strategy", "strategies"),
        ("cache", "caches"),
    ):
        known = ", ".join(catalogue.names(f"unmask.decode.{folder}"))
        group.add_argument(f"--{kind}", metavar="NAME", help=known)
    for flag, (number, metavar, about) in NUMBERS.items():
        group.add_argument(flag, type=number, metavar=metavar, help=about)
    group.add_argument(
        "--early-stop", action=argparse.BooleanOptionalAction, default=None,
        help="stop once an end token stands before the first mask",
    )  # fmt: skip
    group.add_argument("--compat", metavar="NAME", help="reference: replay the reference's quirks")


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """--temperature and what belongs to it."""
    group = parser.add_argument_group("sampling")
    group.add_argument("--temperature", type=float, metavar="X", help="0 is greedy (default)")
    group.add_argument("--top-p", type=float, metavar="X", help="nucleus, above 0 and up to 1")
    group.add_argument("--top-k", type=int, metavar="N", help="most likely tokens to draw from")
    group.add_argument("--seed", type=int, metavar="N", help="makes a drawn answer repeatable")


def preset(arguments: argparse.Namespace) -> str | None:
    """The preset that was asked for by name or settings file; None for that of the model."""
    if arguments.settings:
        return str(read_settings(arguments.settings)["preset"])
    return None if arguments.preset is None else str(arguments.preset)


def overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The decoding options that were given; a settings file gives way to the command line."""
    found = {name: getattr(arguments, name, None) for name in (*DECODING, *SAMPLING)}
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
