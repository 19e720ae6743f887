"""The folder of a harvest is damaged, anywhere: readers say so in one sentence or read what was
written, never something else, and touch nothing; the same harvest command mends it."""

from __future__ import annotations

import hashlib
import json
import random
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ranks import CONTEXT
from unmask import InputError
from unmask.distill.intake import Shards
from unmask.distill.shards import AGAIN, MANIFEST, Sample, head_of, packed, read
from unmask.files import LOCK

SETTINGS = {"model": "m", "overrides": {"threshold": 0.5}, "source": "stories"}
GROUPS = [range(4), range(4, 8), range(8, 11)]


def sample(index):
    draw = np.random.default_rng(index)
    tokens = draw.integers(0, 500, 9).astype(np.uint32)
    born = np.concatenate([np.zeros(3), 1 + draw.permutation(6)]).astype(np.uint16)
    return Sample(index, 3, tokens, born, 6, 5, index % 3 - 1, 0.0)


def fill(folder, told=None):
    """What `unmask harvest` does: all that is not stored is stored, by threes and fours."""
    shards = Shards(folder, SETTINGS, (told if told is not None else []).append)
    done = shards.done()
    for group in GROUPS:
        left = [sample(index) for index in group if index not in done]
        if left:
            shards.write(left)
    return done


def content(samples):
    return sorted((one.index, one.tokens_L.tolist(), one.born_L.tolist(), one.forwards,
                   one.counted, one.correct, one.prompt_length) for one in samples)  # fmt: skip


WHOLE = content(map(sample, range(11)))


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read_or_refused(folder):
    """What is read, or a sentence that names the mend."""
    before = files(folder)
    try:
        found, refusal = content(read(folder)), None
    except InputError as error:
        found, refusal = [], str(error)
    assert files(folder) == before, "a reader writes nothing"
    if refusal:
        assert str(folder) in refusal
        assert refusal.endswith(AGAIN)
        assert "\n" not in refusal
    return found, refusal


def mended(folder):
    """The folder after its command was given again."""
    told = []
    done = fill(folder, told)
    assert content(read(folder)) == WHOLE
    assert fill(folder) == set(range(11)), "and once more there is nothing to do"
    return done, told


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "harvest"
    fill(folder)
    assert content(read(folder)) == WHOLE
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "harvest")


def spots(path, draw, count):
    size = path.stat().st_size
    return sorted({0, 1, size - 1, *(draw.randrange(size) for _ in range(count))})


@pytest.mark.parametrize("name", [MANIFEST, "shard-00001.safetensors"])
def test_a_flipped_bit_anywhere(whole, tmp_path, name):
    draw = random.Random(0)
    for number, at in enumerate(spots(whole / name, draw, 60)):
        folder = shutil.copytree(whole, tmp_path / str(number))
        damaged = bytearray((folder / name).read_bytes())
        damaged[at] ^= 1 << draw.randrange(8)
        (folder / name).write_bytes(damaged)
        found, refusal = read_or_refused(folder)
        if at == len(damaged) - 1 and name == MANIFEST:  # as if a writer were at its last line
            assert found == WHOLE[:8]
        else:
            assert refusal or found == WHOLE
        done, _ = mended(folder)
        assert len(done) >= 7, "what is whole is not answered again"


@pytest.mark.parametrize("name", [MANIFEST, "shard-00001.safetensors"])
def test_cut_off_anywhere(whole, tmp_path, name):
    for number, size in enumerate(spots(whole / name, random.Random(1), 30)):
        folder = shutil.copytree(whole, tmp_path / str(number))
        (folder / name).write_bytes((folder / name).read_bytes()[:size])
        found, refusal = read_or_refused(folder)
        assert refusal or found == WHOLE[: len(found)]
        done, _ = mended(folder)
        assert len(done) >= 7


@pytest.mark.parametrize("name", [MANIFEST, "shard-00001.safetensors"])
@pytest.mark.parametrize("how", ["gone", "empty", "junk"])
def test_a_file_is_not_what_it_was(folder, name, how):
    path = folder / name
    path.unlink()
    if how != "gone":
        path.write_bytes(b"" if how == "empty" else b"junk\n" * 9)
    assert read_or_refused(folder)[1]
    done, told = mended(folder)
    if name == MANIFEST:
        assert done == set(range(11)), "the shards say what they are"
        assert f"{MANIFEST} was damaged or gone" in told[0]
    else:
        assert done == {*range(4), *range(8, 11)}, "a shard is answered again on its own"
        assert name in told[0]


def test_a_manifest_and_a_shard_are_damaged(folder):
    (folder / MANIFEST).write_text("")
    (folder / "shard-00000.safetensors").write_bytes(b"")
    done, told = mended(folder)
    assert done == set(range(4, 11))
    assert "shard-00000.safetensors is damaged" in told[0]


