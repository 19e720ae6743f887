"""A file name is a name."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from unmask import InputError, catalogue
from unmask.decode import presets

PLUGINS = {
    "strategy": "unmask.decode.strategies",
    "schedule": "unmask.decode.schedules",
    "cache": "unmask.decode.caches",
    "family": "unmask.models.families",
    "task": "unmask.evaluate.tasks",
}


@pytest.mark.parametrize("package", PLUGINS.values())
def test_names_are_the_files_of_the_folder(package):
    folder = importlib.import_module(package).__path__[0]
    files = {path.stem for path in Path(folder).glob("*.py")} - {"__init__"}
    assert catalogue.names(package) == sorted(files)


@pytest.mark.parametrize(("field", "package"), PLUGINS.items())
def test_every_name_can_be_found(field, package):
    for name in catalogue.names(package):
        assert catalogue.find(package, name, field).__name__ == f"{package}.{name}"


def test_an_unknown_name_is_told_with_the_known_ones_and_the_nearest():
    with pytest.raises(InputError) as caught:
        catalogue.find(PLUGINS["cache"], "prefx", "cache")
    assert str(caught.value) == (
        "cache='prefx' is not known; choose one of causal, delayed, dual, none, "
        "prefix, sliding; "
        "did you mean 'prefix'?"
    )


def test_a_name_without_end_is_told_in_part():
    told = str(catalogue.unknown("cache", "prefix" * 100_000, ["prefix"]))
    assert told.startswith("cache='prefixprefix")
    assert len(told) < 200


def test_a_name_cannot_be_a_path():
    with pytest.raises(InputError):
        catalogue.find(PLUGINS["cache"], "..policy", "cache")


def test_every_preset_says_what_it_is():
    assert set(presets.ABOUT) == set(presets.PRESETS)
