"""Options that several commands share, and what they come to."""

from __future__ import annotations

import argparse
from typing import Any

from unmask import catalogue
from unmask.decode import policy
from unmask.models.loading import Model, load

MODEL_FIELDS = ("model", "device", "dtype")
SAMPLING = ("temperature", "top_p", "top_k", "seed")
DECODING = (
    "max_new_tokens", "block_length", "schedule", "strategy", "cache", "threshold", "factor",
    "delta", "steps", "early_stop", "compat",
)  # fmt: skip


def add_model(parser: argparse.ArgumentParser) -> None:
    """--model, --device, --dtype."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", default="tiny", metavar="NAME",
        help="built-in name, checkpoint folder or hub id (default: tiny)",
    )  # fmt: skip
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    group.add_argument(
        "--dtype", default="auto",
        help="auto, float32, bfloat16 or float16 (default: bfloat16 on a GPU, else float32)",
    )  # fmt: skip


def add_decoding(parser: argparse.ArgumentParser) -> None:
    """--preset and everything that overrides it."""
    presets = "\n".join(f"{name}: {about}" for name, about in policy.ABOUT.items())
    group = parser.add_argument_group("decoding (each option overrides the preset)")
    group.add_argument("--preset", metavar="NAME", help=presets.replace("\n", "; "))
    group.add_argument(
        "--max-new-tokens", type=int, metavar="N", help="length of the answer canvas"
    )
    group.add_argument("--block-length", type=int, metavar="N", help="positions in a block")
    for kind, folder in (
        ("schedule", "schedules"),
        ("strategy", "strategies"),
        ("cache", "caches"),
    ):
        known = ", ".join(catalogue.names(f"unmask.decode.{folder}"))
        group.add_argument(f"--{kind}", metavar="NAME", help=known)
    group.add_argument(
        "--threshold", type=float, metavar="X",
        help="least confidence (strategy threshold) or most entropy in nats (low_entropy)",
    )  # fmt: skip
    group.add_argument("--factor", type=float, metavar="X", help="for strategy factor, say 1.0")
    group.add_argument("--delta", type=float, metavar="X", help="for strategy frechet, say 0.25")
    group.add_argument(
        "--steps", type=int, metavar="N", help="forwards of the answer (fixed_steps)"
    )
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


def overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The decoding options that were given."""
    found = {name: getattr(arguments, name, None) for name in (*DECODING, *SAMPLING)}
    return {name: value for name, value in found.items() if value is not None}


def load_model(arguments: argparse.Namespace) -> Model:
    """The model that was asked for."""
    return load(*(getattr(arguments, field) for field in MODEL_FIELDS))


def preset_name(arguments: argparse.Namespace, model: Model) -> str:
    """The preset that was asked for or fits the model."""
    return arguments.preset or policy.default_preset(model.card)
