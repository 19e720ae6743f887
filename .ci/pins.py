"""Do the files in pins/, which are for pip, say what uv.lock says? --write mends them.

Needs uv (`pip install -e ".[ci]"`) and no network: an export only reads the lock.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MADE = "# Made of uv.lock by .ci/pins.py --write. "
PACKAGES = f"""\
{MADE}Constraints for pip:
#     pip install -c pins/packages.txt -e .
"""
CPU = f"""\
{MADE}torch without CUDA; on a Mac there is no other. Nothing but
# torch is looked up in PyTorch's own index if this is installed with --no-deps, before the rest:
#     pip install --no-deps -r pins/cpu.txt
--extra-index-url https://download.pytorch.org/whl/cpu
torch=={{version}}+cpu ; sys_platform != 'darwin'
torch=={{version}} ; sys_platform == 'darwin'
"""
CUDA = f"""\
{MADE}torch as PyPI has it: for Linux with CUDA (some gigabytes).
#     pip install --no-deps -r pins/cuda.txt
torch=={{version}}
"""


def exported() -> str:
    """Every package that any extra can ask for, with its version and where it applies."""
    uv = Path(sys.executable).with_name("uv")
    command = [
        str(uv), "export", "--quiet", "--frozen", "--all-extras", "--no-emit-project",
        "--no-hashes", "--no-annotate", "--no-header",
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def files(packages: str) -> dict[str, str]:
    """What every file in pins/ has to be, by its name."""
    version = re.search(r"^torch==([\w.]+)", packages, re.MULTILINE)
    assert version, "the lock names no torch"
    torch = {"cpu.txt": CPU, "cuda.txt": CUDA}
    return {
        "packages.txt": PACKAGES + packages,
        **{name: text.format(version=version[1]) for name, text in torch.items()},
    }


def main(arguments: list[str]) -> int:
    """Print which files differ; 1 if any does. With --write, write them."""
    folder, wrong = ROOT / "pins", []
    for name, text in files(exported()).items():
        if arguments == ["--write"]:
            (folder / name).write_text(text)
        elif not (folder / name).is_file() or (folder / name).read_text() != text:
            wrong.append(name)
            print(
                f"pins/{name} is not what uv.lock says; type .venv/bin/python .ci/pins.py --write"
            )
    print(f"pins: {len(wrong)} files differ from uv.lock")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
