"""`import unmask` and `unmask --help` are quick: torch comes when something needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import unmask
from unmask.cli.main import COMMANDS, parser

HEAVY = ("torch", "numpy", "huggingface_hub", "rich", "unmask.models", "unmask.decode")


def modules_after(code):
    """The heavy ones among the modules of a fresh interpreter that ran ``code``."""
    tail = f"\nimport sys; print([one for one in {HEAVY} if one in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code + tail],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.stderr.strip()


def command(*arguments):
    return f"from unmask.cli.main import main\ntry: main({arguments})\nexcept SystemExit: pass"


@pytest.mark.parametrize("code", ["import unmask", command("--help"), command("--version")])
def test_nothing_heavy_is_imported_before_it_is_needed(code):
    assert modules_after(code) == "[]"


def test_the_first_name_that_needs_torch_brings_it():
    assert "'torch'" in modules_after("import unmask; unmask.load")
    assert modules_after("import unmask; unmask.InputError") == "[]"


def test_every_public_name_is_there_and_no_other():
    for name in unmask.__all__:
        assert getattr(unmask, name) is not None
    assert dir(unmask) == sorted(unmask.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = unmask.lode


def test_every_command_has_its_file():
    whole = parser(COMMANDS)
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            whole.parse_args([name, "--help"])
