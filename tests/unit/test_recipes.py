import pytest

from unmask import InputError
from unmask.distill import recipe as recipes


@pytest.mark.parametrize("name", list(recipes.names()))
def test_every_recipe_that_ships_is_whole(name):
    recipe = recipes.read(name, {})
    assert recipe.about
    assert recipes.with_compat(recipe).compat == "reference"


def test_published_numbers():
    llada, dream = recipes.read("dparallel-llada", {}), recipes.read("dparallel-dream", {})
    assert (llada.rate, llada.epochs, llada.batch, llada.temperature) == (2e-5, 6, 64, 0.5)
    assert (llada.lora.rank, dream.lora.rank) == (128, 32)
    assert (llada.objectives["certainty"], dream.objectives["certainty"]) == (2.0, 1.0)
    assert (llada.state, dream.state) == ("block", "response")
    ours = recipes.read("d3llm-llada", {})
    assert ours.widths == (16, 16, 24, 24, 32, 32)
    assert ours.ratio == (0.0, 0.8, 0.8)
    assert recipes.read("d3llm-dream", {}).widths == (16, 24, 32)
    assert recipes.read("d3llm-dream-coder", {}).lora is None


def test_what_no_reference_has_is_refused_and_not_dropped():
    recipe = recipes.read("d3llm-tiny", {"horizon": "0"})
    with pytest.raises(InputError, match="horizon=0 is not allowed; give none"):
        recipes.with_compat(recipe)


def test_the_reference_trains_four_of_seven_matrices():
    recipe = recipes.read("dparallel-llada", {})
    assert "attn_out" in recipe.lora.targets
    assert "o_proj" in recipes.with_compat(recipe).lora.targets


def test_fields_can_be_changed():
    changed = recipes.read(
        "dparallel-tiny",
        {
            "rate": "1e-4",
            "ratio": "[0.1, 0.2, 0.3]",
            "state": "window",
            "objectives": "{certainty=1}",
        },
    )
    assert (changed.rate, changed.ratio, changed.state) == (1e-4, (0.1, 0.2, 0.3), "window")
    assert changed.objectives == {"certainty": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state": "blok"}, "state='blok' is not known"),
        ({"objectives": "{entropie=1.0}"}, "objective='entropie'"),
        (
            {"ratio": "[0.5, 0.2, 0.8]"},
            "ratio=.* is not allowed; give three numbers from 0 to 1, rising",
        ),
        ({"rate": "0"}, "rate=0 is not allowed"),
        ({"rate": "fast"}, "rate='fast' is not allowed"),
        ({"widths": "[]"}, "widths"),
        ({"batch": "2.5"}, "batch=2.5"),
        ({"horizon": "-1"}, "horizon=-1 is not allowed"),
        ({"horizon": "1", "compat": "reference"}, "horizon=1 is not allowed; give none"),
        ({"colour": "1"}, "field='colour' is not known"),
        ({"order": "random"}, "order='random'"),
        ({"complement": "no"}, "complement='no'"),
        ({"keep_wrong": "False"}, "keep_wrong='False'"),
        ({"ratio": "0.5"}, "ratio=0.5 is not allowed; give a list"),
        ({"lora": "5"}, "lora=5"),
        ({"reference": "5"}, "reference=5"),
        ({"objectives": "{}"}, "objectives=.* names and weights"),
        ({"objectives": "{cross_entropy='x'}"}, "objectives.cross_entropy='x'"),
        ({"compat": "paper"}, "compat='paper'"),
        ({"lora": "{rank=0, alpha=1, targets=['q_proj']}"}, "rank=0"),
    ],
)
def test_what_cannot_be_is_named(changes, message):
    with pytest.raises(InputError, match=message):
        recipes.read("dparallel-tiny", changes)


def test_one_entry_of_a_table_or_all_of_it():
    one = recipes.read("dparallel-tiny", {"objectives.certainty": "3"})
    assert one.objectives == {"cross_entropy": 1.0, "certainty": 3}
    assert recipes.read("dparallel-tiny", {"objectives": "{certainty=3}"}).objectives == {
        "certainty": 3
    }
    assert recipes.read("dparallel-llada", {"lora.rank": "8"}).lora.rank == 8
    assert recipes.read("dparallel-llada", {"lora": "none"}).lora is None


def test_files(tmp_path):
    with pytest.raises(InputError, match=r"recipe='d4llm' is not known.*\.toml"):
        recipes.read("d4llm", {})
    path = tmp_path / "mine.toml"
    with pytest.raises(InputError, match="cannot be read"):
        recipes.read(str(path), {})
    path.write_text("state = [")
    with pytest.raises(InputError, match="cannot be read"):
        recipes.read(str(path), {})
    path.write_text('state = "block"')
    with pytest.raises(InputError, match="missing"):
        recipes.read(str(path), {})


def test_how_a_look_decodes_is_chosen():
    assert recipes.read("d3llm-tiny", {}).decode == recipes.Decode("d3llm", 16, {})
    assert recipes.read("dparallel-llada", {}).decode.preset == "dparallel"
    assert recipes.read("base", {}).decode.preset == "fast-dllm"
    changes = {"decode.preset": "dparallel", "decode.prompts": "64", "decode.threshold": "0.3"}
    found = recipes.read("d3llm-tiny", changes).decode
    assert found == recipes.Decode("dparallel", 64, {"threshold": 0.3})
    assert recipes.read("base", {"decode.cache": "none"}).decode.settings == {"cache": None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decode.preset": "d4"}, "preset='d4' is not known"),
        ({"decode.prompts": "0"}, r"decode\.prompts=0"),
        ({"decode.max_new_tokens": "8"}, "that of the held-out texts"),
        ({"decode": "3"}, "decode=3 is not allowed"),
        ({"decode": "none"}, "decode=None is not allowed"),
        ({"batch.x": "3"}, "batch="),
        ({"batch.x": "word"}, "batch="),
        ({'"a.b"': "3"}, "a.b"),
    ],
)
def test_tables_that_cannot_be_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        recipes.read("d3llm-tiny", changes)
