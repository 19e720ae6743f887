"""What stops the gate: licences, vulnerabilities; and the container starts what the package has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import audit
import licences
import pytest

from serving import serving
from unmask.cli.main import parser

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


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
