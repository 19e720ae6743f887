"""A harvest is killed, or its disk is full, at any moment: the same command goes on, and in the end
every prompt has the answer that an undisturbed harvest gives, once."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import time

import pytest

from checkpoints import GOLDEN
from ranks import CONTEXT
from unmask import InputError
from unmask.cluster.spread import Here
from unmask.distill.harvest import Harvest, harvest
from unmask.distill.intake import Shards
from unmask.distill.shards import MANIFEST, read
from unmask.models.loading import load

PROMPTS = {index: [1 + index, 5, 7] for index in range(9)}
HOW = Harvest("fast-dllm", {"max_new_tokens": 8, "block_length": 4}, batch_size=2, shard_size=2)
FULL = 3


def answer_all(folder, moment=None, room=None):
    """One process of a harvest. ``moment``: dead before (or after) so many of its fsyncs; ``room``:
    the largest file that it can write."""
    import torch

    torch.set_num_threads(1)
    if moment:
        kill_at(*moment)
    if room:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    model = load(GOLDEN / "llada-tiny", "cpu")
    try:
        list(harvest(Here(model, 4), PROMPTS, Shards(folder, {"x": 1}), HOW))
    except InputError as error:
        sys.exit(FULL if "cannot be written" in str(error) else 1)


def kill_at(number, when):
    real, calls = os.fsync, []

    def fsync(file):
        calls.append(file)
        if when == "before" and len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        real(file)
        if when == "after" and len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = fsync


def process(*arguments):
    found = CONTEXT.Process(target=answer_all, args=arguments)
    found.start()
    return found


def ended(*arguments):
    found = process(*arguments)
    found.join()
    return found.exitcode


def stored(folder):
    """Everything in it, in order of the prompts; nothing doubled."""
    found = {}
    for sample in read(folder):
        assert sample.index not in found, "answered twice"
        found[sample.index] = (sample.tokens_L.tolist(), sample.born_L.tolist(), sample.forwards)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert ended(folder) == 0
    found = stored(folder)
    assert sorted(found) == list(PROMPTS)
    return found


def only_whole(folder, undisturbed):
    """What is stored so far is part of what an undisturbed harvest stores."""
    if (folder / MANIFEST).exists():
        found = stored(folder)
        assert found.items() <= undisturbed.items()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_write(undisturbed, tmp_path, when):
    """The first fsync is the manifest's head, then a shard and its line by turns."""
    for number in (1, 2, 3, 8, 11):
        folder = tmp_path / str(number)
        assert ended(folder, (number, when)) == -signal.SIGKILL
        only_whole(folder, undisturbed)
        if number == 1:  # the head comes by a rename: all of it or nothing
            assert not (folder / MANIFEST).exists()
        assert ended(folder) == 0
        assert stored(folder) == undisturbed


@pytest.mark.slow
def test_killed_again_and_again_at_random(undisturbed, tmp_path):
    draw, deaths = random.Random(0), 0
    for _ in range(8):
        one = process(tmp_path)
        time.sleep(draw.uniform(0, 0.6))
        one.kill()
        one.join()
        deaths += one.exitcode == -signal.SIGKILL
        only_whole(tmp_path, undisturbed)
    assert deaths, "or nothing was tried"
    assert ended(tmp_path) == 0
    assert stored(tmp_path) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("room", [150, 700])
def test_a_full_disk(undisturbed, tmp_path, room):
    """Full within a shard, or within the manifest when some shards are stored."""
    assert ended(tmp_path, None, room) == FULL
    only_whole(tmp_path, undisturbed)
    assert ended(tmp_path) == 0
    assert stored(tmp_path) == undisturbed
