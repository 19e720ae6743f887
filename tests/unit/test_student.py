"""The student that ships: faster than its teacher, and still right."""

import itertools

import pytest

from unmask import generate, load
from unmask.decode import policy
from unmask.decode.window import HORIZON
from unmask.evaluate.tasks import stories, sudoku


def figures(name, task, count, **overrides):
    examples = list(itertools.islice(task.examples("test"), count))
    results = generate(
        load(name), [one.prompt for one in examples], "d3llm", max_new_tokens=task.CANVAS,
        **overrides,
    )  # fmt: skip
    pairs = zip(examples, results, strict=True)
    right = sum(task.score(example, result.text) for example, result in pairs)
    return right / count, sum(result.forwards for result in results) / count


def test_pipelined_decoding_is_the_default_of_the_student_alone():
    question = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"
    for name, schedule in (("tiny-fast", "pipelined"), ("tiny", "blocks")):
        [result] = generate(load(name), [question])
        assert result.trajectory.policy.startswith(schedule)
        assert result.text.endswith("The answer is 19.")


@pytest.mark.slow
def test_the_student_needs_two_thirds_of_the_forwards():
    student, teacher = (figures(name, stories, 60) for name in ("tiny-fast", "tiny"))
    assert student[0] >= 0.95
    assert student[1] <= 0.66 * teacher[1]


@pytest.mark.slow
def test_it_did_not_forget_sudoku():
    right, forwards = figures("tiny-fast", sudoku, 60, block_length=16)
    assert right >= 0.85
    assert forwards < 4


def test_it_sees_no_masks_ahead_unless_a_reference_is_asked_for():
    card, defaults = (model := load("tiny-fast", "cpu")).card, model.defaults
    assert policy.make(card, "d3llm", {}, defaults).settings[HORIZON] == 0
    assert policy.make(card, "d3llm", {"horizon": 3}, defaults).settings[HORIZON] == 3
    assert policy.make(card, "d3llm", {"compat": "reference"}, defaults).settings[HORIZON] is None
    assert policy.make(card, "fast-dllm", {}, defaults).settings[HORIZON] is None


def test_a_canvas_much_longer_than_the_text_costs_nothing():
    """And the answers stay right, for the student never sees them."""
    model, examples = load("tiny-fast", "cpu"), list(itertools.islice(stories.examples("test"), 24))
    short, long = (
        generate(model, [one.prompt for one in examples], "d3llm", max_new_tokens=length)
        for length in (128, 512)
    )
    assert [one.text for one in short] == [one.text for one in long]
    assert [one.fed_positions for one in short] == [one.fed_positions for one in long]
    pairs = zip(examples, long, strict=True)
    assert sum(stories.score(example, result.text) for example, result in pairs) >= 22
