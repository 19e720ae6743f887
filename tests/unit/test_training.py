"""One step is the same however it is cut up; a killed run goes on with the same digits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from checkpoints import GOLDEN
from ranks import together
from unmask import InputError
from unmask.cli.main import main
from unmask.distill import adapter, checkpoint, lora, saves, session, train
from unmask.distill.batches import Noise, collate
from unmask.distill.checkpoint import RunFolder
from unmask.distill.intake import Shards
from unmask.distill.recipe import Lora, Recipe
from unmask.distill.shards import Sample, read_manifest
from unmask.distill.texts import check_teacher, text_of
from unmask.distill.texts import load as load_texts
from unmask.errors import TrainError
from unmask.models.blocks import Transformer
from unmask.models.families import dream, llada
from unmask.models.loading import load

RECIPE = Recipe(
    state="block", objectives={"cross_entropy": 1.0, "certainty": 2.0}, ratio=(0.3, 0.3, 0.9),
    widths=(8,), rate=1e-3, epochs=2, batch=8, complement=True,
)  # fmt: skip


def samples(card, count=24, ragged=True):
    draw = np.random.default_rng(0)
    for index in range(count):
        prompt = int(draw.integers(3, 9)) if ragged else 5
        tokens = draw.integers(0, 120, prompt + 24).astype(np.uint32)
        tokens[prompt + 18 :] = card.end_ids[0]
        born = np.zeros(len(tokens), np.uint16)
        born[prompt:] = 1 + np.arange(24)
        yield Sample(index, prompt, tokens, born, 24, 19, 1, 0.0)


@pytest.fixture(params=["llada-tiny", "dream-tiny"])
def model(request):
    return load(GOLDEN / request.param)


@pytest.fixture
def texts(model):
    return [text_of(sample, model.card) for sample in samples(model.card)]


def fresh(name):
    model = load(GOLDEN / name)
    model.denoiser.requires_grad_(requires_grad=True)
    return model.denoiser


def gradients(denoiser, texts, micro, recipe=RECIPE, teacher=None):
    """Of one global batch, without a step."""
    denoiser.requires_grad_(requires_grad=True)
    denoiser.zero_grad()
    run = train.Run(recipe, 10, 0, micro, 10)
    accelerator = Accelerator(cpu=True)
    module = train.Supervised(denoiser)
    noised = train.draws_at(texts, run, 0)
    objectives = train._objectives(recipe)
    judge = train.Supervised(teacher) if teacher else None
    means = train._descend(module, judge, noised, objectives, (accelerator, run))
    return means, {name: p.grad.clone() for name, p in denoiser.named_parameters()}


def test_a_batch_of_n_is_n_batches_of_one(model, texts):
    whole = gradients(model.denoiser, texts, 8)
    for micro in (1, 3):
        parts = gradients(model.denoiser, texts, micro)
        assert parts[0] == pytest.approx(whole[0], rel=1e-5)
        for name, gradient in whole[1].items():
            assert torch.allclose(parts[1][name], gradient, atol=1e-5), name


def test_adapters_too_learn_the_same_however_a_batch_is_cut(model, texts):
    """Spec T10."""
    base = GOLDEN / f"{model.card.family}-tiny"
    found = []
    for micro in (8, 1):
        denoiser = load(base).denoiser
        lora.attach(denoiser, base, Lora(4, 8, ("q_proj", "up_proj")))
        run = train.Run(RECIPE, 10, 0, micro, 10)
        noised, objectives = train.draws_at(texts, run, 0), train._objectives(RECIPE)
        tools = (Accelerator(cpu=True), run)
        train._descend(train.Supervised(denoiser), None, noised, objectives, tools)
        found.append({n: p.grad for n, p in denoiser.named_parameters() if p.requires_grad})
    assert any(gradient.abs().max() > 1e-4 for gradient in found[0].values())
    for name, gradient in found[0].items():
        assert torch.allclose(found[1][name], gradient, atol=1e-5), name


def test_padding_changes_nothing(model, texts):
    """Rows of another length in the batch: the same as alone."""
    noise = Noise(RECIPE, 0)
    short, long = (noise(pick(texts, key=len), 0, 0.0) for pick in (min, max))
    assert len(long.text) > len(short.text)
    cpu = torch.device("cpu")
    both = collate([short, long], RECIPE, model.card, cpu)
    single = collate([short], RECIPE, model.card, cpu)
    assert both.keep_BL is not None
    assert single.keep_BL is None
    module = train.Supervised(model.denoiser)
    with torch.no_grad():
        assert torch.allclose(module(both)[: len(single.target_T)], module(single), atol=2e-5)


def test_training_sees_what_decoding_sees(model, texts):
    """The logits about a masked token are those of a full forward, shift or not."""
    run = train.Run(RECIPE, 10, 0, 1, 10)
    [one, *_] = train.draws_at(texts, run, 0)
    batch = collate([one], RECIPE, model.card, torch.device("cpu"))
    with torch.no_grad():
        found = train.Supervised(model.denoiser)(batch)
    aligned = model.logits(batch.ids_BL[0].tolist())
    asked = np.flatnonzero(one.draw.hidden_L)
    assert torch.allclose(found[: len(asked)], aligned[asked], atol=1e-5)


def test_a_teacher_that_is_the_student_asks_for_nothing(model, texts):
    recipe = replace(RECIPE, objectives={"divergence": 1.0})
    means, grads = gradients(model.denoiser, texts, 8, recipe, teacher=model.denoiser)
    assert means["divergence"] == pytest.approx(0, abs=1e-6)
    assert all(gradient.abs().max() < 1e-5 for gradient in grads.values())


def test_recomputing_gives_the_same_gradients(model, texts):
    kept = gradients(model.denoiser, texts, 4)[1]
    model.denoiser.recompute = True
    again = gradients(model.denoiser, texts, 4)[1]
    assert all(torch.equal(kept[name], again[name]) for name in kept)


def trained(denoiser, texts, folder, *, steps=6, stop=None, recipe=RECIPE, precision="no"):
    run = train.Run(recipe, steps, 0, 4, 2, 3)
    accelerator = Accelerator(cpu=True, mixed_precision=precision)
    tools = (accelerator, RunFolder(folder, {"x": 1}), None)
    lines = []
    for line in train.train(denoiser, None, train.Data(texts, texts[:4]), run, tools):
        lines.append(line)
        if line["step"] == stop:
            break
    return lines


def in_half(out):
    """A process of its own: accelerate keeps to one precision in each."""
    card = load(GOLDEN / "llada-tiny").card
    texts = [text_of(sample, card) for sample in samples(card)]
    for line in trained(denoiser := fresh("llada-tiny"), texts, out, precision="bf16"):
        assert line["loss"] < 100
    assert {weight.dtype for weight in denoiser.parameters()} == {torch.float32}


@pytest.mark.slow
def test_products_in_bfloat16(tmp_path):
    """Near the losses of fp32, and not the same; weights, moments and losses stay in fp32."""
    assert together(1, in_half, tmp_path / "half") == [0]
    card = load(GOLDEN / "llada-tiny").card
    texts = [text_of(sample, card) for sample in samples(card)]
    whole = trained(fresh("llada-tiny"), texts, tmp_path / "whole")
    half = [json.loads(line) for line in (tmp_path / "half" / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in half] == pytest.approx(
        [line["loss"] for line in whole], rel=0.05
    )
    assert half[0]["loss"] != whole[0]["loss"]


def state(folder):
    """The tensors of the newest save, byte by byte."""
    [path] = max(folder.glob("state-*")).glob("*.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_an_interrupted_run_goes_on_with_the_same_digits(texts, model, tmp_path, stop):
    name = f"{model.card.family}-tiny"
    whole = trained(fresh(name), texts, tmp_path / "a")
    trained(fresh(name), texts, tmp_path / "b", stop=stop)
    denoiser = fresh(name)
    trained(denoiser, texts, tmp_path / "b")
    logs = [(tmp_path / one / "log.jsonl").read_text() for one in "ab"]
    assert logs[0] == logs[1]
    assert len(logs[0].splitlines()) == len(whole) == 6
    assert state(tmp_path / "a") == state(tmp_path / "b")


def test_it_learns(texts, model, tmp_path):
    lines = trained(fresh(f"{model.card.family}-tiny"), texts[:8], tmp_path, steps=30)
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert lines[-1]["held_out_loss"] < lines[2]["held_out_loss"]


def test_the_held_out_loss_is_that_of_the_model(texts, model, tmp_path):
    """Token by token from `Model.logits`, with the draws of a look."""
    held = texts[:12]
    model.denoiser.requires_grad_(requires_grad=True)
    run = train.Run(replace(RECIPE, rate=1e-12, filler=0.5), 1, 0, 4, 2, look=1)
    tools = (Accelerator(cpu=True), RunFolder(tmp_path, {}), lambda: {"decode_forwards": 3.5})
    [line] = train.train(model.denoiser, None, train.Data(texts[12:], held), run, tools)
    losses, right, padding = [], [], []
    for text in held:
        draw = Noise(run.recipe, 0)(text, 0, 1.0).draw
        for asked in (draw.hidden_L, draw.rest_L):
            ids = np.where(asked | draw.blank_L, model.card.mask_id, text.ids_L)
            with torch.no_grad():
                logits = model.logits(ids.tolist()).double()
            for at in np.flatnonzero(asked):
                losses.append(-logits[at].log_softmax(-1)[text.ids_L[at]].item())
                same = logits[at].argmax().item() == text.ids_L[at]
                (right if at < text.end else padding).append(same)
    assert line["held_out_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert padding, "it is asked for, and left out of what was right"
    assert line["held_out_right"] == pytest.approx(np.mean(right))
    assert line["decode_forwards"] == 3.5


def test_a_loss_that_is_no_number_names_the_samples_and_keeps_the_save(texts, model, tmp_path):
    denoiser = fresh(f"{model.card.family}-tiny")
    trained(denoiser, texts, tmp_path, steps=20, stop=4)
    before = state(tmp_path)
    denoiser.norm.weight.data.fill_(torch.nan)
    folder = RunFolder(tmp_path, {"x": 1})
    folder.resume = lambda *_: 4  # the weights in memory are what is broken
    run = train.Run(RECIPE, 20, 0, 4, 2)
    tools = (Accelerator(cpu=True), folder, None)
    with pytest.raises(TrainError, match=r"step 5, of samples \d+, .*; the last save stands"):
        list(train.train(denoiser, None, train.Data(texts), run, tools))
    assert state(tmp_path) == before


def test_a_full_disk_keeps_the_last_save(texts, model, tmp_path, monkeypatch):
    denoiser = fresh(f"{model.card.family}-tiny")
    trained(denoiser, texts, tmp_path, steps=20, stop=4)
    before = state(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saves.HuggingFaceStorageWriter, "write_data", full)
    with pytest.raises(InputError, match=r"No space left.*the last save stands"):
        trained(denoiser, texts, tmp_path, steps=20)
    assert state(tmp_path) == before, "and no draft beside it"


def test_other_settings_and_other_folders_are_refused(tmp_path):
    RunFolder(tmp_path / "run", {"rate": 1, "seed": 0})
    with pytest.raises(InputError, match=r"other settings \(rate\)"):
        RunFolder(tmp_path / "run", {"rate": 2, "seed": 0})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="holds something else"):
        RunFolder(tmp_path / "other", {})
    (tmp_path / "run" / "state-000002").mkdir()
    (tmp_path / "run" / "state-000002" / "shard.safetensors").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"no save that is whole \(state-000002: "):
        RunFolder(tmp_path / "run", {"rate": 1, "seed": 0}).resume({}, None)


def test_the_student_loads_under_the_names_of_its_base(model, texts, tmp_path):
    base = GOLDEN / f"{model.card.family}-tiny"
    trained(denoiser := fresh(base.name), texts, tmp_path / "run", steps=2)
    checkpoint.export(denoiser, base, tmp_path / "student")
    student = load(tmp_path / "student")
    ids = texts[0].ids_L.tolist()
    with torch.no_grad():
        assert torch.allclose(student.logits(ids), replace(model, denoiser=denoiser).logits(ids))
    keys = [set(load_file(one / "model.safetensors")) for one in (base, tmp_path / "student")]
    assert keys[0] == keys[1]


def test_classes_of_the_reference_are_found_where_their_code_lies(tmp_path):
    """Either the code is beside the weights, or the student says which hub repository has it."""
    base = tmp_path / "base"
    shutil.copytree(GOLDEN / "llada-tiny", base)
    config = json.loads((base / "config.json").read_text())
    classes = {
        "AutoModel": "modeling_llada.LLaDAModelLM", "AutoConfig": "configuration_llada.LLaDAConfig",
        "AutoTokenizer": ["other/repo--tokenization.Fast", None],
    }  # fmt: skip
    (base / "config.json").write_text(json.dumps(config | {"auto_map": classes}))
    (base / "configuration_llada.py").write_text("x = 1\n")
    model = load(base)
    checkpoint.export(model.denoiser, base, tmp_path / "student", code="GSAI-ML/LLaDA")
    found = json.loads((tmp_path / "student" / "config.json").read_text())
    hub = {"AutoModel": "GSAI-ML/LLaDA--modeling_llada.LLaDAModelLM"}
    assert found == config | {"auto_map": classes | hub}
    assert (tmp_path / "student" / "configuration_llada.py").exists()
    checkpoint.export(model.denoiser, base, tmp_path / "own", code=str(base))
    assert json.loads((tmp_path / "own" / "config.json").read_text())["auto_map"] == classes


PUBLISHED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LLADA = ("q_proj", "k_proj", "v_proj", "attn_out", "ff_proj", "up_proj", "ff_out")


def test_a_target_that_matches_nothing_is_named():
    model, base = load(GOLDEN / "llada-tiny"), GOLDEN / "llada-tiny"
    with pytest.raises(InputError, match="targets o_proj, gate_proj, down_proj match no module"):
        lora.attach(model.denoiser, base, Lora(4, 4, PUBLISHED))
    count = lora.attach(model.denoiser, base, Lora(4, 4, PUBLISHED), strict=False)
    assert count == 3 * 4 * (3 * (64 + 64) + (64 + 128)), "q, k, v and up alone"


@pytest.mark.parametrize(("name", "targets"), [("llada-tiny", LLADA), ("dream-tiny", PUBLISHED)])
def test_all_seven_matrices_learn_and_merge(name, targets, tmp_path):
    base = GOLDEN / name
    model = load(base)
    texts = [text_of(sample, model.card) for sample in samples(model.card)]
    how = Lora(4, 8, targets)
    lora.attach(model.denoiser, base, how)
    assert len(lora.layers(model.denoiser)) == 3 * 7
    trained(model.denoiser, texts, tmp_path / "run", steps=4)
    lora.save(model.denoiser, base, how, tmp_path / "adapter")
    merged = load(base)
    lora.merge(merged.denoiser, adapter.read(tmp_path / "adapter", base))
    ids = texts[0].ids_L.tolist()
    with torch.no_grad():
        changed = (merged.logits(ids) - load(base).logits(ids)).abs().max()
        assert changed > 1e-3
        assert torch.allclose(merged.logits(ids), model.logits(ids), atol=1e-4)
    keys = load_file(tmp_path / "adapter" / adapter.FILE)
    assert all(key.startswith("base_model.model.model.") for key in keys)
    config = json.loads((tmp_path / "adapter" / adapter.SETTINGS).read_text())
    assert sorted(config["target_modules"]) == sorted(targets)
    head = ["model.transformer.ff_out"] if name == "llada-tiny" else None
    assert config["exclude_modules"] == head, "LLaDA's head is called like a down projection"


def test_an_adapter_of_something_else_is_refused(tmp_path):
    base = GOLDEN / "llada-tiny"
    with pytest.raises(InputError, match="cannot be read"):
        adapter.read(tmp_path, base)
    model = load(GOLDEN / "dream-tiny")
    how = Lora(2, 2, PUBLISHED)
    lora.attach(model.denoiser, GOLDEN / "dream-tiny", how)
    lora.save(model.denoiser, GOLDEN / "dream-tiny", how, tmp_path)
    with pytest.raises(InputError, match="no module of this model"):
        adapter.read(tmp_path, base)


SIZES = {
    llada: {
        "d_model": 4096, "n_heads": 32, "n_kv_heads": 32, "n_layers": 32, "mlp_hidden_size": 12288,
    },
    dream: {
        "hidden_size": 3584, "num_attention_heads": 28, "num_key_value_heads": 4,
        "num_hidden_layers": 28, "intermediate_size": 18944,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("family", "rank", "count"), [(llada, 128, 167_772_160), (dream, 32, 80_740_352)]
)
def test_parameters_of_the_published_adapters(tmp_path, family, rank, count):
    """Spec T17, without weights: rank 128 on the four of the names that LLaDA-8B has, rank 32 on
    all seven of Dream-7B."""
    name = family.__name__.rpartition(".")[2]
    config = json.loads((GOLDEN / f"{name}-tiny" / "config.json").read_text()) | SIZES[family]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with torch.device("meta"):
        model = Transformer(family.body(config), family.card(config, name))
        how = Lora(rank, rank, PUBLISHED)
        assert lora.attach(model, tmp_path, how, strict=family is dream) == count


def harvest(folder, card, count=24):
    shards = Shards(folder, {"source": "test"})
    shards.write(list(samples(card, count)))
    return folder


def test_unusable_samples_are_counted_and_left_out(model, tmp_path):
    shards = Shards(tmp_path, {"source": "test"})
    good, wrong, long, endless = list(samples(model.card, 4))
    wrong = replace(wrong, correct=0)
    tokens = np.full(90, 7, np.uint32)
    tokens[85:] = model.card.end_ids[0]
    long = replace(long, tokens_L=tokens, born_L=np.resize(long.born_L, 90))
    tokens = endless.tokens_L.copy()
    tokens[endless.prompt_length :] = 7
    shards.write([good, wrong, long, replace(endless, tokens_L=tokens)])
    texts, sorting = load_texts([read_manifest(tmp_path)], model.card, 80, keep_wrong=False)
    assert [text.index for text in texts] == [0]
    assert asdict(sorting) == {"kept": 1, "wrong": 1, "long": 1, "endless": 1}
    assert len(load_texts([read_manifest(tmp_path)], model.card, 80, keep_wrong=True)[0]) == 2
    with pytest.raises(InputError, match="no usable sample: 1 are wrong, 2 longer than 10"):
        load_texts([read_manifest(tmp_path)], model.card, 10, keep_wrong=False)


def test_padding_does_not_make_a_text_too_long(model, tmp_path):
    shards = Shards(tmp_path, {"source": "test"})
    shards.write(list(samples(model.card, 4)))
    texts, sorting = load_texts([read_manifest(tmp_path)], model.card, 28, keep_wrong=False)
    assert sorting.kept == 4
    assert {len(text) for text in texts} <= {27, 28}
    assert all(len(text.order_L) == len(text) >= text.end for text in texts)


def test_an_empty_draw_of_the_reference_is_a_step_without_a_loss(model, tmp_path):
    """Spec T5: loss 0 with a graph, nothing else stops."""
    text = text_of(next(iter(samples(model.card, ragged=False))), model.card)
    recipe = replace(RECIPE, compat="reference", batch=1, widths=(24,))
    empty = [
        seed for seed in range(20) if not Noise(recipe, seed)(text, 0, 0.0).draw.hidden_L.any()
    ]
    assert empty, "one draw in two is the empty tail"
    run = train.Run(recipe, 2, empty[0], 1, 1, 1)
    tools = (Accelerator(cpu=True), RunFolder(tmp_path, {}), None)
    denoiser = fresh(f"{model.card.family}-tiny")
    lines = list(train.train(denoiser, None, train.Data([text], [text]), run, tools))
    assert lines[0]["loss"] == 0
    assert len(lines) == 2


def test_two_harvests_are_one_data_set(model, tmp_path):
    for name in "ab":
        harvest(tmp_path / name, model.card, 3)
    texts, _ = load_texts(
        [read_manifest(tmp_path / name) for name in "ab"], model.card, 99, keep_wrong=False
    )
    assert [text.index for text in texts] == [0, 1, 2, 1_000_000, 1_000_001, 1_000_002]


def test_a_teacher_whose_ids_mean_other_text_is_refused(tmp_path):
    """Even if every id is known: digests of the pieces of text are compared."""
    tiny = load("tiny")
    ours, theirs = tiny.codec.digest(), "0123456789abcdef"
    assert ours == load("tiny-fast").codec.digest()
    for name, vocabulary in (("same", ours), ("other", theirs), ("unknown", None)):
        Shards(tmp_path / name, {"model": "llama", "vocabulary": vocabulary})
    same, other, unknown = (read_manifest(tmp_path / name) for name in ("same", "other", "unknown"))
    check_teacher([same, unknown], tiny.card, ours)
    check_teacher([other], tiny.card, None)
    with pytest.raises(InputError, match=r"other was harvested with llama, whose token ids mean"):
        check_teacher([same, other], tiny.card, ours)


def test_a_follower_that_does_not_start_is_named(monkeypatch, tmp_path):
    """Each library raises what it likes: not logged in, say."""

    def refuse(*_, **__):
        raise RuntimeError("no key\nsee there")

    monkeypatch.setattr(Accelerator, "init_trackers", refuse)
    with pytest.raises(InputError, match=r"--follow wandb does not start \(no key\); log in"):
        session._follow(Accelerator(cpu=True), "wandb", tmp_path)


def test_another_vocabulary_is_refused(model, tmp_path):
    small = replace(model.card, vocabulary=50)
    harvest(tmp_path, model.card)
    with pytest.raises(InputError, match="knows 0 to 49; the teacher has another vocabulary"):
        load_texts([read_manifest(tmp_path)], small, 100, keep_wrong=False)


SCRIPT = """
import os, sys, signal
from unmask.distill import checkpoint
step = int(sys.argv.pop(1))
log = checkpoint.RunFolder.log
def killed(self, line):
    log(self, line)
    if line["step"] == step:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.RunFolder.log = killed
