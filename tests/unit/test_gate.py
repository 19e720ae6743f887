"""What stops the gate: pins, licences, vulnerabilities, warnings; and what the container starts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import audit
import licences
import pins
import pytest

from serving import serving
from unmask.cli.main import parser

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


LOCK = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
LOCKED = {(one["name"], one["version"]) for one in LOCK if one["name"] != "unmask"}
PINNED = re.findall(
    r"^([\w.-]+)==([^ \n]+)", (ROOT / "pins" / "packages.txt").read_text(), re.MULTILINE
)
README = (ROOT / "README.md").read_text()


def test_every_pin_is_in_the_lock_and_the_other_way_round():
    assert set(PINNED) == LOCKED


def test_torch_is_pinned_once_for_both_builds():
    [locked] = [version for name, version in LOCKED if name == "torch"]
    for build in ("cpu", "cuda"):
        text = (ROOT / "pins" / f"{build}.txt").read_text()
        assert set(re.findall(r"^torch==([\d.]+)", text, re.MULTILINE)) == {locked}
    assert "nvidia" not in (ROOT / "pins" / "cpu.txt").read_text()


def test_pins_that_say_something_else_than_the_lock_are_named(monkeypatch, tmp_path, capsys):
    (tmp_path / "pins").mkdir()
    monkeypatch.setattr(pins, "ROOT", tmp_path)
    monkeypatch.setattr(pins, "exported", lambda: "torch==2.99.0\n")
    assert pins.main(["--write"]) == 0
    assert pins.main([]) == 0
    monkeypatch.setattr(pins, "exported", lambda: "torch==2.99.1\n")
    assert pins.main([]) == 1
    assert "pins/packages.txt is not what uv.lock says" in capsys.readouterr().out


def asked_for(extra):
    """The packages that an extra of ours brings, by the lock; extras of others aside."""
    [own] = [one for one in LOCK if one["name"] == "unmask"]
    wanted = [*own["dependencies"], *own["optional-dependencies"][extra]]
    found, known = set(), {one["name"]: one for one in LOCK}
    while wanted:
        name = wanted.pop()["name"]
        if name not in found:
            found.add(name)
            wanted.extend(known[name].get("dependencies", ()))
    return found


def test_the_first_command_brings_no_tools_of_developers():
    first, second = re.findall(r"^(?:python3|\.venv/bin/pip) .*$", README, re.MULTILINE)[:2]
    assert '-r pins/cpu.txt && .venv/bin/pip install -c pins/packages.txt -e ".[serve]"' in first
    assert second == (
        '.venv/bin/pip install -c pins/packages.txt -e ".[test]" && .venv/bin/pytest -n 2'
    )
    heavy = {"pytest", "hypothesis", "ruff", "mypy", "ray", "lm-eval", "transformers", "mkdocs"}
    assert not heavy & asked_for("serve")
    assert heavy - {"ruff", "mypy", "mkdocs"} <= asked_for("test")


@pytest.mark.parametrize(
    ("written", "status", "told"),
    [
        ("def f():\n    warnings.warn('ours', RuntimeWarning)", 1, "RuntimeWarning: ours"),
        ("def f():\n    warnings.warn('ours')", 1, "UserWarning: ours"),
        ("def f():\n    theirs.warn('theirs', UserWarning)", 0, "UserWarning: theirs"),
        ("def f():\n    theirs.old()", 0, "DeprecationWarning: old() goes"),
        ("def f():\n    open(__file__)", 1, "ResourceWarning: unclosed file"),
        ("def f():\n    theirs.leak()", 0, "ResourceWarning: unclosed file"),
    ],
)
def test_only_what_our_modules_do_wrong_fails_a_test(tmp_path, written, status, told):
    """A module of ours, one of somebody else's, and the settings of this repository."""
    (tmp_path / "theirs.py").write_text(
        "import warnings\n\ndef warn(*what):\n    warnings.warn(*what)\n\n"
        "def old():\n    warnings.warn('old() goes', DeprecationWarning, stacklevel=2)\n\n"
        "def leak():\n    open(__file__)\n"
    )
    home = tmp_path / "src" / "unmask"
    home.mkdir(parents=True)
    (home / "ours.py").write_text(f"import warnings, theirs\n__name__ = 'unmask.x'\n{written}\n")
    (tmp_path / "test_it.py").write_text("import ours\n\ndef test_it():\n    ours.f()\n")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]
    filters = "".join(f"    {one}\n" for one in settings["ini_options"]["filterwarnings"])
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\npythonpath = . src/unmask\nfilterwarnings =\n{filters}"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=tmp_path, env=quiet()
    )
    assert done.returncode == status, done.stdout
    assert told in done.stdout


