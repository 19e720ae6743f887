"""Records: what they count, that they repeat, and that a run goes on where it stopped."""

import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import records
from unmask import InputError
from unmask.evaluate import examples as tasks
from unmask.evaluate.journal import opened
from unmask.evaluate.provenance import commit, fingerprint
from unmask.evaluate.questions import ask, cut, tokens_to_stop
from unmask.evaluate.record import NAMES, key_of, of_row, read
from unmask.evaluate.run import Contestant, run
from unmask.evaluate.sweep import combinations
from unmask.evaluate.task import Question
from unmask.models.loading import find_folder, load

TIMES = ("latency", "seconds")


@pytest.fixture(scope="module")
def model():
    return load("tiny-fast")


@pytest.fixture(scope="module")
def stories():
    return tasks.find("stories")


def contestant(model, **given):
    return Contestant(model, "tiny-fast", "0" * 12, "d3llm", "tiny-fast d3llm", **given)


def answers(who, task, count):
    examples = dict(enumerate(tasks.examples(task, count)))
    return sorted(run(who, task, examples), key=lambda record: record.index)


def timeless(record):
    return {name: value for name, value in asdict(record).items() if name not in TIMES}


def test_the_same_run_gives_the_same_records(model, stories):
    first, second = (answers(contestant(model), stories, 6) for _ in range(2))
    assert [timeless(one) for one in first] == [timeless(one) for one in second]
    assert [one.index for one in first] == list(range(6))


def test_answers_do_not_hang_on_the_batch(model, stories):
    alone = answers(contestant(model), stories, 6)
    together = answers(contestant(model, batch_size=4), stories, 6)
    assert [one.text for one in alone] == [one.text for one in together]
    assert [one.forwards for one in alone] == [one.forwards for one in together]


def test_counts_of_a_record(model, stories):
    for record in answers(contestant(model), stories, 6):
        assert record.forwards == record.refresh_forwards + record.cached_forwards
        assert record.refresh_forwards == 1  # the sliding cache feeds everything once
        assert record.tokens == len(model.codec.encode(record.text, plain=True)) + 1
        assert record.prompt_tokens < record.fed_positions
        assert record.right == record.scores["accuracy"]
        assert 0 < record.seconds <= record.latency
        assert record.settings["max_new_tokens"] == stories.canvas
        assert record.versions.keys() == {"unmask", "torch", "python"}
        assert set(asdict(record)) == set(NAMES)


def test_seconds_of_a_batch_are_shared(model, stories):
    records = answers(contestant(model, batch_size=6), stories, 6)
    assert sum(one.seconds for one in records) < sum(one.latency for one in records)
    assert max(one.latency for one in records) <= sum(one.seconds for one in records) + 1e-4


def test_a_cache_that_is_none_never_reads(model, stories):
    [record] = answers(contestant(model, overrides={"cache": "none"}), stories, 1)
    assert record.cached_forwards == 0
    assert record.refresh_forwards == record.forwards


def test_a_stop_string_ends_text_and_count(model, stories):
    stopped = replace(
        stories, ask=lambda example, style: Question(example.prompt, stops=("In the end",))
    )
    whole, short = (answers(contestant(model), task, 1)[0] for task in (stories, stopped))
    assert short.text == whole.text[: whole.text.index("In the end")]
    ids = model.codec.encode(whole.text, plain=True)[: short.tokens]
    assert "In the end" in model.codec.decode(ids)
    assert "In the end" not in model.codec.decode(ids[:-1])
    assert short.forwards == whole.forwards  # what was spent was spent


def test_cut():
    assert cut("a Q: b </s> c", ("</s>", "Q:")) == "a "
    assert cut("abc", ("x", "")) == "abc"


def test_tokens_to_stop(model):
    ids = model.codec.encode("one two three four", plain=True)
    assert tokens_to_stop(model.codec, ids, ("never",)) is None
    assert tokens_to_stop(model.codec, ids, ("four",)) == len(ids)


def test_a_temperature_gets_a_seed(model, stories):
    who = contestant(model, overrides={"temperature": 0.5})
    first, second = (answers(who, stories, 2) for _ in range(2))
    assert [one.text for one in first] == [one.text for one in second]
    assert first[0].settings["seed"] == 0


