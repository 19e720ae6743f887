"""Noised texts: never empty, prompt untouched, complements complete, windows where they belong."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask import catalogue
from unmask.distill.batches import Noise, asked_of, collate, epoch_order, weight_of
from unmask.distill.draws import Stage, latest
from unmask.distill.recipe import STATES, Recipe
from unmask.distill.states import block, flight, response, window
from unmask.distill.texts import Text
from unmask.models.denoiser import ModelCard

NAMES = catalogue.names(STATES)
CARD = ModelCard("double", "tiny", 50, 49, (48,), 48, 512)


def text_of(prompt=10, canvas=64, content=40, seed=0, index=0):
    draw = np.random.default_rng(seed)
    order = np.zeros(prompt + canvas, np.int64)
    order[prompt:] = 1 + draw.permutation(canvas)
    ids = draw.integers(0, 40, prompt + canvas)
    ids[prompt + content :] = CARD.pad_id
    return Text(index, ids, prompt, prompt + content, order)


TEXTS = st.builds(
    lambda prompt, canvas, share, seed: text_of(prompt, canvas, max(1, int(share * canvas)), seed),
    st.integers(1, 20), st.integers(1, 80), st.floats(0, 1), st.integers(0, 9),
)  # fmt: skip
STAGES = st.builds(
    Stage, st.floats(0, 1), st.integers(1, 40), st.integers(1, 5), st.sampled_from([0.0, 0.1, 1.0])
)


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXTS, stage=STAGES, seed=st.integers(0, 99))
def test_laws_of_every_state(name, text, stage, seed):
    state = catalogue.find(STATES, name, "state").make(compat=False)
    draw = state(text, stage, np.random.default_rng(seed))
    parts = np.stack([draw.hidden_L, draw.rest_L, draw.blank_L])
    assert parts.sum(0).max() <= 1, "disjoint"
    assert not parts[:, : text.prompt_length].any(), "the prompt is clean"
    assert draw.hidden_L.any(), "something is asked for"
    again = state(text, stage, np.random.default_rng(seed))
    assert (again.hidden_L == draw.hidden_L).all()
    if stage.filler == 0:
        asked = draw.hidden_L | draw.rest_L
        assert asked[: text.end].any(), "no draw for padding alone"


@given(text=TEXTS, stage=STAGES, seed=st.integers(0, 99))
def test_a_window_stands_between_clean_text_and_masks(text, stage, seed):
    for state in (block.block, window.window, flight.flight):
        draw = state(text, stage, np.random.default_rng(seed))
        asked = np.flatnonzero(draw.hidden_L | draw.rest_L)
        assert (np.diff(asked) == 1).all()
        assert (np.flatnonzero(draw.blank_L) > asked[-1]).all()
        assert draw.blank_L[asked[-1] + 1 :].all()
        assert (asked[0] - text.prompt_length) % stage.width == 0
        limit = stage.width * (stage.depth if state is flight.flight else 1)
        assert len(asked) <= limit


def test_the_latest_positions_are_masked():
    text = text_of()
    for ratio, count in ((0.0, 1), (0.25, 8), (0.5, 16), (0.8, 26), (1.0, 32)):
        hidden = latest(text, 10, 42, ratio)
        assert hidden.sum() == count
        clean = [at for at in range(10, 42) if not hidden[at]]
        order = text.order_L
        assert not clean or order[clean].max() < order[hidden].min()


def test_windows_that_the_teacher_did_not_know_have_the_ratio_all_the_same():
    """The reference reads 0.72 and 0.22 by turns where 0.5 is meant (d3llm notes, 2.6 c)."""
    order = np.concatenate([np.zeros(10), 1 + np.arange(64)]).astype(np.int64)
    text = replace(text_of(), order_L=order)
    counts = {int(latest(text, start, start + 16, 0.5).sum()) for start in (10, 26, 42, 58)}
    assert counts == {8}


def test_random_masks_have_the_ratio():
    text, draw = text_of(canvas=64, content=64), np.random.default_rng(0)
    shares = [block.block(text, Stage(0.5, 32), draw).hidden_L.sum() / 32 for _ in range(2000)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.01)
    shares = [response.response(text, Stage(0.3, 32), draw).hidden_L.sum() / 64 for _ in range(500)]
    assert np.mean(shares) == pytest.approx(0.3, abs=0.02)


def test_the_geometry_of_dparallel():
    """Spec T7: 284 response tokens are eight blocks of 32 and a tail of 28."""
    text = text_of(100, 284, 284)
    noise = np.zeros(384)  # all below the bar
    tail = block.reference_at(text, Stage(0.5, 32), 8, noise)
    assert np.flatnonzero(tail.hidden_L).tolist() == list(range(356, 384))
    third = block.reference_at(text, Stage(0.5, 32), 3, noise)
    assert np.flatnonzero(third.hidden_L).tolist() == list(range(196, 228))
    assert np.flatnonzero(third.blank_L).tolist() == list(range(228, 384))


@pytest.mark.parametrize(
    ("length", "number", "place"), [(74, 2, (42, 58)), (74, 4, (74, 74)), (80, 4, (74, 80))]
)
def test_the_geometry_of_d3llm(length, number, place):
    """Spec T34: prompt of 10, windows of 16; the last one may be empty, there and not here."""
    text = text_of(10, length - 10, length - 10)
    assert window.reference_window(text, 16, number) == place
    draw = window.reference_at(text, text.order_L - 1, place, 0.5)
    asked = draw.hidden_L | draw.rest_L
    assert np.flatnonzero(asked).tolist() == list(range(*place))
    assert np.flatnonzero(draw.blank_L).tolist() == list(range(place[1], length))
    if length == 74:
        starts = {
            int(np.flatnonzero(one.hidden_L | one.rest_L)[0])
            for one in (window.window(text, Stage(0.5, 16), np.random.default_rng(seed))
                        for seed in range(200))
        }  # fmt: skip
        assert starts == {10, 26, 42, 58}, "the last text positions as often as the first"


def test_only_the_reference_draws_nothing():
    """Spec T8: with 256 response tokens one draw in nine is empty; ours never is."""
    text, stage = text_of(128, 256, 256), Stage(0.5, 32)
    for state, share in ((block.reference, 1 / 9), (block.block, 0.0)):
        draw = np.random.default_rng(0)
        empty = [not state(text, stage, draw).hidden_L.any() for _ in range(3000)]
        assert np.mean(empty) == pytest.approx(share, abs=0.02)


def test_a_share_of_draws_asks_for_padding():
    text, draw = text_of(canvas=64, content=20), np.random.default_rng(0)
    padding = [
        not block.block(text, Stage(0.5, 8, filler=0.1), draw).hidden_L[: text.end].any()
        for _ in range(3000)
    ]
    # The third block holds four text tokens: now and then its coins miss them.
    assert 0.08 < np.mean(padding) < 0.16


def test_the_reference_reads_ten_positions_off():
    text = text_of(12, 64, 64)
    stage = Stage(0.5, 16)
    for seed in range(20):
        draw = window.reference(text, stage, np.random.default_rng(seed))
        active = np.flatnonzero(draw.hidden_L | draw.rest_L)
        if not len(active):
            continue
        start, stop = active[0], active[-1] + 1
        state = (start - 12) + int(0.5 * (stop - start))
        ahead = [text.order_L[at + 10] if at + 10 < len(text) else 999 for at in active]
        pairs = zip(active, ahead, strict=True)
        expected = [at for at, order in pairs if order - 1 > state]
        assert np.flatnonzero(draw.hidden_L).tolist() == expected


RECIPE = Recipe(
    state="block", objectives={"cross_entropy": 1.0}, ratio=(0.0, 0.8, 0.8), widths=(16,),
    rate=1e-3, epochs=1, batch=4,
)  # fmt: skip


def test_draws_depend_on_seed_epoch_and_sample_alone():
    texts = [text_of(seed=n, index=n) for n in range(4)]
    noise = Noise(RECIPE, 7)
    alone = noise(texts[2], 3, 0.5)
    for text in texts:
        noise(text, 1, 0.1)
    again = noise(texts[2], 3, 0.5)
    assert (alone.draw.hidden_L == again.draw.hidden_L).all()
    others = [Noise(RECIPE, 8)(texts[2], 3, 0.5), noise(texts[2], 4, 0.5), noise(texts[1], 3, 0.5)]
    assert all((alone.ratio != other.ratio) for other in others)


def test_ratios_lie_above_a_rising_floor():
    text = text_of()
    for progress, floor in ((0.0, 0.0), (0.25, 0.2), (0.5, 0.4), (1.0, 0.8)):
        ratios = [Noise(RECIPE, seed)(text, 0, progress).ratio for seed in range(3000)]
        assert min(ratios) >= floor
        assert np.mean(ratios) == pytest.approx((floor + 0.8) / 2, abs=0.02)


@settings(max_examples=50)
@given(st.integers(1, 6), st.integers(0, 9), st.integers(0, 1), st.booleans())
def test_a_batch_is_its_rows(count, seed, shift, complement):
    card = replace(CARD, logit_shift=shift)
    recipe = replace(RECIPE, complement=complement)
    draw = np.random.default_rng(seed)
    texts = [text_of(int(draw.integers(1, 20)), 30, 20, seed, n) for n in range(count)]
    noised = [Noise(recipe, seed)(text, 0, 0.5) for text in texts]
    batch = collate(noised, recipe, card, "cpu")
    assert len(batch.target_T) == sum(asked_of(one, recipe) for one in noised)
    assert batch.samples == tuple(range(count))
    spots = zip(batch.row_T.tolist(), batch.column_T.tolist(), batch.target_T.tolist(), strict=True)
    for row, column, _ in spots:
        assert batch.ids_BL[row, column + shift] == card.mask_id, "what is asked for is masked"
        assert batch.keep_BL is None or batch.keep_BL[row, column]
    clean = {int(target) for one in noised for target in one.text.ids_L}
    assert set(batch.target_T.tolist()) <= clean
    if complement:
        per_text = [one.draw.hidden_L | one.draw.rest_L for one in noised]
        assert len(batch.target_T) == sum(asked.sum() for asked in per_text), "asked once each"


@pytest.mark.parametrize(("horizon", "more"), [(None, 50), (0, 0), (1, 16), (9, 50)])
def test_a_horizon_leaves_out_what_the_decoder_would_not_see(horizon, more):
    """Texts of 30 positions behind prompts of 20, windows of 16: the last one has 14."""
    recipe = replace(RECIPE, horizon=horizon)
    for seed in range(20):
        one = Noise(recipe, seed)(text_of(20, 30, 20, seed), 0, 0.5)
        asked = np.flatnonzero(one.draw.hidden_L | one.draw.rest_L)
        fed = collate([one], recipe, CARD, "cpu").ids_BL.shape[1]
        assert fed == min(len(one.text), asked[-1] + 1 + more)


def test_the_inverse_weight_is_that_of_the_ratio():
    one = Noise(replace(RECIPE, weighting="inverse"), 0)(text_of(), 0, 1.0)
    assert weight_of(one, replace(RECIPE, weighting="inverse")) == pytest.approx(1 / one.ratio)
    assert weight_of(one, RECIPE) == 1.0


def test_every_epoch_has_every_text_once_in_another_order():
    texts = [text_of(index=n) for n in range(20)]
    orders = [[text.index for text in epoch_order(texts, 0, epoch)] for epoch in (0, 1, 0)]
    assert sorted(orders[0]) == list(range(20))
    assert orders[0] == orders[2] != orders[1]
