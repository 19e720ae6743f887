"""Choices ranked by likelihood: what exactly is scored, and what it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from unmask.evaluate import examples as tasks
from unmask.evaluate.likelihood import Effort, log_likelihoods
from unmask.evaluate.questions import ask
from unmask.evaluate.rank import rank
from unmask.evaluate.run import Contestant
from unmask.evaluate.task import Example
from unmask.models.loading import builtin, load
from unmask.text.tokenizer import TextCodec

EXAMPLE = Example("Is this so?", "yes", "yes", choices=("no", "yes"))


def begun(name):
    """A built-in model whose tokenizer puts a begin token before plain text, as LLaDA's does."""
    model = load(name)
    whole = Tokenizer.from_file(str(builtin()[name] / "tokenizer.json"))
    first = whole.id_to_token(0)
    whole.post_processor = TemplateProcessing(
        single=f"{first} $A", pair=None, special_tokens=[(first, 0)]
    )
    return replace(model, codec=TextCodec(whole, {}))


def ranked(model):
    task = tasks.find("glue/cola")
    who = Contestant(model, "a", "0" * 12, "vanilla", "a")
    [found] = rank(who, task, {0: EXAMPLE}, 32)
    return ask(model, task, EXAMPLE, 8), found


@pytest.mark.parametrize("name", ["tiny", "tiny-ar"])
def test_a_choice_has_no_begin_token_of_its_own(name):
    model = begun(name)
    asked, found = ranked(model)
    assert asked.ids[0] == 0
    ids = [model.codec.encode(f" {choice}", plain=False) for choice in EXAMPLE.choices]
    assert not any(0 in one for one in ids)
    likely = log_likelihoods(model, [(asked.ids, one) for one in ids], Effort(32, greedy=False))
    for choice, one in zip(EXAMPLE.choices, likely, strict=True):
        assert found.scores[f"log-likelihood of {choice}"] == pytest.approx(one.value, abs=1e-4)


def test_fed_positions_of_a_causal_model_leave_the_last_token_out():
    model = load("tiny-ar")
    asked, found = ranked(model)
    ids = [model.codec.encode(f" {choice}", plain=False) for choice in EXAMPLE.choices]
    assert found.forwards == len(ids)
    assert found.fed_positions == sum(len(asked.ids) + len(one) - 1 for one in ids)
