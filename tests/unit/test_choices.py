"""Picked choices, and figures over many picks against scikit-learn's."""

from __future__ import annotations

import math
import random

import pytest

from unmask.verify.choices import f1, matthews, picked

WORDS = ("negative", "positive")
ANSWERS = ("no", "yes")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("positive", "positive"),
        (" Positive.\n", "positive"),
        ("The review is negative, though it has positive moments.", "negative"),
        ("**POSITIVE**", "positive"),
        ("positively", None),
        ("not positive", None),
        ("It isn't a positive one", None),
        ("Positive, not negative", "positive"),
        ("positive or negative", None),
        ("positive/negative", None),
        ("both negative and positive", None),
        ("positive and positive again", "positive"),
        ("neither positive nor negative", None),
        ("", None),
        ("good", None),
    ],
)
def test_the_choice_named_first_is_picked_unless_it_is_denied_or_doubled(text, choice):
    assert picked(text, WORDS) == choice


def test_a_no_after_a_yes_is_part_of_the_sentence():
    assert picked("Yes, no doubt.", ANSWERS) == "yes"
    assert picked("yes or no", ANSWERS) is None
    assert picked("I know nothing", ANSWERS) is None


def test_of_choices_that_begin_alike_the_fuller_one_is_seen():
    assert picked("New York City", ("new york", "new york city")) == "new york city"


def test_nothing_is_picked_from_no_choices():
    assert picked("yes", ()) is None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.filterwarnings("ignore")
def test_figures_equal_those_of_scikit_learn(seed, share):
    metrics = pytest.importorskip("sklearn.metrics")
    draw = random.Random(seed)
    truths = [draw.random() < 0.4 for _ in range(50)]
    guesses = [draw.random() < share for _ in range(50)]
    assert f1(truths, guesses) == pytest.approx(metrics.f1_score(truths, guesses))
    assert matthews(truths, guesses) == pytest.approx(metrics.matthews_corrcoef(truths, guesses))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.filterwarnings("ignore")
def test_no_label_is_neither_class_as_in_scikit_learn(share):
    metrics = pytest.importorskip("sklearn.metrics")
    draw = random.Random(share)
    truths = [draw.random() < 0.4 for _ in range(60)]
    guesses = [draw.choice((truth, not truth, truth, None)) for truth in truths]
    guesses = [None if draw.random() < share else guess for guess in guesses]
    names = {True: "yes", False: "no", None: "none"}
    theirs, ours = ([names[one] for one in side] for side in (truths, guesses))
    assert matthews(truths, guesses) == pytest.approx(metrics.matthews_corrcoef(theirs, ours))
    [wanted] = metrics.f1_score(theirs, ours, labels=["yes"], average=None)
    assert f1(truths, guesses) == pytest.approx(wanted)


def test_figures_by_hand_where_labels_are_missing():
    truths = [True, True, False, False]
    assert matthews(truths, [None] * 4) == f1(truths, [None] * 4) == 0.0
    # Of 4, 2 agree; 2 and 2 are true, 1, 1 and 2 are guessed: R_K is 8 - 4 over the root of 8 * 10.
    assert matthews(truths, [True, None, False, None]) == pytest.approx(4 / math.sqrt(80))
    assert f1(truths, [True, None, False, None]) == pytest.approx(2 / 3)  # precision 1, recall 1/2


def test_figures_of_nothing_are_zero():
    assert f1([], []) == matthews([], []) == 0.0
