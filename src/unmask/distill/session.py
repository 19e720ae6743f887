"""One training run from names on disk to a student on disk. Needs the extra ``train``."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from unmask import catalogue
from unmask.decode import policy
from unmask.distill import lora, train
from unmask.distill.checkpoint import NOTES, RunFolder, Tell, export
from unmask.distill.orders import ordered
from unmask.distill.recipe import OBJECTIVES, Recipe
from unmask.distill.shards import Manifest, read_manifest
from unmask.distill.texts import Sorting, Text, check_teacher, load
from unmask.errors import InputError, TrainError
from unmask.files import reason_of
from unmask.models import loading

HELD = 20
"""One text in so many is held out, at most `MOST_HELD`, if anybody looks at them."""
MOST_HELD = 64


@dataclass(frozen=True)
class Wish:
    """What the user asks for. ``steps`` None: the recipe's epochs; ``look`` 0: hold nothing out;
    ``precision`` of matrix products: no or bf16; ``follow``: a tracker of accelerate, or none;
    ``sharded``: cut the weights among the processes."""

    recipe: Recipe
    model: str
    data: tuple[Path, ...]
    out: Path
    device: str = "auto"
    steps: int | None = None
    seed: int = 0
    micro: int = 16
    every: int = 50
    look: int = 0
    precision: str = "no"
    follow: str | None = None
    recompute: bool = False
    sharded: bool = False


@dataclass(frozen=True)
class Session:
    """A run about to start, or to go on."""

    wish: Wish
    base: Path
    student: loading.Model
    texts: list[Text]
    held: list[Text]
    sorting: Sorting
    steps: int
    trainable: int
    folder: RunFolder
    accelerator: Accelerator

    def lines(self, probe: train.Probe | None) -> Iterator[train.Line]:
        """Train; a line per step, and `product` behind the last one. ``probe`` adds figures
        whenever there is a look."""
        wish = self.wish
        teacher = None
        if any(_objective(name).NEEDS_TEACHER for name in wish.recipe.objectives):
            teacher = loading.load(wish.model, _place(self.accelerator), "float32").denoiser
        tools = (self.accelerator, self.folder, probe)
        data = train.Data(self.texts, self.held)
        if wish.follow:
            _follow(self.accelerator, wish.follow, wish.out)
        try:
            for line in train.train(self.student.denoiser, teacher, data, self.run, tools):
                numbers = {
                    name: value
                    for name, value in line.items()
                    if name != "step" and isinstance(value, (int, float))
                }
                self.accelerator.log(numbers, step=line["step"])
                yield line
            self._write()
        except torch.OutOfMemoryError:
            raise TrainError(
                f"the device has too little memory for micro-batches of {wish.micro}; lower "
                "--micro-batch or give --recompute, the run goes on from its last save"
            ) from None
        finally:
            self.folder.close()
            self.accelerator.end_training()

    @property
    def run(self) -> train.Run:
        """What the training loop is told."""
        wish = self.wish
        return train.Run(
            wish.recipe, self.steps, wish.seed, wish.micro, wish.every, wish.look, wish.sharded
        )

    @property
    def product(self) -> Path:
        """Where what was learnt is written to: a checkpoint, or the adapters alone."""
        return self.wish.out / ("adapter" if self.wish.recipe.lora else "student")

    def _write(self) -> None:
        """Every process gives its part of the weights, the first one writes."""
        student, owner = self.student.denoiser, self.accelerator.is_main_process
        if self.wish.recipe.lora:
            lora.save(student, self.base, self.wish.recipe.lora, self.product, owner=owner)
        else:
            export(student, self.base, self.product, owner=owner, code=self.wish.model)


def begin(wish: Wish, tell: Tell = NOTES.warning) -> Session:
    """Load everything and check it; ``tell`` is told what was damaged.

    Raises:
        InputError: something cannot be; the message says what.
    """
    accelerator = accelerator_of(wish)
    if wish.sharded and accelerator.num_processes == 1:
        raise InputError(
            "--shard cuts the weights among several processes, and there is one; start them with "
            "torchrun --nproc-per-node N -m unmask ..., or leave --shard out"
        )
    base = loading.find_folder(wish.model)
    student = loading.load(wish.model, _place(accelerator), "float32")
    if student.card.span is not None:
        kind = "causal" if student.card.causal else "block-causal"
        raise InputError(
            f"model={wish.model!r} is {kind}; only models that see the whole text can be trained"
        )
    recipe = wish.recipe
    # Read once: a harvest that is under way may add to it, and a resumed run has to see the same.
    harvests = manifests(wish.data)
    check_teacher(harvests, student.card, student.codec.digest() if student.codec else None)
    policy.make(student.card, recipe.decode.preset, recipe.decode.settings, student.defaults)
    texts, sorting = load(harvests, student.card, recipe.max_length, keep_wrong=recipe.keep_wrong)
    texts = ordered(texts, recipe.order, student.denoiser)
    held = texts[::HELD][:MOST_HELD] if wish.look and len(texts) > 1 else []
    taken = {text.index for text in held}
    own = [text for text in texts if text.index not in taken]
    steps = wish.steps or train.steps_of(recipe, len(own))
    if min(recipe.batch, len(own)) < accelerator.num_processes:
        raise InputError(
            f"{accelerator.num_processes} processes need at least as many texts a step; "
            f"there are {len(own)}, and batch={recipe.batch}"
        )
    folder = open_folder(wish.out, settings_of(wish, harvests, steps), accelerator, tell)
    trainable = make_trainable(student, base, recipe)
    student.denoiser.recompute = wish.recompute
    return Session(wish, base, student, own, held, sorting, steps, trainable, folder, accelerator)


def manifests(folders: Sequence[Path]) -> list[Manifest]:
    """What the harvests in ``folders`` say of themselves."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("--data names a folder twice; give each once")
    return [read_manifest(folder) for folder in folders]


