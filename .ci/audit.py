"""Do the packages that we run with have known vulnerabilities? Requirements: the first argument.

One that a newer release mends is an error: the lock has to take it. One that no release mends is
told and no error, for no change here could make the gate green again. Where PyPI's list cannot be
reached, that is told in one line, for a machine without it should still be able to run the gate.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

UNREACHABLE = ("ConnectionError", "ProxyError", "Timeout")
"""How requests calls what happens where there is no network."""


def judge(report: dict[str, Any]) -> tuple[list[str], bool]:
    """Lines to print, and whether the gate may open, by what pip-audit found."""
    packages = report["dependencies"]
    looked = [one for one in packages if "skip_reason" not in one]
    if not looked:
        count = f"none of {len(packages)} packages"
        return [f"audit: PyPI's list, as served here, knows {count}; nothing was checked"], True
    lines, fine = [], True
    for one in looked:
        for flaw in one["vulns"]:
            cure = ", ".join(flaw["fix_versions"])
            fine = fine and not cure
            what = f"mended in {cure}: uv lock --upgrade-package {one['name']}" if cure else (
                "no release mends it; can we do without?"
            )  # fmt: skip
            lines.append(f"{one['name']} {one['version']} has {flaw['id']}, {what}")
    lines.append(f"audit: {len(looked)} of {len(packages)} packages checked, {len(lines)} findings")
    return lines, fine


def main() -> int:
    """Print what is known; 1 if something can be mended."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", sys.argv[1], "--no-deps",
        "--disable-pip", "--format=json", "--desc=off", "--progress-spinner=off",
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        lines, fine = judge(json.loads(done.stdout))
    except ValueError:  # pip-audit died without a report
        last = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        lines = [f"audit: nothing was checked: {last}"]
        fine = any(name in done.stderr for name in UNREACHABLE)
    print(*lines, sep="\n")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