def test_a_line_for_another_shard(folder):
    """Two names, or two lists of prompts, are exchanged: every sum is right, and yet."""
    for one, other in (("shard-00000", "shard-00001"), ("[0, 1, 2, 3]", "[0, 1, 2, 9]")):
        text = (folder / MANIFEST).read_text()
        text = text.replace(one, "x").replace(other, one).replace("x", other)
        (folder / MANIFEST).write_text(text)
        assert read_or_refused(folder)[1]
        assert mended(folder)[0] == set(range(11))


def doubled(folder, head):
    """What earlier versions made of two harvests that ran at once."""
    lines = [head]
    for name, group in enumerate([*GROUPS, *GROUPS, range(2, 6)]):
        data = packed([sample(index) for index in group], "")
        (folder / f"shard-{name:05d}.safetensors").write_bytes(data)
        lines.append({
            "shard": f"shard-{name:05d}.safetensors", "sha256": hashlib.sha256(data).hexdigest(),
            "indices": list(group),
        })  # fmt: skip
    (folder / MANIFEST).write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_samples_that_stand_there_twice_are_refused_and_then_left_out(tmp_path):
    doubled(tmp_path, head_of(SETTINGS))
    assert (
        "sample 0 twice, in shard-00000.safetensors and shard-00003" in read_or_refused(tmp_path)[1]
    )
    done, told = mended(tmp_path)
    assert done == set(range(11))
    assert all(f"shard-0000{number}" in told[0] for number in (3, 4, 5, 6))


def earlier(folder):
    """A harvest of a version whose shards did not say what they are."""
    head = {"format": "unmask-harvest-1", "settings": SETTINGS}
    doubled(folder, head)
    lines = [head]
    for number, group in enumerate(GROUPS):
        path = folder / f"shard-{number:05d}.safetensors"
        save_file(load_file(path), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append({"shard": path.name, "sha256": digest, "indices": list(group)})
    for path in sorted(folder.glob("shard-*"))[3:]:
        path.unlink()
    (folder / MANIFEST).write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_folders_of_earlier_versions_are_read_and_gone_on_with(tmp_path):
    earlier(tmp_path)
    before = (tmp_path / MANIFEST).read_bytes()
    assert content(read(tmp_path)) == WHOLE
    assert mended(tmp_path) == (set(range(11)), [])
    assert (tmp_path / MANIFEST).read_bytes() == before, "runs that train on it go on"
    (tmp_path / "shard-00001.safetensors").write_bytes(b"junk")
    assert read_or_refused(tmp_path)[1]
    assert mended(tmp_path)[0] == {*range(4), *range(8, 11)}


def test_a_first_line_of_earlier_versions_that_is_damaged_is_refused(tmp_path):
    """Nobody knows any more what was harvested with which settings: nothing is thrown away."""
    earlier(tmp_path)
    text = (tmp_path / MANIFEST).read_text().replace('"stories"', '"stories')
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(InputError, match="no shard says what it was harvested with"):
        Shards(tmp_path, SETTINGS)
    assert (tmp_path / MANIFEST).read_text() == text


def test_shards_of_other_settings_are_not_taken_over(folder):
    for damage in (b"", b"junk"):
        (folder / MANIFEST).write_bytes(damage)
        with pytest.raises(InputError, match="was harvested with other settings"):
            Shards(folder, {**SETTINGS, "model": "other"})
        assert (folder / MANIFEST).read_bytes() == damage


def test_one_writer_at_a_time(folder):
    """Readers are not in its way; whoever forgets the folder gives it back."""
    shards = Shards(folder, SETTINGS)
    with pytest.raises(InputError, match="is being written by another run; wait or give another"):
        Shards(folder, SETTINGS)
    assert content(read(folder)) == WHOLE
    del shards
    assert mended(folder)[0] == set(range(11))
    assert sorted(files(folder)) == [
        LOCK, MANIFEST, *(f"shard-0000{number}.safetensors" for number in range(3))
    ]  # fmt: skip


def hold(folder, told, leave):
    shards = Shards(folder, SETTINGS)
    shards.write([sample(0)])
    told.set()
    leave.wait(60)


def test_one_writer_of_several_processes_and_a_dead_one_is_none(tmp_path):
    told, leave = CONTEXT.Event(), CONTEXT.Event()
    other = CONTEXT.Process(target=hold, args=(tmp_path, told, leave))
    other.start()
    assert told.wait(60)
    with pytest.raises(InputError, match="is being written by another run"):
        Shards(tmp_path, SETTINGS)
    assert [one.index for one in read(tmp_path)] == [0]
    other.kill()
    other.join()
    assert Shards(tmp_path, SETTINGS).done() == {0}


def test_readers_see_whole_lines_while_a_writer_writes(tmp_path):
    shards = Shards(tmp_path, SETTINGS)
    assert list(read(tmp_path)) == []
    shards.write([sample(0)])
    with (tmp_path / MANIFEST).open("a") as file:
        file.write('{"shard": "shard-000')
    assert [one.index for one in read(tmp_path)] == [0]


def test_a_full_disk_leaves_no_draft(folder, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    shards = Shards(folder, SETTINGS)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        shards.write([sample(20)])
    assert len(files(folder)) == 5