def test_a_strategy_that_draws_gets_a_seed(model, stories):
    who = contestant(model, overrides={"strategy": "random_order"})
    who = replace(who, preset="vanilla")
    assert who.settings(stories)["seed"] == 0
    assert replace(who, overrides={**who.overrides, "seed": 3}).settings(stories)["seed"] == 3
    assert "seed" not in contestant(model).settings(stories)


def test_a_canvas_as_long_as_the_model_leaves_no_room(model, stories):
    [example] = tasks.examples(stories, 1)
    with pytest.raises(InputError, match=r"max_new_tokens=1024 leaves no room.*at most 1023"):
        ask(model, stories, example, 1024)


def test_long_prompts_are_cut_at_the_left(model, stories):
    words = " ".join(["apples"] * 3000)
    long = replace(stories, ask=lambda example, style: Question(words, chat=False))
    [example] = tasks.examples(stories, 1)
    asked = ask(model, long, example, canvas=96)
    assert len(asked.ids) == model.card.max_length - 96
    assert asked.left_out > 0


def test_a_prefix_stands_behind_the_template(model, stories):
    task = replace(stories, ask=lambda example, style: Question("Hello", prefix="We solve"))
    [example] = tasks.examples(stories, 1)
    text = model.codec.decode(ask(model, task, example, 96).ids, keep_special=True)
    assert text.endswith("We solve")
    assert "Hello" in text


@pytest.mark.parametrize("place", [10, 9 * 2**20, 18 * 2**20 - 1])
def test_a_fingerprint_sees_a_matrix_anywhere_in_a_large_file(place, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(18 * 2**20)
    before = fingerprint(tmp_path)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"1" * 2**18)
        file.truncate(18 * 2**20)
    assert fingerprint(tmp_path) != before


@pytest.mark.parametrize(
    "name", ["generation_config.json", "special_tokens_map.json", "added_tokens.json"]
)
def test_a_fingerprint_sees_what_changes_ids_or_ends(name, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    found = {fingerprint(tmp_path)}
    for end in ("1", "2"):
        (tmp_path / name).write_text(f'{{"eos_token_id": {end}}}')
        found.add(fingerprint(tmp_path))
    assert len(found) == 3


def test_the_fingerprint_of_a_built_in_model_stands_in_committed_records():
    assert fingerprint(find_folder("tiny-fast")) == "dabc0a1eecce"


def test_a_commit_says_whether_any_of_the_package_was_changed(tmp_path):
    package = tmp_path / "package"
    (package / "decode").mkdir(parents=True)
    for name in ("__init__.py", "decode/loop.py"):
        (package / name).write_text("")
    assert commit(package) is None
    commit.cache_clear()
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "all")):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)
    clean = commit(package)
    commit.cache_clear()
    (package / "decode" / "loop.py").write_text("1")
    assert commit(package) == f"{clean}+"
    commit.cache_clear()


def test_a_journal_goes_on(model, stories, tmp_path):
    path = tmp_path / "deep" / "records.jsonl"
    records = answers(contestant(model), stories, 4)
    with opened(path) as journal:
        for record in records[:3]:
            journal.write(record)
    with path.open("a") as file:
        file.write(records[3].line()[:100])  # killed while it wrote
    with opened(path) as journal:
        assert [one.index for one in journal.records] == [0, 1, 2]
        numbered = (1, tasks.examples(stories, 2)[1])
        asked = contestant(model).identity(stories, numbered, "generate", records[1].settings)
        assert key_of(asked) == journal.records[1].key
        journal.write(records[3])
    assert list(read(path)) == records


def test_a_journal_has_one_writer(tmp_path):
    path = tmp_path / "a"
    with opened(path), pytest.raises(InputError, match="another run"), opened(path):
        pass


@pytest.mark.parametrize("text", ["no json\n", "[1]\n", '{"task": 1}\n', "half a line"])
def test_a_journal_of_something_else_is_kept(text, tmp_path):
    path = tmp_path / "a"
    path.write_text(text)
    with pytest.raises(InputError), opened(path):
        pass
    assert path.read_text() == text


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.parquet"])
def test_a_journal_that_nobody_could_read_is_refused(name, tmp_path):
    with pytest.raises(InputError, match=r"end it in \.jsonl"), opened(tmp_path / name):
        pass
    assert not (tmp_path / name).exists()


