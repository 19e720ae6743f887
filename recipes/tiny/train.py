"""Trains a built-in model: masked (`tiny`) or causal (`tiny-ar`), from scratch, resumable.

    python recipes/tiny/train.py --kind masked --out runs/tiny --steps 9000 \\
        --snips snips_train.jsonl.gz --sudoku-test sudoku4x4_test.jsonl

A killed run goes on where it stopped when the same command is given again. See README.md here for
the commands, times and figures of the weights that ship.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from data import Batch, mix
from muon import Muon
from unmask.models import weights
from unmask.models.blocks import Transformer
from unmask.models.families import tiny

CPU = torch.device("cpu")
WINDOWS = (8, 16, 32, 96)
WINDOW_SHARE = 0.33
NUMBER_SHARE = 0.33


def config(arguments: argparse.Namespace, tokenizer: Tokenizer) -> dict[str, object]:
    """The config.json of a checkpoint."""
    end = tokenizer.token_to_id("<|end|>")
    return {
        "model_type": "unmask-tiny",
        "causal": arguments.kind == "causal",
        "logit_shift": 1,  # both kinds: the masked model starts from the causal one, as Dream does
        "hidden_size": arguments.width,
        "num_hidden_layers": arguments.layers,
        "num_attention_heads": arguments.heads,
        "num_key_value_heads": arguments.heads,
        "intermediate_size": arguments.mlp,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": 1024,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "mask_token_id": tokenizer.token_to_id("<|mask|>"),
        "eos_token_id": end,
        "pad_token_id": end,
        "tie_word_embeddings": True,
    }


def fresh(settings: dict[str, object], seed: int) -> Transformer:
    """A model with normal(0, 0.02) weights; output layers are scaled down by depth (GPT-2)."""
    model = Transformer(tiny.body(settings), tiny.card(settings, "tiny"))
    draw = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            shrink = math.sqrt(2 * model.body.layers) if name.split(".")[-2] in OUTPUTS else 1.0
            torch.nn.init.normal_(weight, std=0.02 / shrink, generator=draw)
    return model


OUTPUTS = ("attention_out", "down")


def masked_loss(model: Transformer, batch: Batch, draw: torch.Generator) -> Tensor:
    """Masked-diffusion loss (LLaDA, eq. 3, in its fixed-count form): mean over rows of mean CE.

    A third of the rows hide k of the n canvas positions, k uniform. The others are states that
    block-wise decoding visits: a clean prefix, a part-masked window, nothing but masks behind it;
    in half of them the window is a single number, for numbers are what the model has to work out.
    """
    hidden, targets = masks(batch, draw)
    ids = batch.ids.masked_fill(hidden, model.card.mask_id)
    at = torch.arange(ids.shape[1]).expand_as(ids)
    x = model.norm(model.hidden(ids, at)[:, :-1][targets[:, 1:]])
    loss = F.cross_entropy(model.head(x), batch.ids[targets], reduction="none")
    per_row = targets.sum(1, keepdim=True).expand_as(targets)[targets]
    return (loss / per_row).sum() / len(ids)


def masks(batch: Batch, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Bool [B, L] each: what is hidden, and which of it is a target."""
    if batch.hidden is not None and batch.targets is not None:
        return batch.hidden, batch.targets
    rows, length = batch.ids.shape
    at = torch.arange(length).expand(rows, length)
    canvas = at >= batch.start[:, None]
    width = torch.tensor(WINDOWS)[torch.randint(len(WINDOWS), (rows,), generator=draw)]
    first = batch.start + (torch.rand(rows, generator=draw) * (batch.end - batch.start)).long()
    # One in three: the text is clean up to a number, and only this number is asked.
    numbers = batch.numbers & canvas & (at < batch.end[:, None])
    which = torch.rand(rows, generator=draw)
    single = (which < NUMBER_SHARE) & numbers.any(1)
    pick = torch.multinomial(numbers.float() + 1e-9, 1, generator=draw)[:, 0]
    first, width = torch.where(single, pick, first), torch.where(single, 1, width)
    ordered = single | (which < NUMBER_SHARE + WINDOW_SHARE)
    first = torch.where(ordered, first, batch.start)
    last = torch.where(ordered, (first + width).clamp(max=length), length)
    window = (at >= first[:, None]) & (at < last[:, None])
    size = window.sum(1)
    # Stratified over the batch: row i draws from the i-th slice of (0, 1].
    share = (torch.randperm(rows, generator=draw) + torch.rand(rows, generator=draw)) / rows
    count = (share * size).ceil().clamp(min=1)
    noise = torch.rand(rows, length, generator=draw).masked_fill(~window, 2.0)
    targets = noise.argsort(1).argsort(1) < count[:, None]
    return targets | (at >= last[:, None]) & canvas, targets


def causal_loss(model: Transformer, batch: Batch, draw: torch.Generator) -> Tensor:
    """Next-token CE over the answer and its end token, mean over rows of mean over tokens."""
    del draw
    ids = batch.ids
    at = torch.arange(ids.shape[1]).expand_as(ids)
    targets = batch.targets
    if targets is None:
        targets = (at >= batch.start[:, None]) & (at < batch.end[:, None])
    x = model.norm(model.hidden(ids[:, :-1], at[:, :-1])[targets[:, 1:]])
    loss = F.cross_entropy(model.head(x), ids[targets], reduction="none")
    per_row = targets.sum(1, keepdim=True).expand_as(targets)[targets]
    return (loss / per_row).sum() / len(ids)