def quiet():
    """No settings of pytest's from outside."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}


@pytest.mark.parametrize(
    ("licence", "fine"),
    [
        ("MIT", True),
        ("Apache-2.0 AND BSD-3-Clause", True),
        ("Apache-2.0 AND GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("Apache Software License; BSD License", True),
        ("GNU Affero General Public License v3", False),
        ("(MIT OR GPL-3.0-only) AND AGPL-3.0-only", False),
        ("UNKNOWN", False),
    ],
)
def test_a_licence_is_accepted_if_all_of_an_alternative_is(licence, fine):
    assert licences.accepted(licence) is fine


def test_only_nvidias_own_libraries_need_no_licence():
    closed = {"nvidia-cublas": "LicenseRef-NVIDIA-Proprietary", "nvidia": "X", "other": "X"}
    assert set(licences.refused(closed)) == {"nvidia", "other"}


def report(*flaws):
    return {"dependencies": [
        {"name": "idna", "version": "1.0", "vulns": list(flaws)},
        {"name": "own", "skip_reason": "not on PyPI"},
    ]}  # fmt: skip


def test_a_vulnerability_stops_the_gate_if_a_release_mends_it():
    mended = {"id": "CVE-1", "fix_versions": ["1.1"]}
    hopeless = {"id": "CVE-2", "fix_versions": []}
    assert audit.judge(report()) == (["audit: 1 of 2 packages checked, 0 findings"], True)
    lines, fine = audit.judge(report(hopeless))
    assert fine
    assert "CVE-2, no release mends it" in lines[0]
    lines, fine = audit.judge(report(hopeless, mended))
    assert not fine
    assert "CVE-1, mended in 1.1: uv lock --upgrade-package idna" in lines[1]


def test_a_list_that_is_not_served_is_told_in_one_line():
    [line], fine = audit.judge({"dependencies": [{"name": "idna", "skip_reason": "not found"}]})
    assert fine
    assert "nothing was checked" in line


def instruction(name):
    """The list behind an instruction of the Dockerfile's that has JSON form."""
    return json.loads(re.search(rf"{name} (\[.*\])", DOCKERFILE)[1])


def test_the_container_copies_what_its_context_has():
    context = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY ([\w .-]+) \S+$", DOCKERFILE, re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert names == {line.removeprefix("!") for line in context if line.startswith("!")}
    assert all((ROOT / name).exists() for name in names)


def test_the_container_serves_and_knows_that_it_does(tmp_path):
    command, *arguments = instruction("ENTRYPOINT")
    assert command == "unmask"
    given = parser(["serve"]).parse_args([*arguments, "tiny", "--slots", "2"])
    assert (given.host, given.port, given.model) == ("0.0.0.0", 8000, "tiny")
    _, *check = instruction("HEALTHCHECK[^\\[]*CMD")
    assert f":{given.port}/" in check[-1]
    with serving(tmp_path / "log") as served:
        where = check[-1].replace("http://127.0.0.1:8000", served.url)
        assert subprocess.run([sys.executable, *check[:-1], where], check=False).returncode == 0
    gone = subprocess.run(
        [sys.executable, *check[:-1], where], check=False, stderr=subprocess.DEVNULL
    )
    assert gone.returncode == 1


def test_the_torch_of_the_container_is_the_locked_one():
    locked = re.search(r'name = "torch"\nversion = "([\d.]+)"', (ROOT / "uv.lock").read_text())[1]
    assert f"torch=={locked} " in DOCKERFILE
