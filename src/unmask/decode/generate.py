"""`unmask.generate`: prompts in, results out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

from unmask.canvas.events import Commit
from unmask.canvas.trajectory import Trajectory
from unmask.decode import policy
from unmask.decode.loop import decode
from unmask.decode.overrides import Overrides
from unmask.decode.prompts import Infill, Prompt, as_list, canvas_of
from unmask.decode.settings import MAX_NEW_TOKENS, whole_number
from unmask.decode.step import Row
from unmask.decode.stopping import end_of
from unmask.models.loading import Model

BATCH = 16
Watch = Callable[[list[Commit], float], None]
"""Called after every forward with its commits and the seconds spent decoding so far."""


@dataclass(frozen=True)
class Result:
    """One answer.

    ``text``: up to the first end token, None without a tokenizer. ``token_ids``: raw, to the end of
    the canvas. ``tokens``: how many were written, up to and including the end token. ``forwards``:
    model calls this row took part in. ``fed_positions``: positions sent through the model in them.
    ``seconds``: from this row's first forward to the end of its last.
    """

    text: str | None
    token_ids: list[int]
    tokens: int
    forwards: int
    fed_positions: int
    seconds: float
    trajectory: Trajectory

    @property
    def tokens_per_forward(self) -> float:
        """TPF: tokens over forwards."""
        return self.tokens / self.forwards

    @property
    def tokens_per_second(self) -> float:
        """Tokens over seconds."""
        return self.tokens / self.seconds if self.seconds else 0.0


def generate(
    model: Model,
    prompts: Prompt | Sequence[Prompt],
    preset: str | None = None,
    *,
    batch_size: int = BATCH,
    raw: bool = False,
    **overrides: Unpack[Overrides],
) -> list[Result]:
    """Answer ``prompts`` (text, chat messages, token ids or `Infill`), in their order.

    ``preset``: vanilla, fast-dllm, dparallel, d3llm, fast-dllm-v2, sdar or ar; the default fits the
    model. ``batch_size`` rows share a forward. ``raw`` leaves the chat template away. ``overrides``
    change the preset: `Overrides` lists them, and docs/presets.md says what they mean.

    Raises:
        InputError: a setting or prompt that cannot be; the message says what to type instead.
        DecodeError: the model returned NaN.
    """
    rows = prepare(model, as_list(prompts), preset, raw=raw, overrides=overrides)
    results: dict[int, Result] = dict(finished(model, rows, batch_size))
    return [results[index] for index in range(len(rows))]


def prepare(
    model: Model,
    prompts: Sequence[Prompt],
    preset: str | None,
    *,
    raw: bool,
    overrides: Mapping[str, Any],
    base: Mapping[str, Any] = policy.NOTHING,
) -> list[Row]:
    """Rows ready for `decode`. ``base``: what changes the preset before ``overrides`` do."""
    card, defaults, brought = model.card, model.defaults, MAX_NEW_TOKENS.name
    shared: policy.Policy | None = None
    rows = []
    for index, prompt in enumerate(prompts):
        if isinstance(prompt, Infill):  # it brings its own length
            canvas = canvas_of(model, prompt, 0, raw=raw)
            length = len(canvas) - canvas.prompt_length
            own = policy.make(card, preset, {**overrides, brought: length}, defaults, base)
        else:
            own = shared = shared or policy.make(card, preset, overrides, defaults, base)
            canvas = canvas_of(model, prompt, own.settings.max_new_tokens, raw=raw)
        rows.append(Row(index, canvas, own))
    return rows


def finished(
    model: Model, rows: list[Row], batch_size: int, watch: Watch | None = None
) -> Iterator[tuple[int, Result]]:
    """(index, result) of every row, in the order in which they finish.

    ``watch`` sees the commits of every forward; its time, and the caller's, is not counted.
    """
    whole_number("batch_size", batch_size, 1, "a whole number of at least 1")
    frames, seconds = decode(model.denoiser, rows, batch_size), 0.0
    began: dict[int, float] = {}
    while True:
        before, started = seconds, time.perf_counter()
        commits = next(frames, None)
        seconds += time.perf_counter() - started
        if commits is None:
            return
        if watch:
            watch(commits, seconds)
        for commit in commits:
            own = seconds - began.setdefault(commit.row, before)
            if rows[commit.row].canvas.done:
                yield commit.row, result(model, rows[commit.row], own)


def result(model: Model, row: Row, seconds: float) -> Result:
    """What a finished row comes to."""
    canvas, card = row.canvas, model.card
    answer = canvas.tokens_L[canvas.prompt_length :]
    # Before given text an end token only means that a gap needed fewer tokens.
    end = canvas.given + end_of(canvas.tokens_L[canvas.given :], card.end_ids)
    shown = canvas.tokens_L[canvas.prompt_length : end]
    written = canvas.born_L[canvas.prompt_length : end + 1] > 0
    values = row.policy.settings.values
    trajectory = Trajectory(
        canvas.tokens_L,
        canvas.born_L,
        canvas.prompt_length,
        canvas.mask_id,
        np.array(row.fed),
        card.name,
        f"{values['schedule']}/{values['strategy']}/{values['cache']}",
    )
    return Result(
        text=model.codec.decode(shown.tolist()) if model.codec else None,
        token_ids=answer.tolist(),
        tokens=int(np.count_nonzero(written)),
        forwards=canvas.step,
        fed_positions=sum(row.fed),
        seconds=seconds,
        trajectory=trajectory,
    )
