"""`unmask merge`: a checkpoint with its adapters added in."""

from __future__ import annotations

import argparse
from pathlib import Path

from unmask.cli.screen import Screen
from unmask.errors import InputError
from unmask.models.loading import find_folder, load

EXAMPLES = """\
examples:
  unmask merge --model GSAI-ML/LLaDA-8B-Instruct --adapter runs/d3llm/adapter --out ./student

Plain LoRA, also by other tools, with rsLoRA and with ranks that differ by module; what else an
adapter may be is refused by name. The sum is taken in float32; every tensor keeps its number type.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--model", required=True, metavar="NAME", help="what the adapter is of")
    parser.add_argument("--adapter", type=Path, required=True, metavar="DIR", help="its folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")


def run(arguments: argparse.Namespace) -> None:
    """Merge."""
    try:
        from unmask.distill import adapter, checkpoint, lora
    except ImportError as error:
        raise InputError(
            f"merging needs the extra 'train' ({error}); pip install 'unmask[train]'"
        ) from None
    if arguments.out.exists() and any(arguments.out.iterdir()):
        raise InputError(f"--out {arguments.out} is not empty; give a new folder")
    base = find_folder(arguments.model)
    updates = adapter.read(arguments.adapter, base)
    model = load(arguments.model, "cpu", "float32")
    lora.merge(model.denoiser, updates)
    checkpoint.export(model.denoiser, base, arguments.out, code=arguments.model)
    Screen().print(str(arguments.out), soft_wrap=True)