def test_a_record_with_a_field_too_many():
    with pytest.raises(InputError, match="'colour' is missing or unknown"):
        of_row({**dict.fromkeys(NAMES), "colour": 1}, "a, line 1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("right", None),
        ("settings", 5),
        ("swept", []),
        ("index", "1"),
        ("commit", 1),
        ("tokens", {}),
    ],
)
def test_a_record_with_a_field_of_another_kind(field, value):
    row = asdict(records.PLAIN)
    assert of_row({**row, "right": 1}, "a, line 1") == records.record(right=1)
    with pytest.raises(InputError, match=f"a, line 1 is no record.*{field}="):
        of_row({**row, field: value}, "a, line 1")


def test_combinations():
    assert combinations([]) == [{}]
    found = combinations(["threshold=0.5,0.9", "cache=dual,none"])
    assert found == [
        {"threshold": bar, "cache": cache} for bar in (0.5, 0.9) for cache in ("dual", "none")
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["threshold"], "no values"),
        (["threshold="], "no values"),
        (["colour=red"], "not known"),
        (["threshold=a"], "not understood"),
        (["threshold=1,1.0"], "a value twice"),
        (["delay=1", "delay=2"], "given twice"),
    ],
)
def test_sweeps_that_cannot_be(given, said):
    with pytest.raises(InputError, match=said):
        combinations(given)


def test_data_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="has no file for task snips"):
        tasks.examples(tasks.find("snips"), 1, data=tmp_path)
    (tmp_path / "snips").mkdir()
    path = tmp_path / "snips" / "test.jsonl"
    path.write_text(json.dumps({"intent": "Play", "text": "play it"}) + "\n")
    with pytest.raises(InputError, match="row 1 is no example of snips: no field 'slots'"):
        tasks.examples(tasks.find("snips"), 1, data=tmp_path)
    with pytest.raises(InputError, match="did you mean 'stories'"):
        tasks.find("storys")


def test_a_file_of_other_splits_only(tmp_path):
    first = (Path(__file__).parents[1] / "data" / "mbpp" / "mbpp.jsonl").read_text().split("\n")[0]
    (tmp_path / "mbpp").mkdir()
    (tmp_path / "mbpp" / "mbpp.jsonl").write_text(first)
    with pytest.raises(InputError, match="none of the test split of mbpp"):
        tasks.examples(tasks.find("mbpp"), data=tmp_path)


def test_rows_of_other_splits_are_passed_over():
    """Of MBPP's one file, problems 11 to 510 are the test split; the first ten serve as shots."""
    data = Path(__file__).parents[1] / "data"
    found = tasks.examples(tasks.find("mbpp"), data=data)
    assert [example.facts["task_id"] for example in found] == [11, 12, 510]
    assert [shot.facts["task_id"] for shot in found[0].facts["shots"]][:4] == [1, 2, 3, 4]


def test_another_question_has_another_key(model, stories):
    """The same number of the same task, but other words, another reference or another style."""
    who, (first, second) = contestant(model), tasks.examples(stories, 2)
    keys = {
        key_of(who.identity(stories, (0, example), "generate", {}))
        for example in (first, second, replace(first, final="0"), replace(first, answer="0"))
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("right", float("nan")), ("right", 1.5), ("right", -0.1), ("tokens", -1),
        ("tokens", 10**400), ("tokens", True), ("seconds", float("inf")), ("forwards", -3),
        ("index", -1),
    ],
)  # fmt: skip
def test_a_record_with_a_figure_that_cannot_be_is_none(field, value, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(asdict(records.record()) | {field: value}) + "\n")
    with pytest.raises(InputError, match=f"line 1 is no record of unmask eval: {field}="):
        list(read(path))


def test_records_within_results_of_lm_eval_are_read(tmp_path):
    path, rows = tmp_path / "a.json", [asdict(one) for one in records.answers(2, 1)]
    for indent in (None, 2):
        path.write_text(json.dumps({"results": {}, "records": rows}, indent=indent))
        assert [asdict(one) for one in read(path)] == rows
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))  # lines, by another name
    assert len(list(read(path))) == 2


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ({"results": {}, "config": {}}, "results of lm-eval without tokens per forward; run its"),
        ({"results": {}, "records": []}, "has no tokens per forward: of its tasks none"),
        ({"results": {}, "records": [{"task": "x"}]}, "record 1 is no record of unmask eval"),
    ],
)
def test_results_without_records_are_refused_in_a_sentence(results, said, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(results, indent=2))
    with pytest.raises(InputError, match=said):
        list(read(path))
