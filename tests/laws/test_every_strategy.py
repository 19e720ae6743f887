"""What every strategy keeps, on random proposals; the catalogue says which there are."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from laws.simulate import build as part
from unmask import catalogue
from unmask.decode.options import declared
from unmask.decode.proposal import Proposal
from unmask.decode.slate import Slate

PACKAGE = "unmask.decode.strategies"
NAMES = catalogue.names(PACKAGE)
ASKED = 8
VOCABULARY = 5
BARS = {
    # strategy: setting, range, whether a higher value accepts less
    "threshold": ("threshold", 0.0, 1.0, True),
    "low_entropy": ("threshold", 0.0, 2.0, False),
    "factor": ("factor", 0.05, 6.0, False),
    "frechet": ("delta", 0.0, 1.0, True),
}

every_strategy = pytest.mark.parametrize("name", NAMES)
every_bar = pytest.mark.parametrize("name", sorted(BARS))
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 4)


def build(name, **options):
    return part("strategy", name, max_new_tokens=ASKED, block_length=ASKED, **options)


@st.composite
def built(draw, name):
    """The strategy with any value of every option that it declares."""
    options = declared()["strategy"][name].values()
    return build(name, **{option.name: draw(values(option)) for option in options})


def values(option):
    """What may be given, up to a limit where there is none."""
    if option.kind is bool:
        return st.booleans()
    if option.kind is str:
        return st.sampled_from(option.names)
    low, high = option.low, min(option.high, max(option.low, 1) * 2 * ASKED)
    return (
        st.integers(low, high)
        if option.kind is int
        else st.floats(low, high, exclude_min=option.above)
    )


def proposal(seed, rows):
    """Distributions from flat to nearly certain."""
    generator = torch.Generator().manual_seed(seed)
    sharpness = 12 * torch.rand(rows, ASKED, 1, generator=generator)
    return Proposal(sharpness * torch.randn(rows, ASKED, VOCABULARY, generator=generator))


def slate(seed, rows):
    """Open positions in front, padding behind; of rising blocks, the first being the frontier."""
    generator = torch.Generator().manual_seed(seed + 1)

    def integers(low, high):
        return torch.randint(low, high + 1, (rows,), generator=generator)

    count_B = integers(1, ASKED)
    place_A = torch.arange(ASKED)
    block_BA = place_A.sub(integers(0, 2)[:, None]).clamp(min=0) // integers(1, ASKED)[:, None]
    block_BA = block_BA.where(place_A < count_B[:, None], -1)
    total_B = (block_BA == 0).sum(1) + integers(0, 4)
    noise_BA = torch.rand(rows, ASKED, generator=generator)
    return Slate(block_BA, total_B, integers(0, ASKED), noise_BA)


def rows_of(a_slate, index):
    return Slate(*(part[index] for part in a_slate))


@every_strategy
@given(data=st.data(), seed=seeds, rows=sizes)
def test_only_open_positions_are_accepted(name, data, seed, rows):
    where = slate(seed, rows)
    accept = data.draw(built(name))(proposal(seed, rows), where)
    assert not (accept & ~where.open_BA).any()


@every_strategy
@given(data=st.data(), seed=seeds, rows=sizes)
def test_every_row_gets_on_in_its_frontier_block(name, data, seed, rows):
    where = slate(seed, rows)
    accept = data.draw(built(name))(proposal(seed, rows), where)
    assert (accept & where.must_BA).any(1).all()


@every_strategy
@given(data=st.data(), seed=seeds, rows=sizes)
def test_permuted_rows_are_answered_in_the_same_permutation(name, data, seed, rows):
    strategy, what, where = data.draw(built(name)), proposal(seed, rows), slate(seed, rows)
    order = torch.tensor(data.draw(st.permutations(range(rows))))
    permuted = strategy(what.rows(order), rows_of(where, order))
    assert torch.equal(permuted, strategy(what, where)[order])


@every_strategy
@given(data=st.data(), seed=seeds, rows=sizes)
def test_a_row_is_answered_as_if_it_were_alone_and_unpadded(name, data, seed, rows):
    strategy, what, where = data.draw(built(name)), proposal(seed, rows), slate(seed, rows)
    together = strategy(what, where)
    for row in range(rows):
        count = int(where.open_BA[row].sum())
        alone = Proposal(what.logits_BAV[row : row + 1, :count])
        cut = [part[row : row + 1] for part in where]
        cut = Slate(*(part[:, :count] if part.dim() == 2 else part for part in cut))
        assert torch.equal(strategy(alone, cut)[0], together[row, :count])


@every_strategy
@given(data=st.data(), seed=seeds, count=st.integers(1, ASKED))
def test_equal_scores_are_accepted_from_left_to_right(name, data, seed, count):
    logits = proposal(seed, 1).logits_BAV[:, :1].expand(1, ASKED, VOCABULARY)
    where = slate(seed, 1)
    block_BA = (torch.arange(ASKED)[None] < count).long() - 1
    where = where._replace(block_BA=block_BA, noise_BA=torch.full((1, ASKED), 0.5))
    accept = data.draw(built(name))(Proposal(logits), where)[0]
    accepted = int(accept.sum())
    assert accept.tolist() == [True] * accepted + [False] * (ASKED - accepted)


@every_bar
@given(data=st.data(), seed=seeds, rows=sizes)
def test_a_lower_bar_accepts_a_superset(name, data, seed, rows):
    field, low, high, rises = BARS[name]
    bars = sorted(data.draw(st.floats(low, high)) for _ in range(2))
    strict, loose = bars[::-1] if rises else bars
    what, where = proposal(seed, rows), slate(seed, rows)
    few = build(name, **{field: strict})(what, where)
    many = build(name, **{field: loose})(what, where)
    assert not (few & ~many).any()


@every_bar
def test_every_bar_can_be_low_enough_for_all_and_high_enough_for_one(name):
    field, low, high, rises = BARS[name]
    strict, loose = (high, low) if rises else (low, math.inf if name != "frechet" else high)
    logits = torch.randn(1, ASKED, VOCABULARY, generator=torch.Generator().manual_seed(0))
    where = slate(0, 1)._replace(block_BA=torch.zeros(1, ASKED, dtype=torch.long))
    sharp = Proposal(20 * logits) if name == "frechet" else Proposal(logits)
    assert build(name, **{field: strict})(Proposal(logits), where).sum() == 1
    assert build(name, **{field: loose})(sharp, where).sum() == ASKED
