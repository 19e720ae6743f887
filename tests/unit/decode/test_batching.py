"""How rows share a forward: padding, slots, and when two calls are cheaper than one."""

from __future__ import annotations

import torch

from doubles import FakeDenoiser, model_of, sure_of
from unmask import Infill, generate
from unmask.models.store import KeyValueStore, StoreSize


def toy(prompts, length=4, positions=160, **overrides):
    fake = FakeDenoiser(sure_of([0.8] * positions, tokens=[1] * positions))
    results = generate(model_of(fake, length, length), prompts, "vanilla", **overrides)
    return results, fake


def test_rows_of_one_length_share_a_forward_without_a_mask():
    results, fake = toy([[0, 0], [1, 1], [2, 2]])
    assert [call.ids_BQ.shape for call in fake.calls] == [(3, 6)] * 4
    assert all(call.keep_BL is None for call in fake.calls)
    assert [result.forwards for result in results] == [4, 4, 4]


def test_a_shorter_row_is_padded_by_its_last_position_which_nobody_looks_at():
    _, fake = toy([[0], [0, 1, 2]])
    call = fake.calls[0]
    assert call.at_BQ.tolist() == [[0, 1, 2, 3, 4, 4, 4], [0, 1, 2, 3, 4, 5, 6]]
    assert call.keep_BL.tolist() == [[True] * 5 + [False] * 2, [True] * 7]


def test_rows_of_very_different_length_are_fed_apart():
    # 5 and 104 positions: together 2 x 104 = 208, apart 5 + 104 and one more call (48) = 157.
    _, fake = toy([[0], [0] * 100])
    assert [call.ids_BQ.shape for call in fake.calls[:2]] == [(1, 104), (1, 5)]
    assert len(fake.calls) == 8


def test_rows_of_similar_length_are_fed_together():
    # 5 and 44 positions: together 88, apart 49 and 48.
    _, fake = toy([[0], [0] * 40])
    assert [call.ids_BQ.shape for call in fake.calls] == [(2, 44)] * 4


def test_a_batch_has_at_most_batch_size_rows():
    _, fake = toy([[row % 5] for row in range(7)], batch_size=3)
    assert [len(call.ids_BQ) for call in fake.calls] == [3] * 8 + [1] * 4


def test_a_freed_slot_is_filled_at_once():
    # Answers of 4, 2 and 4 tokens on two slots: the third row starts when the second is done.
    fake = FakeDenoiser(sure_of([0.8] * 20, tokens=[1] * 20))
    model = model_of(fake, 4, 4)
    generate(model, [[0] * 3, Infill([1, 1], 2, prompt=[0] * 3), [0] * 3], "vanilla", batch_size=2)
    assert [len(call.ids_BQ) for call in fake.calls] == [2, 2, 2, 2, 1, 1]


def test_results_come_in_the_order_of_the_prompts():
    results, _ = toy([[3], [1, 1, 1], [2, 2]], batch_size=2)
    starts = [result.trajectory.tokens_L[0] for result in results]
    assert starts == [3, 1, 2]


def store(rows=3, length=4):
    return KeyValueStore(StoreSize(2, rows, length, 1, 2), torch.float32, torch.device("cpu"))


def test_a_store_writes_at_absolute_positions_of_the_given_rows():
    kept = store()
    rows = kept.rows([0, 2])
    keys = torch.arange(1.0, 9.0).view(2, 2, 1, 2)
    rows.write(1, keys, -keys, torch.tensor([[3, 0], [1, 2]]))
    seen, values = rows.view(1)
    assert seen[:, :, 0, 0].tolist() == [[3, 0, 0, 1], [0, 5, 7, 0]]
    assert torch.equal(values, -seen)
    assert not kept.keys[0].any()
    assert not kept.keys[1, 1].any()


def test_a_store_shows_the_first_positions_only():
    assert store().rows([1], 2).view(0)[0].shape == (1, 2, 1, 2)


def test_moving_a_row_copies_keys_and_values_of_all_layers():
    kept = store()
    kept.keys[:, 2] = 7.0
    kept.values[:, 2] = 8.0
    kept.move(2, 0)
    assert (kept.keys[:, 0] == 7).all()
    assert (kept.values[:, 0] == 8).all()
    assert not kept.keys[:, 1].any()
