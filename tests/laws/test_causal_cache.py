"""The cache of block-causal models is exact, and rows share a batch: any prompt, any blocks."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unmask
from checkpoints import END, write_fast_dllm_v2, write_sdar
from laws.test_batch_equals_alone import RULES, SAMPLINGS, Request, decoded

WRITERS = {"fast_dllm_v2": write_fast_dllm_v2, "sdar": write_sdar}
every_kind = pytest.mark.parametrize("kind", sorted(WRITERS))
spans = st.integers(2, 9)


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    """By family, in float64."""
    found = {}
    for kind, write in WRITERS.items():
        model = unmask.load(write(tmp_path_factory.mktemp(kind)), device="cpu")
        found[kind] = replace(model, denoiser=deepcopy(model.denoiser).double())
    return found


def attending(model, span):
    """The same weights with blocks of ``span``."""
    denoiser = copy(model.denoiser)
    denoiser.card = replace(model.card, span=span)
    return replace(model, denoiser=denoiser, defaults={"max_new_tokens": 8, "block_length": span})


@st.composite
def requests(draw, span):
    overrides = {
        "schedule": draw(st.sampled_from(["blocks", "blocks", "left_to_right", "pipelined"])),
        "cache": draw(st.sampled_from(["none", "causal", "causal"])),
        "max_new_tokens": draw(st.integers(1, 16)),
        "early_stop": draw(st.booleans()),
        **draw(st.sampled_from(RULES)),
        **draw(st.sampled_from(SAMPLINGS)),
    }
    if overrides["schedule"] != "left_to_right":
        overrides["block_length"] = draw(st.integers(1, span))
    prompt = draw(st.lists(st.integers(0, END), min_size=1, max_size=12))
    return Request(prompt, "sdar", overrides)


@every_kind
@settings(max_examples=60)
@given(data=st.data(), span=spans)
def test_the_cache_changes_no_token_and_no_forward(kind, data, span, exact):
    model, asked = attending(exact[kind], span), data.draw(requests(span))
    asked.overrides.pop("compat", None)  # decides a block's first token alone, by what is cached
    texts = []
    for cache in ("none", "causal"):
        request = asked._replace(overrides={**asked.overrides, "cache": cache})
        [(tokens, births, _)] = decoded(model, [request], 1)
        texts.append((tokens, births))
    assert texts[0] == texts[1]


@every_kind
@settings(max_examples=15)
@given(data=st.data(), span=spans, slots=st.integers(1, 4))
def test_a_row_does_not_depend_on_those_beside_it(kind, data, span, slots, exact):
    model = attending(exact[kind], span)
    wanted = data.draw(st.lists(requests(span), min_size=2, max_size=4))
    alone = [decoded(model, [request], 1)[0] for request in wanted]
    assert decoded(model, wanted, slots) == alone
