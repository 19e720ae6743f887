"""Published answers and trajectories become samples; nothing is read twice or off by ten."""

import json

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from unmask import InputError, load, rows
from unmask.distill.imports import Import, Refused, imported
from unmask.distill.intake import Shards
from unmask.distill.shards import read
from unmask.verify.boxes import last_box
from unmask.verify.checks import boxed, exact, number

HOW = Import(canvas=24, templated=False, shard_size=2)


@pytest.fixture(scope="module")
def tiny():
    return load("tiny")


def taken(model, entries, folder, how=HOW):
    refused = Refused()
    samples = list(imported(model, entries, Shards(folder, {"x": 1}), how, refused))
    return samples, refused


def test_questions_and_answers(tiny, tmp_path):
    entries = [
        {"question": "Who?", "llm_response": r"So \boxed{1,200}.", "gt_answer": "1200"},
        {"question": "Who?", "llm_response": r"So \boxed{7}.", "gt_answer": r"\boxed{8}"},
        {"question": "Who?", "llm_response": "So it is.", "gt_answer": ""},
        {"prompt": "Who?", "answer": "x " * 100},
        {"prompt": "Who?", "answer": "Mia"},
    ]
    samples, refused = taken(tiny, entries, tmp_path)
    assert [sample.index for sample in samples] == [0, 1, 2, 4]
    assert [sample.correct for sample in samples] == [1, 0, -1, -1]
    assert refused.long == 1
    last = samples[-1]
    assert tiny.codec.decode(last.tokens_L.tolist(), keep_special=True).startswith(
        "<|user|>Who?<|answer|>Mia<|end|>"
    )
    assert len(last.tokens_L) == last.prompt_length + 24
    assert last.born_L[last.prompt_length :].tolist() == list(range(1, 25))
    assert taken(tiny, entries, tmp_path)[0] == [], "a second time there is nothing to do"


@pytest.mark.parametrize(
    ("key", "correct"),
    [
        (1200, 1), (1200.0, 1), (1200.5, 0), (1201, 0), (-1200, 0), ("1200", 1), ("7", 0),
        (None, -1), ("", -1), (" ", -1), (float("nan"), -1),
    ],
)  # fmt: skip
def test_a_key_is_text_or_a_number(tiny, tmp_path, key, correct):
    entry = {"question": "Who?", "llm_response": r"So \boxed{1,200}.", "gt_answer": key}
    [sample], _ = taken(tiny, [entry], tmp_path)
    assert sample.correct == correct


def test_is_correct_counts_in_every_layout(tiny, tmp_path):
    mask, end = tiny.card.mask_id, tiny.card.end_ids[0]
    states = {"prompt_ids": [5], "trajectory": states_of([5], [50, end], [1, 2], mask)}
    words = {"prompt": "Who?", "answer": "Mia"}
    said = [True, False, 1, 0, 1.0, None, float("nan")]
    for layout in (states, words):
        entries = [layout | {"is_correct": one} for one in said]
        samples, _ = taken(tiny, entries, tmp_path / str("answer" in layout))
        assert [one.correct for one in samples] == [1, 0, 1, 0, 1, -1, -1]


def test_rows_of_both_layouts_and_numbers_for_answers(tiny, tmp_path):
    """As a table has them, with every column in every row."""
    columns = ("prompt", "answer", "question", "llm_response", "gt_answer", "trajectory")
    entries = [
        {"prompt": "Who?", "answer": 12}, {"prompt": "Who?", "answer": 12.0},
        {"question": "Who?", "llm_response": 12, "gt_answer": 12},
        {"prompt": "Who?", "answer": "12"}, {"prompt": "Who?", "answer": 0.5},
    ]  # fmt: skip
    samples, _ = taken(tiny, [dict.fromkeys(columns) | one for one in entries], tmp_path)
    texts = [one.tokens_L[one.prompt_length :][: one.counted].tolist() for one in samples]
    assert [tiny.codec.decode(one) for one in texts] == ["12", "12", "12", "12", "0.5"]
    assert [one.correct for one in samples] == [-1, -1, 0, -1, -1], "a key wants a box"


def test_the_mask_token_is_nothing_to_learn(tiny, tmp_path):
    mask = tiny.codec.decode([tiny.card.mask_id], keep_special=True)
    end = tiny.codec.decode([tiny.card.end_ids[0]], keep_special=True)
    answers = ["Mia", f"Mia {mask} Tom", mask, f"Mia{end}{mask}", f"Mia{end} and more"]
    entries = [{"prompt": f"Say {mask}", "answer": one} for one in answers]
    samples, refused = taken(tiny, entries, tmp_path)
    assert [one.index for one in samples] == [0, 3, 4]
    assert (refused.masked, refused.long) == (2, 0)
    for one in samples:  # what stands behind the end is no part of the answer
        assert one.tokens_L.tolist() == samples[0].tokens_L.tolist()
        assert one.counted == samples[0].counted


