"""What `unmask distill` and `unmask train` share: options, progress, a quick decode."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli import prompt_file
from unmask.cli.screen import Screen, tell
from unmask.decode import policy
from unmask.decode.generate import generate
from unmask.decode.settings import whole_number
from unmask.distill import recipe as recipes
from unmask.distill.recipe import Recipe
from unmask.distill.shards import read_manifest
from unmask.distill.texts import APART
from unmask.errors import InputError, counted
from unmask.evaluate import examples as tasks

if TYPE_CHECKING:
    from unmask.distill.session import Session

FOLLOWERS = ("tensorboard", "wandb", "trackio")


def add_options(parser: argparse.ArgumentParser, recipe: str | None, *, out: bool = True) -> None:
    """The options of a run; ``recipe``: the default one; ``out``: whether anything is written."""
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR",
        help="folders of unmask harvest",
    )  # fmt: skip
    if out:
        parser.add_argument(
            "--out", type=Path, required=True, metavar="DIR", help="folder of the run"
        )
    add_recipe(parser, recipe)
    parser.add_argument("--steps", type=int, metavar="N", help="instead of the recipe's epochs")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument(
        "--micro-batch", type=int, default=16, metavar="N", help="texts a forward (default: 16)"
    )
    parser.add_argument(
        "--save-every", type=int, default=50, metavar="N", help="steps (default: 50)"
    )
    parser.add_argument(
        "--look-every", type=int, default=0, metavar="N",
        help="steps between two looks: held-out loss and a quick decode (default: never)",
    )  # fmt: skip
    if out:
        parser.add_argument("--follow", choices=FOLLOWERS, help="show the run there as well")
    parser.add_argument("--recompute", action="store_true", help="gradient checkpointing")
    if out:
        parser.add_argument(
            "--shard", action="store_true", help="cut weights and moments among the processes"
        )
    parser.add_argument(
        "--precision", choices=["no", "bf16"], default="no", help="of matrix products (default: no)"
    )


def add_recipe(parser: argparse.ArgumentParser, default: str | None) -> None:
    """--recipe, --set, --compat and the model."""
    parser.add_argument(
        "--recipe", default=default, required=default is None, metavar="NAME",
        help=f"{', '.join(recipes.names())}; or a TOML file of yours",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE",
        help="change a field of the recipe, say rate=1e-4 or widths=[16,32]; repeatable",
    )  # fmt: skip
    parser.add_argument("--compat", choices=["reference"], help="as the reference trains")
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", default="tiny", metavar="NAME",
        help="built-in name, checkpoint folder or hub id (default: tiny)",
    )  # fmt: skip
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """The recipe with what --set and --compat change."""
    changes = {}
    for given in arguments.set:
        name, equals, value = given.partition("=")
        if not equals:
            raise InputError(f"--set {given!r} has no '='; give FIELD=VALUE, say rate=1e-4")
        changes[name.strip()] = value
    recipe = recipes.read(arguments.recipe, changes)
    return recipes.with_compat(recipe) if arguments.compat else recipe


def run(arguments: argparse.Namespace) -> None:
    """Train with a progress bar; write the student (or its adapter)."""
    session = begin(arguments)
    main = session.accelerator.is_main_process
    screen = Screen()
    if main:
        screen.print(
            f"{session.student.card.name}: {counted(len(session.texts), 'text')}"
            f"{_left_out(session.sorting)}, {counted(session.steps, 'step')}, "
            f"{counted(session.trainable, 'trainable parameter')}",
            soft_wrap=True,
        )
    with prompt_file.progress_bar(disable=not main) as progress:
        bar = progress.add_task("steps", total=session.steps)
        for line in session.lines(quick_decode(session)):
            progress.update(bar, completed=line["step"], description=f"loss {line['loss']:.3f}")
    if main:
        out, more = session.product, ""
        if session.wish.recipe.lora:
            more = f" (next: unmask merge --model {arguments.model} --adapter {out} --out DIR)"
        screen.print(f"{out}{more}", soft_wrap=True)


def begin(arguments: argparse.Namespace) -> Session:
    """The session that the options ask for.

    Raises:
        InputError: an option cannot be, or the extra ``train`` is not installed.
    """
    for name in ("steps", "micro_batch", "save_every"):
        if getattr(arguments, name) is not None:
            whole_number(name, getattr(arguments, name), 1, "a whole number of at least 1")
    whole_number("look_every", arguments.look_every, 0, "0 or more steps")
    whole_number("seed", arguments.seed, 0, "0 or more")
    recipe = recipe_of(arguments)
    try:
        from unmask.distill import session
    except ImportError as error:
        raise InputError(
            f"training needs the extra 'train' ({error}); pip install 'unmask[train]'"
        ) from None
    wish = session.Wish(
        recipe=recipe,
        model=arguments.model,
        data=tuple(arguments.data),
        out=arguments.out,
        device=arguments.device,
        steps=arguments.steps,
        seed=arguments.seed,
        micro=arguments.micro_batch,
        every=arguments.save_every,
        look=arguments.look_every,
        precision=arguments.precision,
        follow=getattr(arguments, "follow", None),
        recompute=arguments.recompute,
        sharded=getattr(arguments, "shard", False),
    )
    return session.begin(wish, tell)


def _left_out(sorting: Any) -> str:
    left = {"wrong": sorting.wrong, "too long": sorting.long, "endless": sorting.endless}
    named = [f"{count} {name}" for name, count in left.items() if count]
    return f" (left out: {', '.join(named)})" if named else ""


def quick_decode(session: Session) -> Callable[[], dict[str, Any]] | None:
    """Forwards and right answers on held-out prompts of the first harvest, decoded as the recipe
    says; right by the task that was harvested, or, without one, word for word the teacher's."""
    how, model = session.wish.recipe.decode, session.student
    quick = [text for text in session.held if text.index < APART][: how.prompts]
    if not quick:
        return None
    prompts = [text.ids_L[: text.prompt_length].tolist() for text in quick]
    room = min(len(text) - text.prompt_length for text in quick)
    given = {**how.settings, "max_new_tokens": room}
    rule = policy.make(model.card, how.preset, given, model.defaults).strategy
    named = {"preset": how.preset, "prompts": len(quick), **how.settings, "strategy": str(rule)}
    source = read_manifest(session.wish.data[0]).settings.get("source")
    task, examples = None, []
    if source in tasks.tasks():
        task = tasks.find(source)
        most = max(text.index for text in quick) + 1
        examples = tasks.examples(task, most, split="train")

    def right(number: int, ids: list[int], text: str | None) -> bool:
        known = quick[number]
        if task:
            return task.is_right(examples[known.index], text or "")
        theirs: list[int] = known.ids_L[known.prompt_length : known.end].tolist()
        return ids[: len(theirs)] == theirs

    def look() -> dict[str, Any]:
        results = generate(model, prompts, how.preset, **given)
        hits = [right(n, result.token_ids, result.text) for n, result in enumerate(results)]
        forwards = sum(result.forwards for result in results)
        return {
            **{f"decode_{name}": value for name, value in named.items()},
            "decode_forwards": forwards / len(quick),
            "decode_right": sum(hits) / len(quick),
        }

    return look