def open_folder(
    out: Path, settings: dict[str, Any], accelerator: Accelerator, tell: Tell = NOTES.warning
) -> RunFolder:
    """The folder of a run, opened by its owner first; all processes have to see the same one.

    Raises:
        InputError: it cannot be used, or a machine has another folder of this name: saves would be
            in parts on several disks.
    """
    owner = accelerator.is_main_process
    folder = RunFolder(out, settings, tell=tell) if owner else None
    if accelerator.num_processes > 1:
        [mark] = broadcast_object_list([f"{secrets.token_hex(8)}.part"])
        if owner:
            (out / mark).touch()
        accelerator.wait_for_everyone()
        seen: list[bool] = gather_object([(out / mark).exists()])
        if owner:
            (out / mark).unlink()
        if not all(seen):
            raise InputError(
                f"{len(seen) - sum(seen)} of {len(seen)} processes do not see the folder {out} "
                "that the first one writes to; give a folder on a disk that all machines share"
            )
    return folder or RunFolder(out, settings, owner=False)


def accelerator_of(wish: Wish) -> Accelerator:
    """The accelerator of this process, on its own device.

    Raises:
        InputError: the device is not there, or the follower is not installed.
    """
    where = loading.pick_device(wish.device)
    if where.type == "cuda" and where.index is not None:
        torch.cuda.set_device(where)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`log_with=")  # said below
        found = Accelerator(
            mixed_precision=wish.precision,
            cpu=where.type == "cpu",
            log_with=wish.follow,
            project_dir=str(wish.out) if wish.follow else None,
        )
    if wish.follow and not found.log_with:
        raise InputError(f"--follow {wish.follow} is not installed; pip install {wish.follow}")
    return found


def _follow(accelerator: Accelerator, name: str, out: Path) -> None:
    """Start the follower; what it writes itself goes into the run's folder.

    Raises:
        InputError: it does not start, not logged in, say.
    """
    try:
        accelerator.init_trackers("unmask", init_kwargs={"wandb": {"dir": str(out)}})
    except Exception as error:  # each has its own classes
        raise InputError(
            f"--follow {name} does not start ({reason_of(error)}); log in there, or leave it out"
        ) from None


def _place(accelerator: Accelerator) -> str:
    """The device to load to. Processes on CPUs have numbers, CPUs have none."""
    device = accelerator.device
    return "cpu" if device.type == "cpu" else str(device)


def settings_of(wish: Wish, harvests: Sequence[Manifest], steps: int) -> dict[str, Any]:
    """All that the losses depend on."""
    recipe = asdict(wish.recipe)
    del recipe["decode"]  # looked at only
    return {
        "recipe": recipe,
        "model": wish.model,
        "data": [harvest.digest for harvest in harvests],
        "steps": steps,
        "seed": wish.seed,
        "micro_batch": wish.micro,
        "held_out": bool(wish.look),
        "precision": wish.precision,
    }


def _objective(name: str) -> ModuleType:
    return catalogue.find(OBJECTIVES, name, "objective")


def make_trainable(student: loading.Model, base: Path, recipe: Recipe) -> int:
    """All weights, or fresh adapters; how many parameters that is."""
    if recipe.lora:
        return lora.attach(student.denoiser, base, recipe.lora, strict=recipe.compat is None)
    student.denoiser.requires_grad_(requires_grad=True)
    return sum(p.numel() for p in student.denoiser.parameters())