def test_fields_of_other_names(tiny, tmp_path):
    how = Import(24, templated=False, prompt="problem", answer="solution")
    entry = {"problem": "Who?", "solution": "Mia", "prompt": "x", "answer": "y"}
    [named], _ = taken(tiny, [entry], tmp_path / "a", how)
    [plain], _ = taken(tiny, [{"prompt": "Who?", "answer": "Mia"}], tmp_path / "b")
    assert named.tokens_L.tolist() == plain.tokens_L.tolist()
    with pytest.raises(InputError, match=r"row 1: it needs problem and solution$"):
        taken(tiny, [{"prompt": "Who?", "answer": "Mia"}], tmp_path / "c", how)


def test_templated_or_not_is_said_by_the_user(tiny, tmp_path):
    entry = {"prompt": "<|user|>Who?<|answer|>", "answer": "Mia"}
    once, _ = taken(tiny, [entry], tmp_path / "a", Import(24, templated=True))
    twice, _ = taken(tiny, [entry], tmp_path / "b")
    plain, _ = taken(tiny, [{"prompt": "Who?", "answer": "Mia"}], tmp_path / "c")
    assert once[0].tokens_L.tolist() == plain[0].tokens_L.tolist() != twice[0].tokens_L.tolist()


def states_of(prompt, tokens, order, mask):
    steps = range(1, max(order) + 1)
    return [
        prompt + [t if o <= s else mask for t, o in zip(tokens, order, strict=True)] for s in steps
    ]


def test_all_states_become_births(tiny, tmp_path):
    mask, end = tiny.card.mask_id, tiny.card.end_ids[0]
    tokens, order = [50, 60, end, end], [2, 1, 3, 4]
    entry = {"prompt_ids": [5, 6], "trajectory": states_of([5, 6], tokens, order, mask),
             "is_correct": True, "idx": 3}  # fmt: skip
    [sample], _ = taken(tiny, [entry], tmp_path)
    assert sample.tokens_L.tolist() == [5, 6, *tokens]
    assert sample.born_L.tolist() == [0, 0, *order]
    assert (sample.forwards, sample.counted, sample.correct) == (4, 3, 1)
    for step, state in enumerate(entry["trajectory"]):  # state j has j + 1 tokens
        rebuilt = np.where(sample.born_L > step + 1, mask, sample.tokens_L)
        assert rebuilt.tolist() == state
    assert [one.born_L.dtype for one in read(tmp_path)] == [np.uint16]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"text": "x"}, "row 1: it needs prompt and answer"),
        ({"prompt": 3, "answer": "x"}, "row 1: it needs prompt and answer"),
        ({"prompt": "x", "answer": None}, "row 1: it needs prompt and answer"),
        ({"prompt": "x", "answer": ["y"]}, r"row 1: .*; \['y'\] is no text"),
        ({"prompt": "x", "answer": True}, "row 1: .*; True is no text"),
        ({"prompt": "x", "answer": "y", "gt_answer": [1]}, r"row 1: gt_answer=\[1\] is neither"),
        ({"prompt": "x", "answer": "y", "gt_answer": True}, "row 1: gt_answer=True is neither"),
        ({"prompt": "x", "answer": "y", "is_correct": "False"}, "row 1: is_correct='False' is not"),
        ({"prompt": "x", "answer": "y", "is_correct": 0.5}, "row 1: is_correct=0.5 is not"),
        ({"prompt_ids": [5], "trajectory": [[5, 1]]}, "does not end without masks"),
        ({"prompt_ids": [5], "trajectory": [[5, 9], [5, 1], [5, 9]]}, "masks a token again"),
        ({"prompt_ids": [5], "trajectory": [5, 9]}, "one list of ids per forward"),
        ({"prompt_ids": [5], "trajectory": [[5, 9], [5]]}, "row 1"),
    ],
)
def test_rows_that_cannot_be_are_named(tiny, tmp_path, entry, message):
    with pytest.raises(InputError, match=message):
        taken(tiny, [entry], tmp_path)


def test_files_of_rows(tmp_path):
    entries = [{"prompt": "a", "answer": "b"}, {"prompt": "c", "answer": "d"}]
    lines, table = tmp_path / "x.jsonl", tmp_path / "x.parquet"
    lines.write_text("\n".join(map(json.dumps, entries)) + "\n\n")
    parquet.write_table(pyarrow.Table.from_pylist(entries), table)
    assert list(rows.read(lines)) == list(rows.read(table)) == entries


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b'{"x": 1}\n{"x":', "line 2: no valid JSON"),
        ("a.jsonl", b"[1]", "line 1 is no JSON object"),
        ("a.jsonl", b"\xff\xfe\xfa", "cannot be read"),
        ("a.parquet", b"PAR1 no", "cannot be read"),
    ],
)
def test_broken_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(rows.read(tmp_path / name))
    with pytest.raises(InputError, match="cannot be read"):
        list(rows.read(tmp_path / "missing.jsonl"))


def test_checkers():
    assert last_box(r"\boxed{1} and \boxed{\frac{1}{2}}") == r"\frac{1}{2}"
    assert last_box(r"\boxed{never closed") is None
    assert boxed(r"thus \boxed{1,000 X}", "1000x")
    assert not boxed("1000", "1000"), "the answer has to be in a box"
    assert number("She has 3 * 4 = 12 of them. The answer is 12.", "3 times 4\n#### 12")
    assert not number("The answer is 13.", "#### 12")
    assert not number("nothing", "nothing")
    assert exact(" a b ", "a b")
    assert not exact("a b", "ab")
