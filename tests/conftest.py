"""Settings and models that all tests share."""

from __future__ import annotations

import os
import signal
from copy import deepcopy
from dataclasses import replace

os.environ["HF_HUB_OFFLINE"] = "1"  # before the hub client is imported: no test needs the network

import pytest
import torch
from hypothesis import HealthCheck, settings

import unmask
from checkpoints import GOLDEN
from unmask import Model

# Children of a shell without job control are deaf to SIGINT, and so would be what the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
slow_is_fine = (HealthCheck.too_slow,)
settings.register_profile("dev", max_examples=30, deadline=None, suppress_health_check=slow_is_fine)
# The gate tries many examples, the same ones each time: a red run is about the change under test.
settings.register_profile(
    "ci", max_examples=200, deadline=None, derandomize=True, suppress_health_check=slow_is_fine
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def models() -> dict[str, Model]:
    """The golden models in float32, by name."""
    return {name: unmask.load(GOLDEN / name, device="cpu") for name in ("llada-tiny", "dream-tiny")}


@pytest.fixture(scope="session")
def exact_models(models: dict[str, Model]) -> dict[str, Model]:
    """The same weights in float64.

    How sums are ordered depends on the size of a batch. In float64 that is far below anything a
    decision could hang on, so laws about equal tokens can be tried on any number of random inputs.
    """
    return {
        name: replace(model, denoiser=deepcopy(model.denoiser).double())
        for name, model in models.items()
    }


@pytest.fixture
def llada(models: dict[str, Model]) -> Model:
    return models["llada-tiny"]


@pytest.fixture
def dream(models: dict[str, Model]) -> Model:
    return models["dream-tiny"]
