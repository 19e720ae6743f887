"""Text tasks: read from files as users have them, asked in each style, scored without fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.errors import InputError
from unmask.evaluate import examples as loading
from unmask.evaluate.task import Example
from unmask.evaluate.tasks import glue, gsm8k, math500, squad, translation

SAMPLES = Path(__file__).parents[1] / "data"
DATA = os.environ.get("UNMASK_DATA")
TASKS = {t.name: t for f in (glue, gsm8k, math500, squad, translation) for t in f.TASKS}
NEEDS = {"math500": "math_verify", **{name: "sacrebleu" for name in TASKS if "translat" in name}}


def task_of(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    return TASKS[name]


def sample(name, at=0):
    return loading.examples(TASKS[name], data=SAMPLES)[at]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_found_and_says_what_it_is(name):
    task = loading.find(name)
    assert task.about
    assert task.licence
    assert task.canvas in (16, 32, 96, 192, 256)


@pytest.mark.parametrize("name", TASKS)
def test_the_reference_of_every_sample_is_right(name):
    task = task_of(name)
    found = loading.examples(task, data=SAMPLES)
    assert len(found) >= 2
    assert all(task.is_right(one, one.answer) for one in found)


@pytest.mark.skipif(DATA is None, reason="UNMASK_DATA names no folder of data sets")
@pytest.mark.parametrize("name", TASKS)
def test_the_reference_of_every_row_at_hand_is_right(name):
    task = task_of(name)
    if not any((Path(DATA) / file).is_file() for file in task.source.local):
        pytest.skip(f"no file of {name} in UNMASK_DATA")
    found = loading.examples(task, data=Path(DATA))
    assert [one.final for one in found if not task.is_right(one, one.answer)] == []


@pytest.mark.parametrize("name", TASKS)
def test_every_style_asks_and_another_is_refused(name):
    task, example = TASKS[name], sample(name)
    for style in ("plain", "chat"):
        question = task.ask(example, style)
        assert example.prompt in question.text
        assert question.chat == (style == "chat")
    assert {task.style(family) for family in ("llada", "dream", "tiny", "llama", "other")} <= {
        "plain",
        "chat",
        "boxed",
    }
    with pytest.raises(InputError, match="style='poem' is not known; choose one of"):
        task.ask(example, "poem")


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=25, deadline=None)
@given(
    st.one_of(
        st.text(max_size=300),
        st.text("0123456789.,-/$%#\\{}() \n", max_size=60),
        st.lists(st.sampled_from(["yes", "no", "not", "or", "the answer is", "\\boxed{", "}", "7"]))
        .map(" ".join),
    )
)  # fmt: skip
def test_any_text_has_scores_from_zero_to_one(name, text):
    task = task_of(name)
    scores = task.score(sample(name), text)
    assert next(iter(scores)) == task.metric  # records tell the metric by its place
    assert all(0.0 <= score <= 1.0 for score in scores.values())


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("text", ["", "x" * 50_000, "7 " * 50_000, "\ud800\x00", "\\boxed{" * 9999])
def test_empty_huge_and_broken_texts_are_wrong(name, text):
    task = task_of(name)
    assert task.score(sample(name), text)[task.metric] < 1.0


# gsm8k


def test_gsm8k_is_asked_as_in_the_published_evaluations():
    task, example = TASKS["gsm8k"], Example("How many?", "", "1")
    plain = task.ask(example, task.style("llada"))
    assert plain.text == "Q: How many?\nA: Let's think step by step."
    assert not plain.chat
    assert plain.stops == ("Q:", "</s>", "<|im_end|>")
    assert task.ask(example, task.style("dream")).chat
    boxed = task.ask(example, "boxed")
    assert boxed.text.startswith("Question: How many?\nAnswer: Please reason step by step")
    assert boxed.text.endswith("\\boxed{}.")
    assert boxed.stops == ("Question:", "</s>", "<|im_end|>")


def test_long_gsm8k_puts_five_worked_examples_of_the_training_file_first():
    task, example = TASKS["gsm8k/long"], sample("gsm8k/long")
    text = task.ask(example, "plain").text
    assert text.startswith("Question: A shelf has 6 rows of 8 plates. How many plates is that?\n")
    assert text.count("Answer:") == 6
    assert text.count("#### ") == 5
    assert text.endswith(f"\n\nQuestion: {example.prompt}\nAnswer:")
    assert task.ask(example, "boxed").text.count("\\boxed") == 1


def test_gsm8k_tells_a_stated_answer_from_a_last_number():
    example = sample("gsm8k", 1)
    assert example.final == "1225"
    assert gsm8k.score(example, "That is $1,225.00") == {"accuracy": 1.0, "strict": 0.0}
    assert gsm8k.score(example, "The answer is 1225. Not 7") == {"accuracy": 1.0, "strict": 1.0}
    assert gsm8k.score(example, "#### 1225.5") == {"accuracy": 0.0, "strict": 0.0}


def test_a_row_without_a_final_number_is_refused(tmp_path):
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "test.jsonl").write_text('{"question": "?", "answer": "7"}\n')
    with pytest.raises(InputError, match="row 1 is no example of gsm8k: its answer does not end"):
        loading.examples(TASKS["gsm8k"], data=tmp_path)


# math500


def test_math500_reads_rows_of_both_kinds():
    first, second = (sample("math500", at) for at in (0, 1))
    assert (first.final, second.final) == (r"\frac{5}{6}", r"\{-3, 3\}")
    with pytest.raises(ValueError, match="boxed"):
        math500.example({"question": "?", "answer": "7"})


def test_math500_accepts_another_form_of_the_answer():
    pytest.importorskip("math_verify")
    example = sample("math500")
    assert math500.score(example, r"Hence \boxed{\dfrac{10}{12}}.") == {"accuracy": 1.0}
    assert math500.score(example, "The answer is $5/6$.") == {"accuracy": 1.0}
    assert math500.score(example, r"\boxed{\frac{6}{5}}") == {"accuracy": 0.0}


# squad


@pytest.mark.parametrize(
    ("text", "references", "exact", "f1"),
    [
        ("The Eiffel-Tower!", ["eiffeltower"], 1.0, 1.0),  # punctuation goes before articles
        ("a cat, an owl; the dog", ["cat owl dog"], 1.0, 1.0),
        ("another theme", ["other me"], 0.0, 0.0),  # articles are whole words
        ("in the year 1887", ["1887"], 0.0, 0.5),  # 1 common, 3 given, 1 wanted: 2 * 1 / 4
        ("red red blue", ["red blue blue"], 0.0, 2 / 3),  # bags: 2 common of 3 and 3
        ("built in 1887", ["1887", "in 1887"], 0.0, 0.8),  # the best: 2 * 2 / 5
        ("the", ["an"], 1.0, 0.0),  # empty bags: equal, but nothing in common
        ("", ["1887"], 0.0, 0.0),
        ("İstanbul’s", ["İstanbul’s"], 1.0, 1.0),  # only ASCII punctuation is removed
        ("50 %", ["50%"], 1.0, 1.0),
    ],
)
def test_squad_scores_as_version_1_1_defines(text, references, exact, f1):
    example = Example("", "", "", facts={"references": references})
    assert squad.score(example, text) == {"exact": exact, "f1": pytest.approx(f1)}


def test_squad_keeps_all_references():
    assert sample("squad").facts["references"] == ("1887", "in 1887")
    with pytest.raises(ValueError, match="no answer"):
        squad.example({"context": "", "question": "", "answers": {"text": []}})


# glue


@pytest.mark.parametrize(
    ("name", "label", "word"),
    [
        ("sst2", 0, "negative"), ("sst2", 1, "positive"), ("cola", 1, "yes"), ("mrpc", 0, "no"),
        ("rte", 0, "yes"), ("rte", "not_entailment", "no"), ("qnli", 1, "no"),
        ("qnli", "entailment", "yes"), ("wnli", "1", "yes"), ("wnli", 0, "no"),
    ],
)  # fmt: skip
def test_a_label_becomes_the_word_that_it_means(name, label, word):
    row = dict.fromkeys(("sentence", "sentence1", "sentence2", "question"), "x")
    example = TASKS[f"glue/{name}"].source.read(row | {"label": label})
    assert example.final == word
    assert word in example.choices


def test_a_hidden_label_is_refused():
    with pytest.raises(ValueError, match="label='-1' is none of 0, 1"):
        TASKS["glue/sst2"].source.read({"sentence": "x", "label": -1})


def test_glue_shows_its_columns_under_headings():
    assert sample("glue/rte").prompt == (
        "Text: Lena won the race in Oslo.\nStatement: Lena took part in a race.\n"
        "Does the statement follow from the text, yes or no?"
    )


def test_an_answer_that_picks_nothing_is_of_neither_class():
    no, yes = (Example("", word, word, choices=("no", "yes")) for word in ("no", "yes"))
    # true: yes, yes, no, no; taken as: yes, -, -, no -> precision 1, recall 1/2; 4 / sqrt(8 * 10)
    answers = [(yes, "yes"), (yes, "maybe"), (no, "maybe"), (no, "no")]
    assert TASKS["glue/mrpc"].overall(answers) == {"f1": pytest.approx(2 / 3)}
    assert TASKS["glue/cola"].overall(answers) == {"matthews": pytest.approx(0.4472136)}
    silent = [(example, "maybe") for example in (yes, no, no)]
    assert TASKS["glue/cola"].overall(silent) == {"matthews": 0.0}
    assert TASKS["glue/mrpc"].overall(silent) == {"f1": 0.0}
    assert TASKS["glue/mrpc"].overall([]) == {"f1": 0.0}


# translation


def test_translation_is_asked_from_one_language_to_the_other():
    task, example = TASKS["translation/de-en"], sample("translation/de-en")
    assert task.ask(example, "plain").text == "German: Ein Hund läuft durch den Schnee.\nEnglish:"
    assert "from German to English" in task.ask(example, "chat").text
    assert sample("translation/en-ko").final == "시장은 어제 새 다리를 열었다."


@pytest.mark.parametrize("name", [name for name in TASKS if "translat" in name])
def test_translations_are_scored_together_from_0_to_100(name):
    task = task_of(name)
    found = loading.examples(task, data=SAMPLES)
    perfect = task.overall([(one, f" {one.answer}\n") for one in found])
    assert perfect == pytest.approx({"bleu": 100.0, "chrf": 100.0})
    assert task.overall([(one, "") for one in found]) == {"bleu": 0.0, "chrf": 0.0}
    assert task.overall([]) == {"bleu": 0.0, "chrf": 0.0}


def test_korean_bleu_counts_characters():
    library = pytest.importorskip("sacrebleu")
    task, text = TASKS["translation/en-ko"], "시장이 어제 새 다리를 열었다."
    one = sample("translation/en-ko")
    wanted = library.corpus_bleu([text], [[one.final]], tokenize="char").score
    assert task.overall([(one, text)])["bleu"] == pytest.approx(wanted)
    assert wanted > library.corpus_bleu([text], [[one.final]], tokenize="13a").score


def test_a_near_translation_has_a_part_of_the_score():
    task_of("translation/de-en")
    scores = translation.score(sample("translation/de-en"), "A dog runs in the snow.")
    assert 0.5 < scores["chrf"] < 1.0
