"""Does every package that we run with have a licence that we accept? Names are on standard input.

A package's own words are met as pip-licenses finds them (metadata, then classifiers). An expression
is fine if one of its alternatives has accepted parts only; anything that cannot be read is refused,
so that a person looks at it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

ACCEPTED = {
    # permissive
    "0BSD", "Apache 2.0 License", "Apache Software License", "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception", "BSD", "BSD License", "BSD-2-Clause", "BSD-3-Clause",
    "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC", "ISC License (ISCL)", "MIT", "MIT License",
    "MIT-CMU", "PSF-2.0", "Python Software Foundation License", "Zlib",
    # weak copyleft: binding for changes to the package itself, which we do not make
    "GNU Lesser General Public License v2 or later (LGPLv2+)", "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)",
}  # fmt: skip
KNOWN = {
    "word2number": "MIT",  # its whole text stands in the field
    "cuda-toolkit": "empty package that names the nvidia ones",
}
NVIDIA = re.compile(r"nvidia-[a-z0-9-]+")
"""Libraries that come with the CUDA build of torch: not free, but free to run."""
Found = dict[str, str]


def refused(found: Found) -> Found:
    """The packages, with their licences, that somebody has to look at."""
    return {
        name: licence
        for name, licence in found.items()
        if name not in KNOWN and not NVIDIA.fullmatch(name) and not accepted(licence)
    }


def accepted(licence: str) -> bool:
    """Whether an expression, or a list of classifiers, says what we accept."""
    parts = [re.split(r" AND |; ", one) for one in licence.split(" OR ")]
    return any(ACCEPTED.issuperset(one) for one in parts)


def look_up(names: list[str]) -> Found:
    """Licences of those of ``names`` that are installed beside this interpreter."""
    command = [sys.executable, "-m", "piplicenses", "--format=json", "--packages", *names]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {one["Name"]: one["License"] for one in json.loads(done.stdout)}


def main() -> int:
    """Print what is refused; 1 if anything is."""
    names = re.findall(r"^[\w.-]+(?===)", sys.stdin.read(), re.MULTILINE)
    found = look_up(names)
    wrong = refused(found)
    for name, licence in wrong.items():
        print(f"{name}: {licence.splitlines()[0]!r} is no licence that .ci/licences.py accepts")
    print(f"licences: {len(found)} packages, {len(wrong)} refused")
    return 1 if wrong or not found else 0


if __name__ == "__main__":
    sys.exit(main())
