"""Which device's memory is read, on a machine with several; the runtime is a double."""

import pytest
import torch

from unmask.evaluate import memory
from unmask.evaluate.memory import PeakMemory, peak

SECOND = torch.device("cuda:1")


@pytest.fixture
def asked(monkeypatch):
    """The devices asked about; the first has ten times as much in use as the second."""
    seen = []

    def tell(device=None):
        seen.append(device)
        return 700 if device == SECOND else 7000

    for name in ("reset_peak_memory_stats", "memory_allocated", "max_memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, tell)
    return seen


def test_a_pass_on_the_second_gpu_is_measured_there(asked):
    with PeakMemory(SECOND) as measured:
        pass
    assert measured.bytes == 0
    assert asked == [SECOND] * 3


def test_figures_of_an_answer_are_those_of_its_device(asked):
    assert peak(SECOND) == 700
    assert peak(torch.device("cuda:0")) == 7000
    assert peak(torch.device("cpu")) == pytest.approx(memory.mark(), rel=0.1)
    assert asked == [SECOND, torch.device("cuda:0")]
