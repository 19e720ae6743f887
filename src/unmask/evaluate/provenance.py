"""Which weights, which software, which source tree: what makes a record repeatable."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

from unmask import __version__
from unmask.models import generation

WHOLE = (
    "config.json", "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
)  # fmt: skip
"""Files of a checkpoint that count to the last byte."""
PACKAGE = Path(__file__).resolve().parents[1]
SAMPLED = 2**20
"""Bytes read at either end of a weights file: enough to tell small checkpoints apart."""
LARGE = 2**24
SPOTS, SPOT = 256, 2**12
"""Places within a larger file, and bytes read at each: an adapter that was merged into a few
matrices of every layer may leave both ends as they were."""


def fingerprint(folder: Path) -> str:
    """12 hex digits of a checkpoint: its configuration, tokenizer, template and end tokens and, of
    every weights file, the size, the first and last MiB and, of large ones, samples in between."""
    found = hashlib.sha256()
    for name in WHOLE:
        if (folder / name).is_file():
            found.update(name.encode() + (folder / name).read_bytes())
    ends = generation.read(folder).get("eos_token_id")
    if ends is not None:  # the defaults in that file stand in every record
        found.update(f"{generation.FILE} {ends}".encode())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        found.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            found.update(file.read(SAMPLED))
            for spot in range(1, SPOTS) if size > LARGE else ():
                file.seek(size * spot // SPOTS)
                found.update(file.read(SPOT))
            file.seek(max(0, size - SAMPLED))
            found.update(file.read())
    return found.hexdigest()[:12]


def versions() -> dict[str, str]:
    """Of this package, PyTorch and Python."""
    return {
        "unmask": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def machine(device: torch.device) -> str:
    """What computes: the GPU's name, or the kind of processor and how many cores it lends."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"


@cache
def commit(package: Path = PACKAGE) -> str | None:
    """Commit of the source tree that ``package`` runs from, with "+" where any of it was changed;
    None where it is installed."""
    tracked = _git(package, "ls-files", "--error-unmatch", "__init__.py")
    head = _git(package, "rev-parse", "--short=12", "HEAD")
    if tracked is None or head is None:
        return None
    changed = _git(package, "status", "--porcelain", "--untracked-files=no", ".")
    return head + ("+" if changed else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
    except OSError:  # no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None
