"""Plots of figures and trajectories, one kind per file. Whoever imports one needs matplotlib."""

from importlib.util import find_spec

from unmask.errors import InputError

if find_spec("matplotlib") is None:
    raise InputError("plots need matplotlib, which is not installed; pip install 'unmask[eval]'")
