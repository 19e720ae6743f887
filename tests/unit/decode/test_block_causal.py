"""Models that attend block by block: what is fed, which presets fit, what is refused."""

from __future__ import annotations

import json

import pytest

import unmask
from checkpoints import END, MASK, write_fast_dllm_v2, write_sdar
from doubles import births
from unmask import CheckpointError, InputError, generate
from unmask.cli.main import main
from unmask.evaluate.likelihood import log_likelihoods

ALL = {"threshold": 0.0, "early_stop": False}  # every asked token is believed at once


@pytest.fixture(scope="module")
def sdar(tmp_path_factory):
    return unmask.load(write_sdar(tmp_path_factory.mktemp("sdar")), device="cpu")


@pytest.fixture(scope="module")
def v2(tmp_path_factory):
    return unmask.load(write_fast_dllm_v2(tmp_path_factory.mktemp("v2")), device="cpu")


def test_a_position_sees_its_block_and_what_is_before_it(sdar):
    """Blocks of 4: 3 sees 2, not 4."""
    base = sdar.logits([1, 2, 3, 4, 5, 6])
    changed = sdar.logits([1, 2, 3, 4, 5, 7])
    assert (base[:4] - changed[:4]).abs().max() < 1e-5
    assert (base[4] - changed[4]).abs().max() > 1e-2
    assert (base[0] - sdar.logits([1, 2, 3, 9, 5, 6])[0]).abs().max() > 1e-2


def test_the_end_of_a_prompt_shares_the_first_block(sdar):
    """Blocks of 4, prompt of 6: 6 and 7, then 8 to 11, 12 to 15, and one that the canvas cuts."""
    [result] = generate(sdar, [[1, 2, 3, 4, 5, 6]], max_new_tokens=11, **ALL)
    assert births(result) == [[6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [16]]


def test_a_finished_block_is_fed_once_more_with_the_next_one(sdar):
    """Fed: 0 to 7; 4 to 11, for 4 to 7 were masks; 8 to 15; 12 to 16."""
    [result] = generate(sdar, [[1, 2, 3, 4, 5, 6]], max_new_tokens=11, **ALL)
    assert result.trajectory.fed.tolist() == [8, 8, 8, 5]


def test_one_token_a_forward_feeds_the_open_block_only(sdar):
    [result] = generate(sdar, [[1, 2, 3, 4]], max_new_tokens=8, threshold=1.0, early_stop=False)
    assert result.trajectory.fed.tolist() == [8, 4, 4, 4, 8, 4, 4, 4]


def test_a_shifted_model_is_asked_about_a_new_block_with_the_finished_one(v2):
    """Blocks of 8, prompt of 3: 0 to 7 are fed, then 0 to 15, whose row 7 speaks about 8."""
    [result] = generate(v2, [[1, 2, 3]], max_new_tokens=13, block_length=8, **ALL)
    assert births(result) == [[*range(3, 8)], [*range(8, 16)]]
    assert result.trajectory.fed.tolist() == [8, 16]


def test_the_reference_decides_the_first_token_of_a_block_alone(v2):
    """Its extra forward feeds the finished block, whose last row is the next token."""
    limits = {"max_new_tokens": 13, "block_length": 8, "compat": "reference", **ALL}
    [result] = generate(v2, [[1, 2, 3]], **limits)
    assert births(result) == [[*range(3, 8)], [8], [*range(9, 16)]]
    assert result.trajectory.fed.tolist() == [8, 8, 8]


def test_a_last_token_at_the_start_of_a_block_needs_the_row_before_it_only(v2):
    """Written last, 8 is asked of row 7, whose block is stored already."""
    limits = {"max_new_tokens": 8, "block_length": 8, "threshold": 1.0, "early_stop": False}
    for seed in range(8):
        [result] = generate(v2, [[seed] * 8], **limits)
        if births(result)[-1] == [8]:
            assert result.trajectory.fed.tolist()[-1] == 1
            return
    pytest.fail("no answer wrote the first position of its block last; try other prompts")


def test_sub_blocks_are_decoded_from_left_to_right(v2):
    [result] = generate(v2, [[1, 2, 3]], max_new_tokens=13, block_length=3, **ALL)
    assert births(result) == [[3, 4, 5], [6, 7], [8, 9, 10], [11, 12, 13], [14, 15]]


def test_an_end_token_ends_the_answer(sdar, tmp_path):
    """The same weights, with a token of a long answer declared to be the end."""
    limits = {"max_new_tokens": 24, "threshold": 0.3}
    [endless] = generate(sdar, [[1, 2, 3]], **limits)
    assert END not in endless.token_ids
    end = endless.token_ids[9]
    where = endless.token_ids.index(end)
    ended = unmask.load(write_sdar(tmp_path, eos_token_id=end), device="cpu")
    [result] = generate(ended, [[1, 2, 3]], **limits)
    assert result.token_ids == endless.token_ids[: where + 1] + [end] * (23 - where)  # end pads
    assert result.tokens == where + 1
    assert result.forwards < endless.forwards


def test_a_checkpoint_is_decoded_by_its_own_preset(sdar, v2):
    for model, part in ((sdar, 4), (v2, 8)):
        [result] = generate(model, [[1, 2, 3]], max_new_tokens=9)
        assert result.trajectory.policy == "blocks/threshold/causal"
        assert model.defaults["block_length"] == part
        assert MASK not in result.token_ids


def test_generate_answers_at_the_command_line(tmp_path, capsys):
    asked = tmp_path / "in.jsonl"
    asked.write_text('{"token_ids": [1, 2, 3]}\n{"token_ids": [4]}\n')
    for name, write in (("sdar", write_sdar), ("fast-dllm-v2", write_fast_dllm_v2)):
        folder, out = write(tmp_path / name), tmp_path / f"{name}.jsonl"
        files = ["--prompts", str(asked), "--out", str(out)]
        assert main(["generate", "--model", str(folder), *files, "--max-new-tokens", "8"]) == 0
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        assert [len(line["token_ids"]) for line in lines] == [8, 8]
        assert {line["preset"] for line in lines} == {name}
    capsys.readouterr()


def test_bench_compares_its_own_preset_with_and_without_the_cache(tmp_path, capsys):
    asked = tmp_path / "in.jsonl"
    asked.write_text('{"token_ids": [1, 2, 3]}\n')
    files = ["--model", str(write_sdar(tmp_path / "sdar")), "--prompts", str(asked)]
    assert main(["bench", *files, "--rounds", "1", "--max-new-tokens", "9", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    names = ["vanilla", "vanilla, early stop", "sdar, no cache", "sdar, causal cache"]
    assert [row["name"] for row in rows] == names
    assert rows[3]["fed_positions"] < rows[2]["fed_positions"]


@pytest.mark.parametrize("command", ["tune", "train --data x --out y"])
def test_what_needs_a_view_of_the_whole_text_is_refused(command, tmp_path, capsys):
    assert main([*command.split(), "--model", str(write_sdar(tmp_path))]) == 2
    told = capsys.readouterr().err
    assert "is block-causal" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("preset", ["vanilla", "dparallel"])
def test_presets_without_a_cache_fit_as_well(preset, sdar, v2):
    for model in (sdar, v2):
        [result] = generate(model, [[1, 2, 3]], preset, max_new_tokens=9)
        assert MASK not in result.token_ids


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"preset": "fast-dllm"}, ["is block-causal", "cache='dual'", "preset='sdar'"]),
        ({"preset": "d3llm"}, ["is block-causal", "cache='delayed'", "preset='sdar'"]),
        ({"cache": "prefix"}, ["is block-causal", "cache='prefix'"]),
        ({"block_length": 5}, ["block_length=5", "between 1 and 4", "block-causal"]),
        ({"horizon": 1}, ["horizon=1", "drop it"]),
    ],
)
def test_what_does_not_fit_is_refused(options, parts, sdar):
    with pytest.raises(InputError) as caught:
        generate(sdar, [[1, 2]], max_new_tokens=4, **options)
    assert all(part in str(caught.value) for part in parts)


