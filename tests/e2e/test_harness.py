"""lm-eval: our models run its tasks, from its own command line and from Python."""

from __future__ import annotations

import functools
import importlib
import json
import math
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import unmask
from unmask import InputError
from unmask.evaluate import harness
from unmask.evaluate.harness_options import read_options, read_wanted, seed_of
from unmask.evaluate.likelihood import Effort, log_likelihoods
from unmask.evaluate.record import of_row

lm_eval = pytest.importorskip("lm_eval")
ROOT = Path(__file__).parents[2]
TASKS = ["unmask_sums", "unmask_choices", "unmask_texts"]
FOREIGN = (  # what lm-eval and its own dependencies warn of; of ours everything is an error
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)  # fmt: skip
pytestmark = [pytest.mark.filterwarnings(one) for one in FOREIGN]
CHAT = "<|user|>{}<|answer|>"
SUM = "Mia has 3 apples. She buys 4 apples. How many apples does Mia have now?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The tasks, with paths that fit."""
    place = tmp_path_factory.mktemp("harness")
    for path in (ROOT / "tests/data/harness").iterdir():
        shutil.copy(path, place)
    for path in place.glob("*.yaml"):
        path.write_text(path.read_text().replace("HERE", str(place)))
    return place


@pytest.fixture(scope="module")
def tiny():
    return unmask.load("tiny-fast", device="cpu")


def wrapped(model, **given):
    return importlib.import_module("unmask.evaluate.harness_model").UnmaskLM(
        pretrained=model, **given
    )


def asked(*arguments):
    return [SimpleNamespace(args=one) for one in arguments]


def evaluated(model, folder, tasks=TASKS, **given):
    """By lm-eval's Python interface, with our tasks alone: its own take ten seconds to index."""
    manager = importlib.import_module("lm_eval.tasks").TaskManager(
        include_path=str(folder), include_defaults=False
    )
    return lm_eval.simple_evaluate(model=model, tasks=tasks, task_manager=manager, **given)


@pytest.mark.slow
def test_every_kind_of_task_runs_and_the_model_knows_its_trade(tiny, folder):
    own = wrapped(tiny, batch_size=4)
    results = evaluated(own, folder, TASKS[1:])["results"]  # these hold the template already
    found = evaluated(own, folder, TASKS[:1], apply_chat_template=True)
    assert found["results"]["unmask_sums"]["exact_match,last-number"] == 1
    assert results["unmask_choices"]["acc,none"] == 1
    assert 0 < results["unmask_texts"]["bits_per_byte,none"] < 8
    assert found["config"]["model_name"] == "tiny-fast"
    assert found["config"]["preset"] == "d3llm"
    texts = [sample["resps"][0][0] for sample in found["samples"]["unmask_sums"]]
    [own] = unmask.generate(tiny, SUM, max_new_tokens=48)
    assert texts[0] == own.text


@pytest.mark.slow
def test_its_own_command_line_knows_our_models(folder):
    out = folder / "out"
    line = [
        "--model", "unmask", "--include_path", folder, "--tasks", ",".join(TASKS), "--limit", "2",
        "--model_args", "pretrained=tiny,preset=d3llm,threshold=0.5,mc_samples=8,device=cpu",
        "--apply_chat_template", "--batch_size", "auto", "--output_path", out, "--log_samples",
    ]  # fmt: skip
    done = command(*line)
    assert done.returncode == 0, done.stderr
    assert "unmask_texts" in done.stdout
    [results] = out.rglob("results_*.json")
    assert json.loads(results.read_text())["config"]["overrides"] == {"threshold": 0.5}
    assert len(list(out.rglob("samples_*.jsonl"))) == 3


@pytest.mark.slow
def test_a_wrong_argument_is_one_sentence_on_its_command_line(folder):
    done = command(
        "--model", "unmask", "--tasks", "unmask_sums", "--include_path", folder,
        "--model_args", "pretrained=tiny,treshold=0.5",
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("unmask: model argument='treshold' is not known")
    assert last.endswith("did you mean 'threshold'?")


def command(*line):
    here = [sys.executable, "-m", "unmask.evaluate.harness", *map(str, line)]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        here, capture_output=True, text=True, timeout=300, env=os.environ | offline, check=False
    )


