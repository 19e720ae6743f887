"""Several blocks in flight, on schedules of certainty worked out by hand.

Four prompt tokens, blocks of 4, 16 answer tokens at positions 4 to 19. "Sure at n": the model is
sure of the token from forward n on.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles import ScheduledDenoiser, births, model_of
from laws.simulate import build
from unmask import Infill, generate
from unmask.canvas.canvas import Canvas

PROMPT, END, PAD = [1, 2, 3, 4], 5, 0
NEVER = 10**6
TARGETS = [1, 2, 3, 4] * 6


def decoded(sure, tokens=None, *, length=16, rising=False, **overrides):
    """The answer when position p is sure at forward ``sure[p - 4]``."""
    tokens = TARGETS[: 4 + length] if tokens is None else PROMPT + tokens
    fake = ScheduledDenoiser(tokens, [1] * 4 + list(sure), rising=rising, end_ids=[END])
    overrides = {"threshold": 0.5, "cache": "none", **overrides}
    [result] = generate(model_of(fake, length, 4), PROMPT, "d3llm", **overrides)
    return result


def at_once(count):
    return [1] * count


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_all_sure_at_once_takes_one_forward_a_block(share):
    result = decoded(at_once(16), block_add_threshold=share)
    assert births(result) == [[4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19]]


def test_never_sure_takes_one_forward_a_token_in_the_leftmost_block():
    assert births(decoded([NEVER] * 16)) == [[position] for position in range(4, 20)]


EVEN = [1, NEVER] * 8


def test_the_next_blocks_are_written_while_the_first_waits():
    expected = [[4, 6], [5, 8, 10], [7, 12, 14], [9, 16, 18], [11], [13], [15], [17], [19]]
    assert births(decoded(EVEN)) == expected
    assert decoded(EVEN, block_add_threshold=1.0).forwards == 12


def test_the_references_rule_also_takes_the_lowest_entropy_of_all_blocks():
    # It leans more to the tokens further right, so that no two entropies are equal.
    assert decoded(EVEN, rising=True).forwards == 9
    expected = [[4, 6], [7, 8, 10], [5, 12, 14], [11, 16, 18], [9, 19], [15, 17], [13]]
    assert births(decoded(EVEN, rising=True, compat="reference")) == expected


def test_one_slow_position_holds_nobody_up():
    sure = [1, NEVER, NEVER, NEVER, *[1] * 12]
    expected = [[4], [5, 8, 9, 10, 11], [6, 12, 13, 14, 15], [7, 16, 17, 18, 19]]
    assert births(decoded(sure)) == expected
    assert decoded(sure, block_add_threshold=1.0).forwards == 7


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_text_that_comes_from_left_to_right_takes_one_forward_a_token(share):
    assert decoded(range(1, 17), block_add_threshold=share).forwards == 16


@given(sure=st.lists(st.integers(1, 8), min_size=16, max_size=16))
def test_a_share_of_one_is_the_schedule_blocks(sure):
    single = decoded(sure, schedule="blocks", early_stop=False)
    pipeline = decoded(sure, block_add_threshold=1.0, early_stop=False)
    assert births(pipeline) == births(single)


def test_no_token_is_below_a_bar_of_zero_but_the_one_that_is_owed():
    assert decoded(at_once(16), threshold=0).tokens_per_forward == 1


@pytest.mark.parametrize(("share", "enough"), [(0.1, 4), (0.5, 16), (0.95, 31), (1.0, 32)])
def test_a_block_enters_when_its_neighbour_has_its_share(share, enough):
    schedule = build("schedule", "pipelined", block_length=32, block_add_threshold=share)
    for count, stop in ((enough - 1, 33), (enough, 65)):
        canvas = Canvas.start([1], 96, 9)
        if count:
            canvas = canvas.commit(np.arange(1, 1 + count), np.zeros(count, dtype=np.int64))
        assert schedule(canvas).stop == stop


@given(data=st.data())
def test_at_most_one_block_enters_in_a_forward(data):
    canvas = Canvas.start([1], 40, 9)
    share = data.draw(st.floats(0.05, 1))
    schedule = build("schedule", "pipelined", block_length=5, block_add_threshold=share)
    stop = schedule(canvas).stop
    assert stop == 6
    while not canvas.done:
        window = schedule(canvas)
        assert window.stop - stop in (0, 5)
        stop = window.stop
        chosen = data.draw(
            st.lists(st.sampled_from(window.eligible.tolist()), min_size=1, unique=True)
        )
        canvas = canvas.commit(np.sort(chosen), np.zeros(len(chosen), dtype=np.int64))


def test_an_end_token_with_nothing_open_before_it_ends_the_answer():
    tokens = [1, 2, 3, 4, 1, END, *[2] * 10]
    result = decoded(at_once(16), tokens)
    assert result.forwards == 2
    assert result.token_ids == [1, 2, 3, 4, 1, END] + [PAD] * 10
    assert (result.tokens, result.tokens_per_forward) == (6, 3.0)
    assert decoded(at_once(16), tokens, early_stop=False).forwards == 4


def test_what_stands_before_an_end_token_is_still_decoded():
    # 14 (offset 10) is the end, in the third block; 6 and 7 are unsure for long.
    tokens = [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, END, 1, 2, 3, 4, 1]
    sure = [1, 1, NEVER, NEVER, *[1] * 12]
    result = decoded(sure, tokens)
    assert births(result)[:2] == [[4, 5], [6, 8, 9, 10, 11]]
    assert births(result)[2] == [7, 12, 13, 14, 15, 16, 17, 18, 19]
    assert result.token_ids == [*tokens[:11], PAD, PAD, PAD, PAD, PAD]


def test_an_end_token_further_left_moves_the_cut():
    # The end at 14 comes first; a later one at 9 drops everything behind it.
    tokens = [1, 2, 3, 4, 1, END, 3, 4, 1, 2, END, 1, 2, 3, 4, 1]
    sure = [1, 1, NEVER, NEVER, 1, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    result = decoded(sure, tokens)
    assert result.token_ids == [*tokens[:6], *[PAD] * 10]
    assert result.tokens == 6


@given(
    sure=st.lists(st.integers(1, 6), min_size=18, max_size=18),
    tokens=st.lists(st.sampled_from([1, 2, 3, END]), min_size=18, max_size=18),
    cache=st.sampled_from(["none", "delayed", "dual", "prefix"]),
)
def test_nothing_but_padding_stands_behind_the_end(sure, tokens, cache):
    result = decoded(sure, tokens, length=18, cache=cache)
    text = result.token_ids
    assert 9 not in text
    if END in text:
        end = text.index(END)
        assert text[: end + 1] == tokens[: tokens.index(END) + 1]
        assert set(text[end + 1 :]) <= {PAD}
    assert result.forwards <= 18


def test_a_length_that_is_no_multiple_of_the_block():
    result = decoded(at_once(18), length=18)
    assert births(result)[-1] == [20, 21]
    assert result.forwards == 5


def test_blocks_of_given_text_are_passed():
    """The second block is given, so the third enters with the first one's share."""
    fake = ScheduledDenoiser(TARGETS[:16], [1] * 4 + [1, NEVER, NEVER, NEVER] + [1] * 8)
    prompt = Infill(4, [7, 7, 7, 7], 4, prompt=PROMPT)
    [result] = generate(model_of(fake, 12, 4), prompt, "d3llm", threshold=0.5, cache="none")
    assert births(result) == [[4], [5, 12, 13, 14, 15], [6], [7]]


@pytest.mark.parametrize("horizon", [0, 1, 2])
def test_a_horizon_feeds_the_open_blocks_and_some_more(horizon):
    result = decoded(at_once(16), horizon=horizon)
    expected = [min(20, 4 + 4 * (turn + horizon)) for turn in (1, 2, 3, 4)]
    assert result.trajectory.fed.tolist() == expected
    assert result.token_ids == TARGETS[4:20]