def test_a_preset_of_longer_blocks_is_cut_to_those_of_the_model(sdar):
    """fast-dllm-v2 asks for sub-blocks of 8; this model's blocks are 4 long."""
    [result] = generate(sdar, [[1, 2, 3, 4]], "fast-dllm-v2", max_new_tokens=8, **ALL)
    assert births(result) == [[4, 5, 6, 7], [8, 9, 10, 11]]


def test_likelihoods_are_refused(sdar):
    with pytest.raises(InputError, match="block-causal"):
        log_likelihoods(sdar, [([1, 2], [3])])


def test_mixture_of_experts_models_are_refused_by_their_type(tmp_path):
    message = "model_type='sdar_moe' is a mixture of experts; only dense"
    with pytest.raises(CheckpointError, match=message):
        unmask.load(write_sdar(tmp_path, model_type="sdar_moe"), device="cpu")


@pytest.mark.parametrize(
    ("write", "changes", "message"),
    [
        (write_sdar, {"attention_bias": True}, "attention_bias=True, only False"),
        (write_sdar, {"rope_scaling": {"type": "yarn"}}, "rope_scaling=.*, only None"),
        (write_sdar, {"head_dim": 7}, "do not fit"),
        (write_sdar, {"block_size": 0}, "block_size=0"),
        (write_fast_dllm_v2, {"bd_size": "32"}, "bd_size='32'"),
        (write_fast_dllm_v2, {"use_sliding_window": True}, "use_sliding_window=True, only False"),
    ],
)
def test_a_config_that_the_body_cannot_follow_is_refused(write, changes, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        unmask.load(write(tmp_path, **changes), device="cpu")