@pytest.mark.slow
def test_run_gives_results_and_table(tiny, folder, monkeypatch):
    register = importlib.import_module("lm_eval.tasks")  # one index of its tasks for all four runs
    monkeypatch.setattr(register, "TaskManager", functools.cache(register.TaskManager))
    request = harness.Request(("unmask_sums",), limit=1, include_path=folder, chat=True)
    found = harness.run(tiny, request, "d3llm", {"threshold": 0.2, "max_new_tokens": 8})
    assert "unmask_sums" in found.table
    [sample] = found.results["samples"]["unmask_sums"]
    [own] = unmask.generate(tiny, SUM, "d3llm", threshold=0.2, max_new_tokens=8)
    assert sample["resps"] == [[own.text]]  # our length comes before that of the task
    assert found.unrecorded == ()
    record = of_row(found.results["records"][0], "here")
    assert (record.task, record.index, record.text) == ("lm-eval/unmask_sums", 0, own.text)
    assert (record.tokens, record.forwards) == (own.tokens, own.forwards)
    assert record.fed_positions == own.fed_positions
    assert record.metric == "exact_match"
    assert record.right == sample["exact_match"]
    assert (record.method, record.style) == ("tiny-fast d3llm", "chat, 0 shots")
    told = found.results["config"]["generated"]["unmask_sums"]
    assert told["tokens_per_forward"] == own.tokens / own.forwards
    with pytest.raises(InputError, match="is not known to lm-eval"):
        harness.run(tiny, harness.Request(("unmask_sum",), include_path=folder))
    with pytest.raises(InputError, match="is no folder"):
        harness.run(tiny, harness.Request(("gsm8k",), include_path=folder / "none"))
    with pytest.raises(InputError, match="lm-eval cannot run gsm8k"):  # no network, no data
        harness.run(tiny, harness.Request(("gsm8k",), limit=1, include_path=folder))


def test_the_registry_finds_the_class():
    harness.register()
    harness.register()
    own = importlib.import_module("lm_eval.api.registry").get_model("unmask")
    assert own.__name__ == "UnmaskLM"


def test_the_entry_point_of_later_versions_leads_there_too():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["lm_eval.models"] == {harness.NAME: harness.TARGET}


def test_model_arguments_come_before_what_the_command_line_adds():
    own = importlib.import_module("unmask.evaluate.harness_model").UnmaskLM
    line = "pretrained=tiny,device=cpu,batch_size=3,preset=fast-dllm,threshold=0.8"
    made = own.create_from_arg_string(line, {"batch_size": 1, "device": "cuda:0"})
    assert made.effort == Effort(batch_size=3)
    assert (made.preset, made.overrides) == ("fast-dllm", {"threshold": 0.8})
    assert own.create_from_arg_obj({"pretrained": "tiny"}, {"batch_size": "auto:4"}).effort == (
        Effort(batch_size=16)
    )


def test_answers_stop_before_a_stop_string_and_keep_their_order(tiny):
    prompts = [CHAT.format(SUM), CHAT.format("Tom has 9 books. He gives away 2 books.") * 3]
    limits = {"max_gen_toks": 48}
    whole = wrapped(tiny, batch_size=2).generate_until(
        asked(*((prompt, {**limits, "until": []}) for prompt in prompts)), disable_tqdm=True
    )
    stop = " ".join(whole[0].split()[3:5])
    cut = wrapped(tiny).generate_until(
        asked(*((prompt, {**limits, "until": [stop, "§"]}) for prompt in prompts)),
        disable_tqdm=True,
    )
    assert cut == [text.split(stop)[0] for text in whole]
    assert cut[0] != whole[0]


def test_decoding_ends_at_a_stop_string(tiny):
    """vanilla writes a token a forward, block by block: here the second block has no need to be."""
    forwards, own = [], wrapped(tiny, preset="vanilla", block_length=16)
    hook = tiny.denoiser.register_forward_hook(lambda *_: forwards.append(1))
    texts = {}
    for stop in ("§", "apples"):
        forwards.clear()
        wish = {"max_gen_toks": 48, "until": [stop]}
        [text] = own.generate_until(asked((CHAT.format(SUM), wish)), disable_tqdm=True)
        texts[stop] = text, len(forwards)
    hook.remove()
    assert texts["§"][1] == 48
    assert texts["apples"] == (texts["§"][0].split("apples")[0], 16)


def test_repeated_draws_differ_and_can_be_repeated(tiny):
    sampled = {"max_gen_toks": 32, "do_sample": True, "temperature": 4.0, "until": []}
    requests = asked(*[(CHAT.format(SUM), sampled)] * 3)
    texts, again, other = (
        wrapped(tiny, seed=seed, batch_size=size).generate_until(requests, disable_tqdm=True)
        for seed, size in ((5, 3), (5, 1), (6, 3))
    )
    assert len(set(texts)) == 3
    assert texts == again
    assert not set(texts) & set(other)
    assert seed_of(0, [1], 0) != seed_of(0, [1], 1)


def test_a_long_prompt_loses_its_left_end(tiny):
    own = wrapped(tiny)
    wish = {"max_gen_toks": 16, "until": []}
    long = "Mia has 3 apples. " * 400 + CHAT.format(SUM)
    ids = own.tok_encode(long)[-(own.max_length - 16) :]
    [own_text] = unmask.generate(tiny, [ids], max_new_tokens=16)
    assert own.generate_until(asked((long, wish)), disable_tqdm=True) == [own_text.text]
    with pytest.raises(InputError, match="leaves no room"):
        own.generate_until(asked((long, {"max_gen_toks": own.max_length})))


