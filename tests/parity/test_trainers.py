"""Losses, masks and curricula against the trainers of dParallel and d3LLM."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from checkpoints import GOLDEN
from unmask.distill import loss
from unmask.distill.curriculum import ratio_floor, width_at
from unmask.distill.draws import Stage
from unmask.distill.objectives import certainty, cross_entropy
from unmask.distill.states import block, window
from unmask.distill.texts import Text

CASES = json.loads((GOLDEN / "training.json").read_text())
MASK = 126
ROUNDING = 1e-6
"""Of both sides: float32 rounds 1 + x to 6e-8 however small x is, and a loss adds up to six such
logarithms. Where every prediction is right, the loss itself is no larger than 8e-5."""
RESULTS = [(case, result) for case in CASES["training_loss_cases"] for result in case["results"]]


@pytest.fixture(scope="module")
def tensors():
    return load_file(GOLDEN / "training.safetensors")


@pytest.mark.parametrize(
    ("case", "result"), RESULTS, ids=[f"{case['id']}/{one['variant']}" for case, one in RESULTS]
)
def test_the_loss_and_its_gradient(case, result, tensors):
    shift = result["logits_shifted_left_by"]
    named = {name: torch.from_numpy(tensors[key]) for name, key in case["tensors"].items()}
    raw = [named[name].clone().requires_grad_() for name in ("logits", "logits_complement")]
    parts = []
    for view, (logits, name) in enumerate(zip(raw, ("masked", "masked_complement"), strict=True)):
        hidden = named[name].bool()[:, shift:]
        labels = named["labels"].long()[:, shift:][hidden]
        parts.append((logits[:, : logits.shape[1] - shift][hidden], labels, view))
    asked = loss.Asked(
        torch.cat([logits for logits, _, _ in parts]),
        torch.cat([labels for _, labels, _ in parts]),
        torch.cat([torch.full_like(labels, view) for _, labels, view in parts]),
        torch.ones(sum(len(labels) for _, labels, _ in parts)),
    )
    objectives = {
        "cross_entropy": (1.0, cross_entropy.make(1.0)),
        "certainty": (result["certainty_weight"], certainty.make(case["temperature"])),
    }
    both = result["certainty_entropy_complement"] is not None
    how = loss.Reference(result["total_divisor"], both)
    total, means = loss.reference_total(asked, objectives, how)
    assert total.item() == pytest.approx(result["total"], rel=1e-5, abs=ROUNDING)
    sums = {
        "cross_entropy": result["cross_entropy"] + result["cross_entropy_complement"],
        "certainty": result["certainty_entropy"] + (result["certainty_entropy_complement"] or 0),
    }
    assert {name: mean.item() for name, mean in means.items()} == pytest.approx(
        sums, rel=1e-5, abs=ROUNDING
    )
    total.backward()
    for logits, name in zip(raw, ("logits", "logits_complement"), strict=True):
        norm = result[f"gradient_norm_{name}"]
        assert logits.grad.norm().item() == pytest.approx(norm, rel=1e-4, abs=ROUNDING)
    if "gradient_tensor" in result:
        expected = torch.from_numpy(tensors[result["gradient_tensor"]])
        assert torch.allclose(raw[0].grad, expected, rtol=1e-4, atol=ROUNDING)


def noised(ids, masked, blank):
    return np.where(masked | blank, MASK, ids)


@pytest.mark.parametrize("case", CASES["trajectory_masking_cases"], ids=lambda case: case["id"])
def test_the_masks_of_d3llm(case, tensors):
    named = {name: tensors[key] for name, key in case["tensors"].items()}
    length = case["sequence_length"]
    for row, prompt in enumerate(case["prompt_lengths"]):
        full = case["full_lengths"][row] if case["full_lengths"] else length
        ids = named["ids"][row].astype(np.int64)
        order = named["decoding_order"][row].astype(np.int64)
        text = Text(0, ids, prompt, full, order)  # Dream's trainer counts the padding as text
        number = case["window_index_drawn"][row]
        start, stop = window.reference_window(text, case["window_size"], number)
        assert (start, stop) == (case["window_start"][row], case["window_end"][row])
        draw = window.reference_at(text, order, (start, stop), case["mask_ratio"])
        assert (draw.hidden_L == named["masked"][row].astype(bool)).all()
        assert (draw.rest_L == named["masked_complement"][row].astype(bool)).all()
        first = noised(ids, draw.hidden_L, draw.blank_L)
        second = noised(ids, draw.rest_L, draw.blank_L)
        assert (first == named["noisy_ids"][row]).all()
        assert (second == named["noisy_ids_complement"][row]).all()


@pytest.mark.parametrize("case", CASES["semi_ar_masking_cases"], ids=lambda case: case["id"])
def test_the_masks_of_dparallel(case, tensors):
    named = {name: tensors[key].reshape(-1) for name, key in case["tensors"].items()}
    ids = named["ids"].astype(np.int64)
    length, prompt = case["sequence_length"], case["prompt_length"]
    text = Text(0, ids, prompt, length, np.zeros(length, np.int64))
    noise = np.ones(length)
    place = slice(case["window_start"], case["window_end"])
    noise[place] = named["uniform_draws"][: case["window_end"] - case["window_start"]]
    stage = Stage((case["mask_probability"] - 1e-3) / (1 - 1e-3), case["window_size"])
    draw = block.reference_at(text, stage, case["window_index_drawn"], noise)
    assert (draw.hidden_L == named["masked"].astype(bool)).all()
    assert (draw.rest_L == named["masked_complement"].astype(bool)).all()
    assert (noised(ids, draw.hidden_L, draw.blank_L) == named["noisy_ids"]).all()
    assert (noised(ids, draw.rest_L, draw.blank_L) == named["noisy_ids_complement"]).all()


def test_the_widths_of_d3llm():
    for schedule in CASES["curriculum"]["window_schedules"]:
        for epoch, width in schedule["epoch_and_window"]:
            assert width_at(schedule["window_sizes"], epoch) == width, epoch


def test_the_ratios_of_d3llm():
    for case in CASES["curriculum"]["mask_ratio_lower_bounds"]:
        low, high, steps = case["minimum"], case["maximum"], case["total_optimizer_steps"]
        for step, bound in case["step_and_lower_bound"]:
            assert ratio_floor(low, high, step / steps) == pytest.approx(bound, abs=1e-9)
