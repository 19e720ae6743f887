"""What a harvest asks: files of whatever columns, compared with whatever is right."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict

import pyarrow
import pytest
from pyarrow import parquet

from unmask import InputError, generate
from unmask.cli import prompt_file
from unmask.cli.main import main
from unmask.cli.questions import questions
from unmask.cli.training import quick_decode
from unmask.distill import doctor
from unmask.distill import recipe as recipes
from unmask.distill.session import Wish, begin
from unmask.distill.shards import read
from unmask.evaluate import examples as tasks

ROWS = [
    {"problem": "Write double.", "tests": ["assert double(2) == 4", "assert double(0) == 0"]},
    {"problem": "Write half.", "tests": ["assert half(2) == 1"]},
]
DOUBLE = "```python\ndef double(x):\n    return 2 * x\n```"


def asked(path, **changed):
    given = {
        "task": None, "prompts": path, "count": None, "check": None, "attempts": 1,
        "prompt_field": None, "answer_field": None,
    } | changed  # fmt: skip
    return questions(argparse.Namespace(**given))


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    return path


def test_columns_are_chosen_and_programs_run_in_the_sandbox(table):
    how = {"prompt_field": "problem", "answer_field": "tests", "check": "programs"}
    prompts, check, _ = asked(table, **how)
    assert prompts == ["Write double.", "Write half."]
    assert check(0, DOUBLE)
    assert not check(0, DOUBLE.replace("2 *", "3 *"))
    assert not check(1, DOUBLE)
    assert not check(1, "import os\nos._exit(0)")


def test_lines_too(tmp_path):
    path = tmp_path / "x.jsonl"
    rows = [{"question": "3 + 4?", "gold": 7, "prompt": "not me"}, {"question": "1?", "gold": 1}]
    path.write_text("\n".join(map(json.dumps, rows)))
    fields = {"prompt_field": "question", "answer_field": "gold"}
    prompts, check, _ = asked(path, check="number", **fields)
    assert prompts == ["3 + 4?", "1?"]
    assert check(0, "The answer is 7.")
    assert not check(1, "The answer is 7.")


@pytest.mark.parametrize(
    ("check", "golds", "message"),
    [
        ("number", ["7", "blue", 3, "red"], "2 of 4 hold no number (the first: row 2, 'blue')"),
        ("programs", ["assert f(", "assert 1"], "1 of 2 are no Python (the first: row 1, "),
        ("programs", [["assert 1"], "print(1)"], "1 of 2 assert nothing (the first: row 2, "),
        ("number", ["7", None], "row 2: --check needs a field answer with the text"),
        ("exact", ["7", " "], "row 2: --check needs a field answer with the text"),
        ("boxed", [7.5, float("nan")], "row 2: --check needs a field answer with the text"),
        ("boxed", [True], "row 1: --check needs a field answer with the text"),
    ],
)
def test_what_no_answer_can_be_compared_with_is_told_before_anything_is_asked(
    tmp_path, check, golds, message
):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": "x", "answer": one}) for one in golds))
    with pytest.raises(InputError, match=re.escape(message)):
        asked(path, check=check)


def test_a_whole_number_of_a_column_with_gaps_has_no_point(tmp_path):
    """And rows behind --count are nobody's business."""
    path = tmp_path / "x.jsonl"
    rows = [{"prompt": "x", "answer": one} for one in (7.0, 7, 7.5, "blue")]
    path.write_text("\n".join(map(json.dumps, rows)))
    for check, text in (("boxed", r"\boxed{%s}"), ("exact", "%s"), ("number", "%s")):
        prompts, right, _ = asked(path, check=check, count=3)
        assert len(prompts) == 3
        assert [right(at, text % "7") for at in range(3)] == [True, True, False]
        assert right(2, text % "7.5")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prompt_field": "nothing"}, r"x.parquet, row 1: there is no field nothing"),
        ({"prompt_field": "tests"}, r"row 1: tests has the wrong type"),
        ({}, "give exactly one of prompt, messages, token_ids"),
        ({"prompt_field": "problem", "answer_field": "tests"}, "give --check as well"),
        (
            {"prompt_field": "problem", "check": "exact"},
            "row 1: --check needs a field answer with the text",
        ),
        ({"prompt_field": "problem", "attempts": 2}, "--attempts needs answers"),
        ({"prompts": None, "task": "stories", "prompt_field": "x"}, "a --task has its own"),
    ],
)
def test_what_does_not_go_together_is_named(table, changed, message):
    with pytest.raises(InputError, match=message):
        asked(changed.pop("prompts", table), **changed)


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """A harvest of our own questions, the third with a false answer and one too long."""
    folder = tmp_path_factory.mktemp("stories")
    task = tasks.find("stories")
    examples = tasks.examples(task, 23, split="train")
    rows = [{"q": one.prompt, "gold": str(one.answer)} for one in examples]
    rows[2]["gold"] = "12345"
    rows.append({"q": "Mia has 12 apples. " * 200, "gold": "1"})
    (folder / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def harvest(stories, *more):
    return main(
        [
            "harvest", "--prompts", str(stories / "x.jsonl"), "--prompt-field", "q",
            "--answer-field", "gold", "--check", "number", "--model", "tiny-fast",
            "--max-new-tokens", "128", "--out", str(stories / "out"), "--json", *more,
        ]
    )  # fmt: skip


@pytest.mark.slow
def test_a_harvest_of_a_file_and_its_figures(stories, capsys):
    for _ in range(2):  # the second time there is nothing to do
        assert harvest(stories) == 0
        out, told = capsys.readouterr()
        found = json.loads(out)
        samples = list(read(stories / "out"))
        assert sorted(sample.index for sample in samples) == list(range(23))
        lengths = sorted(sample.counted for sample in samples)
        assert found["samples"] == 23
        assert found["lengths"] == [lengths[0], lengths[11], lengths[-1]]
        assert found["correct"] == found["kept"] >= 20
        assert next(one for one in samples if one.index == 2).correct == 0
        forwards = sum(sample.forwards for sample in samples)
        assert found["tokens_per_forward"] == pytest.approx(sum(lengths) / forwards, abs=1e-3)
        assert "1 left out, the first: prompt 24: " in " ".join(told.split())


@pytest.mark.slow
def test_a_look_decodes_the_prompts_that_are_held_out(stories, tmp_path):
    """Its figures are those of `generate`, and right is word for word the teacher's."""
    assert harvest(stories) == 0
    recipe = recipes.read("student-tiny", {"batch": "8"})
    session = begin(Wish(recipe, "tiny-fast", (stories / "out",), tmp_path / "run", look=1))
    held = session.held
    assert len(held) == 2
    assert not {one.index for one in held} & {one.index for one in session.texts}
    found = quick_decode(session)()
    prompts = [one.ids_L[: one.prompt_length].tolist() for one in held]
    room = min(len(one) - one.prompt_length for one in held)
    results = generate(session.student, prompts, "d3llm", max_new_tokens=room)
    assert found["decode_forwards"] == sum(one.forwards for one in results) / 2
    theirs = [one.ids_L[one.prompt_length : one.end].tolist() for one in held]
    same = [
        result.token_ids[: len(text)] == text for result, text in zip(results, theirs, strict=True)
    ]
    assert found["decode_right"] == sum(same) / 2 > 0
    assert asdict(session.sorting)["wrong"] >= 1


@pytest.mark.slow
def test_the_doctor_weighs_memory(stories, tmp_path, monkeypatch):
    """A teacher's weights and Adam's moments come on top of what a micro-batch showed."""
    assert harvest(stories) == 0
    found = {}
    for name, changes in (
        ("alone", {}),
        ("taught", {"objectives": "{divergence=1.0, cross_entropy=1.0}"}),
    ):
        recipe = recipes.read("student-tiny", {"batch": "8"} | changes)
        wish = Wish(recipe, "tiny-fast", (stories / "out",), tmp_path / name, micro=2)
        session = begin(wish)
        monkeypatch.setattr(doctor, "_peak_and_room", lambda _: (2**30, 2 * 2**30))
        rows = {one.what: one for one in doctor.examine(session)}
        assert not rows["at its peak"].trouble
        found[name] = float(rows["at its peak"].value.partition(" of ")[0])
        monkeypatch.setattr(doctor, "_peak_and_room", lambda _: (2**31, 2**30))
        rows = {one.what: one for one in doctor.examine(session)}
        assert "lower --micro-batch" in rows["at its peak"].trouble
    weights = session.trainable * 4 / 2**30
    assert found["alone"] == pytest.approx(1 + 2 * weights, abs=0.006)
    assert found["taught"] == pytest.approx(1 + 3 * weights, abs=0.006)
    monkeypatch.undo()
    peak, room = doctor._peak_and_room(session.student.denoiser.device)
    assert peak > session.trainable * 4
    assert room > 2**20


def test_the_bar_remembers_more_than_half_a_minute():
    """Answers of a batch may come minutes apart; rich forgets after 30 s unless told."""
    clock = [0.0]
    progress = prompt_file.progress_bar(disable=True)
    progress.get_time = lambda: clock[0]
    bar = progress.add_task("answers", total=10)
    for _ in range(3):
        clock[0] += 100
        progress.advance(bar)
    assert progress.tasks[0].time_remaining == 700