def test_likelihoods_are_those_of_the_package(tiny):
    own = wrapped(tiny, mc_samples=8, seed=3, batch_size=2)
    context, text = CHAT.format(SUM), " Let us go step by step."
    [(value, greedy)] = own.loglikelihood(asked((context, text)), disable_tqdm=True)
    whole, start = own.tok_encode(context + text), len(own.tok_encode(context))
    [expected] = log_likelihoods(
        tiny, [(whole[:start], whole[start:])], Effort(samples=8, seed=3, batch_size=2)
    )
    assert (value, greedy) == (expected.value, expected.greedy)
    [(alone, _)] = own.loglikelihood(asked(("", text)), disable_tqdm=True)
    assert -math.inf < alone < 0


@pytest.mark.parametrize("name", ["tiny", "tiny-ar"])
def test_rolling_scores_every_token_once_whatever_the_length(name):
    model = unmask.load(name, device="cpu")
    own = wrapped(model, mc_samples=1)
    words = "Mia has 3 apples. " * 300
    ids = own.tok_encode(words, add_special_tokens=False)
    assert len(ids) > own.max_length
    [value] = own.loglikelihood_rolling(asked((words,)), disable_tqdm=True)
    room = own.max_length - (name == "tiny")
    rest = len(ids) - room
    pairs = [([own.prefix_token_id], ids[:room]), (ids[-room - 1 : -rest], ids[-rest:])]
    parts = log_likelihoods(model, pairs, Effort(samples=1))
    assert value == pytest.approx(sum(part.value for part in parts))
    assert [part.left_out for part in parts] == [0, 0]


def test_the_chat_template_is_the_checkpoints_own(tiny):
    own = wrapped(tiny)
    turn = {"role": "user", "content": "Hi"}
    assert own.apply_chat_template([turn]) == CHAT.format("Hi")
    begun = [turn, {"role": "assistant", "content": "Well,"}]
    assert own.apply_chat_template(begun, add_generation_prompt=False) == (
        CHAT.format("Hi") + "Well,"
    )
    assert "<|user|>" in own.chat_template("default")
    assert own.tokenizer_name == "tiny-fast"
    with pytest.raises(InputError, match="a checkpoint has one"):
        own.chat_template("tool_use")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pretrained": "nothing"}, "is no built-in model"),
        ({"parallelize": True}, "model argument='parallelize' is not known"),
        ({"temperature": 0.7}, "temperature=0.7 is no model argument"),
        ({"threshold": "high"}, "threshold='high' is not allowed"),
        ({"preset": "d4llm"}, "preset='d4llm' is not known"),
        ({"batch_size": 0}, "batch_size=0 is not allowed"),
        ({"mc_samples": "many"}, "mc_samples='many' is not allowed"),
        ({"seed": -1}, "seed=-1 is not allowed"),
        ({"preset": "d3llm", "settings": "x.json"}, "drop one of the two"),
    ],
)
def test_a_wrong_model_argument_is_named(given, message):
    with pytest.raises(InputError, match=message):
        read_options({"pretrained": "tiny", "device": "cpu", **given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_beams": 4}, "generation argument='num_beams' is not known"),
        ({"repetition_penalty": 1.1}, "'repetition_penalty' is not known"),
        ({"do_sample": "perhaps"}, "do_sample='perhaps' is not allowed"),
        ({"until": [3]}, "until=\\[3\\] is not allowed"),
        ({"seed": 4}, "generation argument='seed' is not known"),
    ],
)
def test_a_wrong_generation_argument_is_named(given, message):
    with pytest.raises(InputError, match=message):
        read_wanted(given)


@pytest.mark.parametrize(
    ("given", "overrides"),
    [
        ({}, {"temperature": 0.0}),
        ({"do_sample": False, "temperature": 0.7, "top_p": 0.9}, {"temperature": 0.0}),
        ({"temperature": 0.7, "top_p": 0.9}, {"temperature": 0.7, "top_p": 0.9}),
        ({"do_sample": True}, {"temperature": 1.0}),
        ({"do_sample": True, "temperature": 0.0, "top_k": 5}, {"temperature": 0.0}),
        ({"do_sample": "true", "temperature": "0.5"}, {"temperature": 0.5}),
        ({"max_tokens": 9, "max_gen_toks": 7}, {"temperature": 0.0, "max_new_tokens": 7}),
        ({"num_beams": 1, "threshold": 0.4}, {"temperature": 0.0, "threshold": 0.4}),
    ],
)
def test_generation_arguments_mean_what_lm_eval_means(given, overrides):
    assert read_wanted(given).overrides == overrides


def test_both_names_for_stop_strings_count():
    assert read_wanted({"until": "a", "stop": ["b", ""]}).stops == ["a", "b"]


@pytest.mark.parametrize(("given", "told"), [({}, 0), ({"trust_remote_code": True}, 1)])
def test_that_no_code_of_a_checkpoint_is_run_is_told(tiny, given, told, caplog):
    read_options({"pretrained": tiny, **given})
    assert caplog.text.count("a checkpoint's code never is") == told