from unmask.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_kill_9_and_again(tmp_path):
    base = GOLDEN / "llada-tiny"
    harvest(tmp_path / "data", load(base).card)
    command = [
        "distill", "--recipe", "d3llm-tiny", "--model", str(base), "--data", str(tmp_path / "data"),
        "--steps", "7", "--save-every", "2", "--set", "batch=8", "--set", "widths=[8]",
    ]  # fmt: skip

    def run(out, *before):
        python = [sys.executable, *before, *command, "--out", str(tmp_path / out)]
        return subprocess.run(python, check=False, capture_output=True, text=True, timeout=300)

    assert run("a", "-m", "unmask").returncode == 0
    for step in (1, 3, 6):
        assert run("b", "-c", SCRIPT, str(step)).returncode == -9
    done = run("b", "-m", "unmask")
    assert done.returncode == 0, done.stderr
    a, b = ((tmp_path / one / "log.jsonl").read_text() for one in "ab")
    assert a == b
    student = [(tmp_path / one / "student" / "model.safetensors").read_bytes() for one in "ab"]
    assert student[0] == student[1]


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
    """As documented: torchrun, weights cut. Every mean is over the global batch."""
    base = GOLDEN / "llada-tiny"
    harvest(tmp_path / "data", load(base).card)
    command = [
        "distill", "--recipe", "dparallel-tiny", "--model", str(base), "--steps", "3",
        "--data", str(tmp_path / "data"), "--set", "batch=7", "--micro-batch", "3", "--device",
        "cpu",
    ]  # fmt: skip
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    assert main([*command, "--out", str(tmp_path / "none"), "--shard"]) == 2
    two = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "unmask", *command, "--out", str(tmp_path / "two"), "--shard", "--recompute",
    ]  # fmt: skip
    done = subprocess.run(two, check=False, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    logs = []
    for name in ("one", "two"):
        lines = (tmp_path / name / "log.jsonl").read_text().splitlines()
        logs.append([json.loads(line) for line in lines])
    assert len(logs[1]) == 3
    for first, second in zip(*logs, strict=True):
        assert second == pytest.approx(first, rel=1e-5)
    assert load(tmp_path / "two" / "student").card.vocabulary == load(base).card.vocabulary


def test_steps_and_rates_of_a_recipe():
    assert train.steps_of(RECIPE, 80) == 20
    assert train.steps_of(RECIPE, 3) == 2, "a batch is never larger than the data"
    warm = replace(RECIPE, warmup=0.1, schedule="linear")
    shares = [train.rate_share(warm, step, 20) for step in range(20)]
    assert shares[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert shares[-1] == pytest.approx(1 / 18)
    cosine = replace(RECIPE, schedule="cosine")
    assert train.rate_share(cosine, 10, 20) == pytest.approx(0.5)
    assert train.rate_share(RECIPE, 19, 20) == 1.0
