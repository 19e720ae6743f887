"""Options are declared once, beside what reads them, and every face knows them from there."""

from __future__ import annotations

import ast
import inspect
import json
import re
import runpy
import shutil
import sys
import textwrap
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import unmask
import unmask.decode.strategies
from commands import unmask as run
from doubles import FakeDenoiser, births, model_of, sure_of
from unmask import InputError, generate, load, read_settings
from unmask.decode import options
from unmask.decode.saved import write_settings
from unmask.engine.engine import Engine
from unmask.evaluate.harness_options import read_options, read_wanted
from unmask.server.app import create_app
from unmask.server.settings import ServerSettings

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "unmask"
PAGES = runpy.run_path(str(ROOT / "docs" / "make_options.py"))
BODIES = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hello"}]},
    "/v1/completions": {"prompt": "Hello"},
    "/v1/canvas": {"prompt": "Hello"},
}
QUESTION = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"


# One file more: a strategy with two options of its own, which no other file knows.


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Strategy ``per_block`` with its options ``most`` and ``floor``, from a folder of the user."""
    shutil.copy(ROOT / "examples" / "strategies" / "per_block.py", tmp_path)
    home = unmask.decode.strategies
    monkeypatch.setattr(home, "__path__", [*home.__path__, str(tmp_path)])
    yield
    sys.modules.pop(f"{home.__name__}.per_block", None)
    vars(home).pop("per_block", None)


@pytest.mark.usefixtures("own")
def test_a_new_strategy_is_asked_block_by_block():
    """Two blocks of four in flight, all of them sure: the surest two of each at every forward."""
    sure = [0.9, 0.6, 0.7, 0.95, 0.8, 0.99, 0.6, 0.4, 0.9]
    model = model_of(FakeDenoiser(sure_of(sure)), 8, 4)
    own = {"strategy": "per_block", "most": 2, "floor": 0.5}
    [result] = generate(model, [[0]], "d3llm", cache="none", **own)
    # Forward 1: only the first block, 1 to 4, is in flight: 3 (0.95) and 4 (0.8). Then both are.
    assert births(result) == [[3, 4], [1, 2, 5, 8], [6], [7]]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("given", "field", "told"),
    [
        ({"strategy": "per_block", "most": 0}, "most", "a whole number of at least 1"),
        ({"strategy": "per_block", "floor": 1.5}, "floor", "between 0 and 1"),
        ({"strategy": "per_block", "floor": "high"}, "floor", "floor='high'"),
        ({"strategy": "per_block", "threshold": 0.9}, "threshold", "which reads most, floor"),
        ({"most": 2}, "most", "use strategy=per_block, or drop most"),
        ({"strategy": "margin", "most": 2}, "most", "strategy='margin', which reads steps"),
        ({"mots": 2}, "option", "did you mean 'most'"),
    ],
    ids=str,
)
def test_the_options_of_a_new_strategy_are_checked_as_all_are(given, field, told):
    model = model_of(FakeDenoiser(sure_of([0.9] * 9)), 8, 4)
    with pytest.raises(InputError) as caught:
        generate(model, [[0]], "fast-dllm", **given)
    assert caught.value.field == field
    assert told in str(caught.value)


@pytest.mark.usefixtures("own")
def test_the_command_line_knows_a_new_strategy(tmp_path):
    for command in ("generate", "chat", "serve", "batch", "eval", "harvest", "bench"):
        told = " ".join(run(command, "--help").stdout.split())
        assert "--most N tokens that a block gets in a forward (per_block)" in told
        assert "--floor X least confidence of a token, a probability (per_block)" in told
    own = ("--strategy", "per_block", "--most", "1", "--floor", "0.9")
    done = run("generate", "--model", "tiny", "--max-new-tokens", 16, "--json", *own, QUESTION)
    assert json.loads(done.stdout)["forwards"] == 16
    wrong = run("generate", "--model", "tiny", "--strategy", "per_block", "--most", "0", QUESTION)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("unmask: most=0 is not allowed")


@pytest.mark.usefixtures("own")
def test_a_sweep_knows_a_new_strategy(tmp_path):
    out = tmp_path / "records.jsonl"
    done = run(
        "eval", "--model", "tiny", "--strategy", "per_block", "--sweep", "most=1,4",
        "--sweep", "floor=0.3", "--max-new-tokens", 8, "--count", 1, "--out", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    swept = [json.loads(line)["swept"] for line in out.read_text().splitlines()]
    assert swept == [{"most": 1, "floor": 0.3}, {"most": 4, "floor": 0.3}]


@pytest.mark.usefixtures("own")
def test_saved_settings_and_lm_eval_know_a_new_strategy(tmp_path):
    given, path = {"strategy": "per_block", "most": 2}, tmp_path / "settings.json"
    write_settings(path, "fast-dllm", given)
    assert read_settings(path) == {"preset": "fast-dllm", **given}
    asked = {"pretrained": "tiny", "device": "cpu", "strategy": "per_block", "most": "2"}
    assert read_options(asked).overrides == given
    assert read_wanted({"floor": "0.25"}).overrides["floor"] == 0.25


@pytest.mark.usefixtures("own")
def test_docs_and_types_know_a_new_strategy():
    assert "| `most` | tokens that a block gets in a forward " in PAGES["page"](PAGE.read_text())
    assert re.search(r"^    floor: float \| None$", PAGES["types"](), re.MULTILINE)


@pytest.mark.usefixtures("own")
def test_requests_and_openapi_know_a_new_strategy():
    engine = Engine(load("tiny", device="cpu"), slots=1)
    with TestClient(create_app(engine, ServerSettings("tiny"))) as client:
        engine.start()
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
        for path, body in BODIES.items():
            own = {"strategy": "per_block", "most": 1, "floor": 0.9, "max_tokens": 16}
            assert client.post(path, json={**body, **own}).status_code == 200
            for wrong in ({"most": 0}, {"floor": 2}, {"floor": "high"}, {"most": 1.5}):
                [field] = wrong
                answer = client.post(path, json={**body, "strategy": "per_block", **wrong})
                assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
            unread = client.post(path, json={**body, "most": 2}).json()["error"]
            assert unread["param"] == "most"
            assert "use strategy=per_block" in unread["message"]
            near = client.post(path, json={**body, "mots": 2}).json()["error"]
            assert "did you mean most?" in near["message"]
        engine.drain(0)
    for name in ("ChatRequest", "CompletionRequest", "CanvasRequest"):
        told = schemas[name]["properties"]["floor"]
        assert told["anyOf"] == [{"type": "number"}, {"type": "null"}]
        assert told["description"].startswith("least confidence of a token, a probability")


# Every face says what the declarations say.

PAGE, TYPES = PAGES["PAGE"], PAGES["TYPES"]


def test_the_page_and_the_types_are_those_of_the_declarations():
    """If this fails: python docs/make_options.py"""
    assert PAGES["page"](PAGE.read_text(encoding="utf-8")) == PAGE.read_text(encoding="utf-8")
    assert PAGES["types"]() == TYPES.read_text(encoding="utf-8")


def test_generate_takes_the_types_of_the_declarations():
    assert inspect.signature(generate).parameters["overrides"].annotation == "Unpack[Overrides]"


@pytest.mark.slow
def test_a_misspelt_or_mistyped_option_is_an_error_of_mypy(tmp_path):
    mypy = pytest.importorskip("mypy.api", reason="needs unmask[dev]")
    file, settings = tmp_path / "asks.py", tmp_path / "mypy.ini"
    file.write_text(
        textwrap.dedent(
            """
            import unmask

            def ask(model: unmask.Model, saved: dict[str, object]) -> None:
                unmask.generate(model, "a", thresold=0.9)
                unmask.generate(model, "a", threshold="high")
                unmask.generate(model, "a", threshold=0.9, refresh=None)
                unmask.generate(model, "a", **unmask.read_settings("file"))
            """
        )
    )
    others = ["torch", "numpy", "tokenizers", "safetensors", "huggingface_hub", "jinja2"]
    skipped = [f"[mypy-{name}.*,{name}]\nfollow_imports = skip" for name in others]
    settings.write_text(
        "\n".join(["[mypy]", f"mypy_path = {ROOT / 'src'}", "follow_imports = silent", *skipped])
    )
    cache = ["--cache-dir", str(tmp_path / "cache")]
    told, trouble, _ = mypy.run(["--config-file", str(settings), *cache, str(file)])
    errors = [line.split("error: ")[1] for line in told.splitlines() if "error: " in line]
    assert len(errors) == 2, told + trouble
    assert errors[0].startswith('Unexpected keyword argument "thresold" for "generate"')
    assert 'Argument "threshold" to "generate" has incompatible type "str"' in errors[1]


# No option is named in two places.

VALUES = {"presets.py", "overrides.py"}
"""Files that give values to options, and the one that is written from the declarations."""
OWN_WORDS = {"distill", "models", "training.py", "plot.py"}
"""What decodes nothing, where the same words mean other things."""


def parts():
    """Name of every option that parts declare, with the files that do."""
    found: dict[str, set[Path]] = {}
    for folder in options.KINDS.values():
        home = SOURCE / Path(*folder.split(".")[1:])
        shared = [SOURCE / "decode" / name for name in ("window.py", "plan.py", "slate.py")]
        for path in [*home.glob("*.py"), *shared]:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Option":
                    found.setdefault(node.args[0].value, set()).add(path)
    return found


def named(path):
    """Texts that stand anywhere but in a declaration, or as the key of a value."""
    tree = ast.parse(path.read_text())
    keys = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys |= {id(key) for key in node.keys}
        if isinstance(node, ast.Subscript):
            keys.add(id(node.slice))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Option":
            keys.add(id(node.args[0]))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in keys:
            yield node.value.removeprefix("--").replace("-", "_")


def test_every_option_of_a_part_is_declared():
    used = {
        o.name
        for own in options.declared().values()
        for part in own.values()
        for o in part.values()
    }
    assert used == parts().keys()


def test_no_option_of_a_part_is_named_beside_its_declaration():
    known = parts()
    for path in SOURCE.rglob("*.py"):
        if not {path.name, path.relative_to(SOURCE).parts[0]} & (VALUES | OWN_WORDS):
            found = known.keys() & set(named(path))
            assert not {n for n in found if path not in known[n]}, f"{path} names {found}"


def test_no_part_is_compared_by_its_name():
    known = {name for own in options.declared().values() for name in own}
    for folder in ("decode", "engine", "server"):  # elsewhere the words mean other things
        for path in (SOURCE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Compare):
                    compared = {
                        one.value for one in ast.walk(node) if isinstance(one, ast.Constant)
                    }
                    assert not known & compared, f"{path}, line {node.lineno}"


def test_every_general_option_is_one_of_the_table_and_no_part_takes_its_name():
    table = options.table()
    assert {option.name for option in options.EVERYBODY} | {*options.KINDS} <= table.keys()
    assert all(len(entry.uses) == 1 for entry in table.values() if entry.uses[0][0] == "")
