"""How does a model do on a task of EleutherAI's lm-eval?

    python -m unmask.evaluate.harness --model unmask --model_args pretrained=tiny --tasks gsm8k

is lm-eval's own command line, with all its options, that also knows ``--model unmask``. lm-eval
0.4.13 looks models up in a table of its own and finds none that is installed beside it. What comes
after it reads entry points; with that, plain ``lm-eval run --model unmask ...`` will do.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from unmask.errors import InputError, UnmaskError
from unmask.evaluate.harness_options import SAMPLING
from unmask.evaluate.harness_records import PREFIX, records, summary
from unmask.evaluate.likelihood import Effort
from unmask.evaluate.run import place_of
from unmask.files import reason_of
from unmask.models.loading import Model

NAME, TARGET = "unmask", "unmask.evaluate.harness_model:UnmaskLM"


@dataclass(frozen=True)
class Request:
    """What to run. ``tasks``: names, groups or YAML files. ``limit``: examples per task, below 1 a
    share. ``include_path``: folder of further tasks. ``shots``: examples in the prompt, None as the
    task has it. ``chat``: put it through the chat template. ``unsafe``: allow tasks that run what
    the model wrote, in lm-eval's own way, without a sandbox."""

    tasks: tuple[str, ...]
    limit: float | None = None
    include_path: Path | None = None
    shots: int | None = None
    chat: bool = False
    unsafe: bool = False


@dataclass(frozen=True)
class Outcome:
    """``results``: lm-eval's own object, with every answer under "samples", tokens per forward
    among the figures and, under "records", what `unmask leaderboard` reads. ``table``: as it prints
    them. ``unrecorded``: tasks of which there are no records."""

    results: dict[str, Any]
    table: str
    unrecorded: tuple[str, ...] = ()


def run(
    model: Model,
    request: Request,
    preset: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    effort: Effort | None = None,
    weights: str = "",
) -> Outcome:
    """Ask lm-eval's tasks. ``weights``: fingerprint of the model's, for the records.

    Sampling and length among the ``overrides`` come before what a task says; where they are silent,
    the task decides. ``effort`` is about likelihoods, its batch size also about generation.

    Raises:
        InputError: lm-eval is not installed, a task or setting is unknown, or data cannot be had.
    """
    lm_eval, effort = _lm_eval(), effort or Effort()
    own = importlib.import_module(TARGET.split(":")[0]).UnmaskLM
    forced, chosen = _forced(overrides or {})
    seed = chosen.pop("seed", effort.seed)
    arguments = {"batch_size": effort.batch_size, "mc_samples": effort.samples, "seed": seed}
    made = own(pretrained=model, preset=preset, **arguments, **chosen)
    manager = _manager(request)
    try:
        results = lm_eval.simple_evaluate(
            model=made,
            tasks=[str(task) for task in request.tasks],
            num_fewshot=request.shots,
            limit=request.limit,
            apply_chat_template=request.chat,
            fewshot_as_multiturn=request.chat,
            gen_kwargs=forced or None,
            task_manager=manager,
            confirm_run_unsafe_code=request.unsafe,
        )
    except UnmaskError:
        raise
    except (OSError, ValueError) as error:  # data sets that are not there, unsafe code, bad YAML
        names = ", ".join(request.tasks)
        raise InputError(f"lm-eval cannot run {names}: {reason_of(error)}") from error
    return _outcome(results, made, _shared(made, weights), chat=request.chat)


def _outcome(results: dict[str, Any], made: Any, shared: dict[str, Any], *, chat: bool) -> Outcome:
    """lm-eval's results with what each token cost, and a record for every answer."""
    for task, figures in summary(made.answers).items():
        results["results"][task]["tokens_per_forward,none"] = figures["tokens_per_forward"]
    found = list(records(results, made.answers, shared, chat=chat))
    results["records"] = [asdict(one) for one in found]
    told = {one.task.removeprefix(PREFIX).split("/")[0] for one in found}
    return Outcome(results, _table(results), tuple(sorted(results["samples"].keys() - told)))


def _shared(made: Any, weights: str) -> dict[str, Any]:
    """The fields that all records have in common."""
    info = made.get_model_info()
    return {
        "method": f"{info['model_name']} {info['preset']}",
        "model": info["model_name"],
        "weights": weights,
        "preset": info["preset"],
        "batch_size": made.effort.batch_size,
        **place_of(made.model),
    }


def _forced(overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What goes before a task's own generation options, and the rest."""
    chosen = dict(overrides)
    forced = {name: chosen.pop(name) for name in SAMPLING if name in chosen}
    if "max_new_tokens" in chosen:  # by the name that counts if a task gives several
        forced["max_gen_toks"] = chosen.pop("max_new_tokens")
    if forced.get("temperature"):
        forced["do_sample"] = True
    return forced, chosen


def _table(results: dict[str, Any]) -> str:
    make_table = importlib.import_module("lm_eval.utils").make_table
    tables = [make_table(results)]
    if "groups" in results:
        tables.append(make_table(results, "groups"))
    return "\n".join(tables)


def register() -> None:
    """Make ``--model unmask`` known to lm-eval in this process.

    Raises:
        InputError: lm-eval is not installed.
    """
    _lm_eval()
    importlib.import_module("lm_eval.models")  # its own table first: it is filled when imported
    registry = importlib.import_module("lm_eval.api.registry").model_registry
    if NAME not in registry:
        registry.register(NAME, target=TARGET)


def main() -> int:
    """lm-eval's command line; 0 if it worked, 2 for bad input."""
    try:
        register()
        importlib.import_module("lm_eval.__main__").cli_evaluate()
    except UnmaskError as error:
        sys.stderr.write(f"unmask: {error}\n")
        return 2
    return 0


def _lm_eval() -> ModuleType:
    try:
        return importlib.import_module("lm_eval")
    except ImportError as error:
        raise InputError(
            f"lm-eval cannot be imported ({error}); type pip install 'unmask[harness]'"
        ) from None


def _manager(request: Request) -> Any:
    """lm-eval's register of tasks, once all that are asked for are in it."""
    folder = request.include_path
    if folder is not None and not folder.is_dir():
        raise InputError(f"include_path={str(folder)!r} is no folder; give one that holds tasks")
    manager = importlib.import_module("lm_eval.tasks").TaskManager(
        include_path=None if folder is None else str(folder)
    )
    if not request.tasks:
        raise InputError("no task was given; lm-eval ls tasks lists what there is")
    for name in request.tasks:
        if not Path(name).is_file() and not manager.match_tasks([name]):
            near = difflib.get_close_matches(name, manager.all_tasks, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"task={name!r} is not known to lm-eval{hint}; lm-eval ls tasks lists its own, "
                "and include_path adds a folder"
            )
    return manager


if __name__ == "__main__":
    sys.exit(main())
