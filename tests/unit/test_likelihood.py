"""Likelihoods: the bound against all orders of writing, the chain rule against transformers."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import unmask
from checkpoints import MASK, write_causal, write_llada
from unmask import InputError
from unmask.errors import DecodeError
from unmask.evaluate.likelihood import Effort, log_likelihoods
from unmask.evaluate.maskings import estimate, strata

CONTEXT = [3, 7, 11]
TEXT = [5, 9, 2, 14]
LONG = [5, 9, 2, 14, 21, 8, 30, 4, 17, 9]


@pytest.fixture(params=["llada-tiny", "dream-tiny"])
def masked(request, models):
    return models[request.param]


def log_p(model, text, place, hidden):
    """log p of what stands at ``place`` when ``hidden`` is masked, by one forward of its own."""
    fed = [model.card.mask_id if at in hidden else token for at, token in enumerate(text)]
    row = model.logits(fed)[place].double()
    row[model.card.mask_id] = -torch.inf
    return float(row.log_softmax(-1)[text[place]])


def mean_over_orders(model, context, text):
    """The bound as first written down: the mean over all orders of writing the text."""
    whole, places = [*context, *text], range(len(context), len(context) + len(text))
    return statistics.fmean(
        math.fsum(log_p(model, whole, place, order[at:]) for at, place in enumerate(order))
        for order in itertools.permutations(places)
    )


def one(model, context, text, **effort):
    return log_likelihoods(model, [(context, text)], Effort(**effort))[0]


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_few_tokens_give_the_mean_over_all_orders_exactly(masked, length):
    found = one(masked, CONTEXT, TEXT[:length], samples=2**length - 1)
    assert found.value == pytest.approx(mean_over_orders(masked, CONTEXT, TEXT[:length]), abs=1e-5)
    assert found.error == 0
    assert found.samples == 2**length - 1


@pytest.mark.parametrize("samples", [1, 2, 3, 4, 7, 11])
def test_fewer_samples_are_right_on_average(llada, samples):
    exact = one(llada, CONTEXT, TEXT, samples=15).value
    found = [one(llada, CONTEXT, TEXT, samples=samples, seed=seed).value for seed in range(150)]
    assert abs(statistics.fmean(found) - exact) < 4 * statistics.stdev(found) / math.sqrt(150)


def test_the_standard_error_is_the_spread_over_seeds(llada):
    found = [one(llada, CONTEXT, LONG, samples=20, seed=seed) for seed in range(100)]
    told = math.sqrt(statistics.fmean(each.error**2 for each in found))
    assert told == pytest.approx(statistics.stdev(each.value for each in found), rel=0.25)


def test_the_variance_falls_as_one_over_the_samples(llada):
    few, many = (
        statistics.fmean(
            one(llada, CONTEXT, LONG, samples=samples, seed=seed).error ** 2 for seed in range(8)
        )
        for samples in (30, 120)
    )
    assert 2.5 < few / many < 8  # 4, and more where sizes come to be enumerated


def test_one_token_takes_one_forward_and_is_a_plain_log_probability(masked):
    calls = []
    with masked.denoiser.register_forward_hook(lambda *_: calls.append(1)):
        found = one(masked, CONTEXT, [5], greedy=False)
    assert len(calls) == 1
    assert found.value == pytest.approx(log_p(masked, [*CONTEXT, 5], 3, [3]), abs=1e-5)
    assert (found.samples, found.error) == (1, 0)


def test_neither_batch_nor_order_nor_neighbours_matter(masked):
    pairs = [(CONTEXT, LONG), ([4], TEXT), (CONTEXT * 5, LONG[:6]), ([9, 9], [1])]
    alone = [one(masked, *pair, samples=9, batch_size=1) for pair in pairs]
    for batch_size in (2, 5, 64):
        together = log_likelihoods(masked, pairs[::-1], Effort(samples=9, batch_size=batch_size))
        for left, right in zip(alone, together[::-1], strict=True):
            assert left.value == pytest.approx(right.value, abs=1e-4)
            assert left.error == pytest.approx(right.error, abs=1e-4, nan_ok=True)
            assert (left.samples, left.greedy) == (right.samples, right.greedy)


def test_the_same_seed_gives_the_same_bits(llada):
    twice = [one(llada, CONTEXT, LONG, samples=9, seed=3) for _ in range(2)]
    assert twice[0] == twice[1]
    assert twice[0] != one(llada, CONTEXT, LONG, samples=9, seed=4)


def test_what_decoding_writes_is_greedy_and_nothing_else(masked):
    limits = {"block_length": 6, "max_new_tokens": 6}
    [answer] = unmask.generate(masked, [CONTEXT], "vanilla", **limits)
    assert one(masked, CONTEXT, answer.token_ids, samples=1).greedy
    other = [*answer.token_ids[:-1], (answer.token_ids[-1] + 1) % 30]
    assert not one(masked, CONTEXT, other, samples=1).greedy
    assert one(masked, CONTEXT, other, samples=1, greedy=False).greedy is None


def test_nothing_is_certain_and_a_mask_impossible(llada):
    nothing, mask = log_likelihoods(llada, [(CONTEXT, []), (CONTEXT, [4, llada.card.mask_id])])
    assert (nothing.value, nothing.error, nothing.greedy) == (0, 0, True)
    assert (mask.value, mask.error, mask.greedy) == (-math.inf, 0, False)


def test_a_long_context_loses_its_left_end(masked):
    room = masked.card.max_length - len(TEXT)
    long = [3 + at % 20 for at in range(room + 7)]
    found, cut = log_likelihoods(masked, [(long, TEXT), (long[7:], TEXT)])
    assert found.left_out == 7
    assert cut.left_out == 0
    assert found.value == cut.value


def test_a_continuation_that_does_not_fit_is_refused(masked):
    text = [3] * (masked.card.max_length + 1)
    with pytest.raises(InputError, match="is too long"):
        one(masked, CONTEXT, text)


def test_a_shifted_model_needs_context_and_another_does_not(dream, llada):
    with pytest.raises(InputError, match="an empty context is not allowed"):
        one(dream, [], TEXT)
    expected = mean_over_orders(llada, [], TEXT[:3])
    assert one(llada, [], TEXT[:3]).value == pytest.approx(expected, abs=1e-5)


def test_damaged_weights_are_reported(tmp_path):
    model = unmask.load(write_llada(tmp_path), device="cpu")
    model.denoiser.norm.weight.data[0] = torch.nan
    with pytest.raises(DecodeError, match="NaN"):
        one(model, CONTEXT, TEXT)


def test_progress_is_told(llada):
    heard = []
    pairs = [(CONTEXT, TEXT), (CONTEXT, []), (CONTEXT, [5])]
    log_likelihoods(llada, pairs, Effort(samples=2), heard.append)
    assert sum(heard) == 3


def test_causal_models_are_scored_as_transformers_does(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            hidden_size=36, intermediate_size=48, num_hidden_layers=2, num_attention_heads=3,
            num_key_value_heads=1, vocab_size=64, max_position_embeddings=32, bos_token_id=1,
            eos_token_id=2, pad_token_id=2, attn_implementation="eager",
        )  # fmt: skip
        theirs = LlamaForCausalLM(config).eval()
        for weight in theirs.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    theirs.save_pretrained(tmp_path)
    ours = unmask.load(tmp_path, "cpu")
    # The third fills the model; of the last, the final token is scored but not fed.
    pairs = [(CONTEXT, LONG), ([4], [7]), ([9] * 22, LONG), ([9] * 23, LONG)]
    found = log_likelihoods(ours, pairs, Effort(batch_size=3))
    for (context, text), likelihood in zip(pairs, found, strict=True):
        fed = torch.tensor([[*context, *text[:-1]]])
        with torch.no_grad():
            log_q = theirs(fed).logits[0, len(context) - 1 :].log_softmax(-1)
        expected = log_q.gather(1, torch.tensor(text)[:, None]).sum().item()
        assert likelihood.value == pytest.approx(expected, abs=1e-3)
        assert likelihood.greedy == (log_q.argmax(-1).tolist() == text)
        assert (likelihood.error, likelihood.left_out) == (0, 0)


def test_a_causal_model_finds_its_own_answer_greedy(tmp_path):
    model = unmask.load(write_causal(tmp_path), device="cpu")
    text = list(CONTEXT)
    for _ in range(5):
        text.append(int(model.logits([*text, 0])[-1].argmax()))
    found = log_likelihoods(model, [(CONTEXT, text[3:]), (CONTEXT, [MASK, 1])])
    assert [each.greedy for each in found] == [True, False]


def test_sizes_are_strata_from_as_many_samples_on():
    drawn = strata(6, 13, torch.Generator().manual_seed(0))
    assert [{len(part) for part in stratum.sets} for stratum in drawn] == [{n} for n in range(1, 7)]
    # 13 samples for 6 sizes are two for each and three for one; of the full set there is only one.
    assert [len(stratum.sets) for stratum in drawn] == [2, 2, 2, 2, 2, 1]
    assert [stratum.whole for stratum in drawn] == [False] * 5 + [True]


def test_a_single_sample_says_nothing_about_its_error():
    drawn = strata(5, 1, torch.Generator().manual_seed(0))
    value, error = estimate(drawn, [-3.0])
    assert value == -3
    assert math.isnan(error)