def rate(step: int, steps: int, decay: float) -> float:
    """Share of the peak: warm-up over 100 steps, constant, linear to zero in the ``decay`` part."""
    return min(1.0, (step + 1) / 100, (steps - step) / (decay * steps))


def rows_of_tasks(arguments: argparse.Namespace) -> dict[str, int]:
    """Rows of every task in one step; a task without rows is left out."""
    sizes = {
        "stories": arguments.stories,
        "sums": arguments.sums,
        "open sums": arguments.open_sums,
        "sudoku": arguments.sudoku,
        "snips": arguments.snips_rows,
    }
    return {task: rows for task, rows in sizes.items() if rows}


def train(arguments: argparse.Namespace) -> None:
    """The loop."""
    tokenizer = Tokenizer.from_file(str(arguments.tokenizer))
    settings = config(arguments, tokenizer)
    model = fresh(settings, arguments.seed)
    if arguments.init:
        weights.fill(model, arguments.init, tiny.weight_names(settings), CPU, torch.float32)
        model.requires_grad_(requires_grad=True)
    loss_of = causal_loss if arguments.kind == "causal" else masked_loss
    inner = [weight for weight in model.blocks.parameters() if weight.dim() == 2]
    outer = [weight for weight in model.parameters() if all(weight is not other for other in inner)]
    peaks = {
        Muon(inner, arguments.rate): arguments.rate,
        torch.optim.AdamW(outer, betas=(0.9, 0.95), weight_decay=0.0): arguments.outer_rate,
    }
    first = resume(arguments.out, model, list(peaks))
    arguments.out.mkdir(parents=True, exist_ok=True)
    log = (arguments.out / "log.jsonl").open("a")
    sizes = rows_of_tasks(arguments)
    files = {"snips_train": arguments.snips, "sudoku_test": arguments.sudoku_test}
    causal = arguments.kind == "causal"
    source = mix(tokenizer, sizes, files, arguments.seed + first, causal=causal)
    started, tokens = time.time(), 0
    for step, batches in numbered(source, first, arguments.steps):
        draw = torch.Generator().manual_seed(arguments.seed * 1_000_003 + step)
        losses = {}
        for task, batch in zip(sizes, batches, strict=True):
            loss = loss_of(model, batch, draw)
            (loss * sizes[task] / sum(sizes.values())).backward()  # type: ignore[no-untyped-call]
            losses[task] = loss.detach()
            tokens += batch.ids.numel()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser, peak in peaks.items():
            share = rate(step, arguments.steps, arguments.decay)
            optimiser.param_groups[0]["lr"] = peak * share
            optimiser.step()
            optimiser.zero_grad()
        if step % 50 == 49:
            seconds = round(time.time() - started)
            line: dict[str, float] = {"step": step + 1, "seconds": seconds, "tokens": tokens}
            line |= {task: round(float(loss), 4) for task, loss in losses.items()}
            print(json.dumps(line), file=log, flush=True)
        if (step + 1) % arguments.save_every == 0 or step + 1 == arguments.steps:
            save(arguments.out, model, list(peaks), step + 1, settings, tokenizer)


def numbered(
    batches: Iterator[list[Batch]], first: int, steps: int
) -> Iterator[tuple[int, list[Batch]]]:
    """(step, batches) for the steps that are left."""
    return zip(range(first, steps), batches, strict=False)


def save(
    out: Path,
    model: Transformer,
    optimisers: list[torch.optim.Optimizer],
    step: int,
    settings: dict[str, object],
    tokenizer: Tokenizer,
) -> None:
    """A loadable checkpoint in bf16, and the state to resume from."""
    names = tiny.weight_names(settings)
    tensors = model.state_dict()
    out.mkdir(parents=True, exist_ok=True)
    save_file(
        {k: tensors[v].bfloat16().contiguous() for k, v in names.items()}, out / "model.safetensors"
    )
    (out / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
    tokenizer.save(str(out / "tokenizer.json"))
    state = {"model": tensors, "optimisers": [o.state_dict() for o in optimisers], "step": step}
    torch.save(state, out / "resume.tmp")
    (out / "resume.tmp").replace(out / "resume.pt")


def resume(out: Path, model: Transformer, optimisers: list[torch.optim.Optimizer]) -> int:
    """The step to go on from; 0 for a new run."""
    if not (out / "resume.pt").exists():
        return 0
    state = torch.load(out / "resume.pt", weights_only=True)
    model.load_state_dict(state["model"])
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    return int(state["step"])


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=("masked", "causal"), required=True)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint folder")
    parser.add_argument("--tokenizer", type=Path, required=True, help="from tokenizer.py")
    parser.add_argument("--snips", type=Path, required=True, help="snips_train.jsonl[.gz]")
    parser.add_argument("--sudoku-test", type=Path, required=True, help="puzzles to leave out")
    for name, value in {
        "steps": 9000, "stories": 32, "sums": 24, "open-sums": 80, "sudoku": 12, "snips-rows": 8,
        "width": 128, "layers": 6, "heads": 4, "mlp": 352, "seed": 0, "save-every": 250,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--init", type=Path, help="checkpoint folder whose weights to start from")
    parser.add_argument("--rate", type=float, default=0.02, help="peak learning rate of Muon")
    parser.add_argument("--outer-rate", type=float, default=4e-3, help="the same of AdamW")
    parser.add_argument("--decay", type=float, default=0.4, help="share of the steps")
    return parser.parse_args()


if __name__ == "__main__":
    train(parse())
