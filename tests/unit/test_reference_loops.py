"""The plain loops of the benchmarks, around transformers' model, write what our decoders write."""

import pytest

pytest.importorskip("transformers")

import reference_loops
from reference_loops import Rule, blockwise, certainty, confidence, several_blocks
from twin import Theirs
from unmask import generate, load

PROMPTS = [
    "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?",
    "Tom had 30 coins and lost 4 of them. How many coins are left?",
]
CANVAS, BLOCK = 48, 8


@pytest.fixture(scope="module")
def pair():
    model = load("tiny-fast", "cpu")
    return model, Theirs(model)


def ours(model, prompt, preset, **settings):
    sizes = {"max_new_tokens": CANVAS, "block_length": BLOCK}
    [result] = generate(model, prompt, preset, **sizes, **settings)
    start = result.trajectory.prompt_length
    return result.trajectory.tokens_L[:start].tolist(), result


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
@pytest.mark.parametrize(
    ("preset", "score", "bar"), [("fast-dllm", confidence, 0.95), ("dparallel", certainty, 0.3)]
)
def test_block_by_block(pair, prompt, cache, preset, score, bar):
    model, theirs = pair
    given = {"cache": cache, "threshold": bar, "early_stop": False}
    ids, mine = ours(model, prompt, preset, **given)
    rule = Rule(score, bar if score is confidence else -bar)
    answer = blockwise(theirs, ids, CANVAS, BLOCK, rule, cache)
    assert (answer.token_ids, answer.forwards) == (mine.token_ids, mine.forwards)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_several_blocks(pair, prompt, share):
    model, theirs = pair
    given = {"cache": "none", "threshold": 0.3, "block_add_threshold": share}
    given["horizon"] = CANVAS  # the whole canvas in sight, as there
    ids, mine = ours(model, prompt, "d3llm", **given)
    answer = several_blocks(theirs, ids, CANVAS, BLOCK, Rule(certainty, -0.3), share)
    assert (answer.token_ids, answer.forwards) == (mine.token_ids, mine.forwards)
    assert mine.forwards < 24


def test_what_they_feed_is_counted(pair):
    model, theirs = pair
    ids, mine = ours(model, PROMPTS[0], "fast-dllm", cache="dual", threshold=0.95, early_stop=False)
    meter = theirs.fresh()
    blockwise(theirs, ids, CANVAS, BLOCK, Rule(confidence, 0.95), "dual")
    assert (meter.calls, meter.fed) == (mine.forwards, mine.fed_positions)


def test_a_replaced_part_is_not_counted_twice(pair):
    _, theirs = pair
    whole = reference_loops.DynamicCache()
    reference_loops.Text(theirs, [5, 6, 7], 5).logits(0, 8, whole)
    assert reference_loops.Replaced(whole, 3, 5).get_seq_length() == 6
