"""Logits of asked columns are those of the whole, whatever the model may look at."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unmask
from checkpoints import write_sdar

WIDTH, LENGTH = 9, 14


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    sdar = write_sdar(tmp_path_factory.mktemp("sdar"))
    return {name: unmask.load(name, device="cpu").denoiser for name in ("tiny", "tiny-ar", sdar)}


@settings(max_examples=40, deadline=None)
@given(
    which=st.integers(0, 2),
    ask=st.lists(
        st.lists(st.integers(0, WIDTH - 1), min_size=4, max_size=4), min_size=2, max_size=2
    ),
    stored=st.booleans(),
    masked=st.booleans(),
    behind=st.integers(0, LENGTH - WIDTH),
    seed=st.integers(0, 99),
)
def test_asked_columns_in_any_order(models, which, ask, stored, masked, behind, seed):
    """``behind`` positions of a store; with gradients, and blocks computed again for them."""
    denoiser = list(models.values())[which]
    chance = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, denoiser.card.vocabulary, (2, WIDTH), generator=chance)
    start = behind if stored else 0
    at = torch.arange(start, start + WIDTH)[None]
    at = at.expand(2, -1) if stored else at
    length = start + WIDTH
    keep = None
    if masked:  # the second row is shorter
        keep = torch.arange(length).expand(2, -1) < torch.tensor([[length], [length - 2]])
    store = denoiser.new_store(2, LENGTH).rows([0, 1], length) if stored else None
    with torch.inference_mode():
        every = denoiser(ids, at, store, keep)
        asked = denoiser(ids, at, store, keep, torch.tensor(ask))
    for row, columns in enumerate(ask):
        torch.testing.assert_close(asked[row], every[row, columns], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_blocks_computed_again_for_gradients_see_what_they_saw(models, which):
    denoiser = list(models.values())[which]
    ids, at = torch.arange(2, 2 + WIDTH)[None], torch.arange(WIDTH)[None]
    ask, weight = torch.tensor([[2, 0, 7]]), denoiser.blocks[0].gate.weight
    weight.requires_grad_(requires_grad=True)
    found = []
    try:
        for denoiser.recompute in (False, True):
            loss = denoiser(ids, at, None, None, ask).square().mean()
            found += torch.autograd.grad(loss, weight)
    finally:
        denoiser.recompute = False
        weight.requires_grad_(requires_grad=False)
    torch.testing.assert_close(*found)
