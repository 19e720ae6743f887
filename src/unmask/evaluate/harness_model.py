"""A model of this package as lm-eval sees it: the class behind ``--model unmask``.

The only file that needs lm-eval to be imported; `unmask.evaluate.harness` is the way in.
"""

from __future__ import annotations

import logging
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from lm_eval.api.model import TemplateLM  # type: ignore[import-untyped,import-not-found,unused-ignore]
from lm_eval.utils import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
    get_rolling_token_windows,
    make_disjoint_window,
    simple_parse_args_string,
)
from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]

from unmask import __version__
from unmask.canvas.events import Commit
from unmask.decode import policy
from unmask.decode.generate import Result, finished
from unmask.decode.options import KINDS
from unmask.decode.prompts import canvas_of, codec_of
from unmask.decode.step import Row
from unmask.errors import InputError
from unmask.evaluate.ending import ending
from unmask.evaluate.harness_options import Wanted, read_options, read_wanted, seed_of
from unmask.evaluate.harness_records import Answer, summary
from unmask.evaluate.likelihood import Likelihood, Pair, log_likelihoods
from unmask.evaluate.questions import cut, tokens_to_stop
from unmask.evaluate.run import Cost, Ledger
from unmask.text.chat import ChatTemplate
from unmask.text.frontier import Frontier

LOG = logging.getLogger(__name__)


class UnmaskLM(TemplateLM):  # type: ignore[misc]  # untyped
    """Generates with any preset; scores by the chain rule or, for masked models, by the bound."""

    def __init__(self, **given: Any) -> None:
        """``given``: model_args and what lm-eval adds to them, see `harness_options`.

        Raises:
            InputError: an argument that cannot be.
        """
        super().__init__()
        options = read_options(given)
        self.model, self.effort = options.model, options.effort
        self.preset, self.overrides = options.preset, options.overrides
        self.codec = codec_of(self.model)
        self._device = self.model.denoiser.device
        self.name = self.model.card.name
        self.answers: list[Answer] = []
        """All that were generated."""

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> UnmaskLM:
        """From model_args and what lm-eval adds: its batch size and device, whether given or not.

        The former come first. Without --device lm-eval says cuda:0 on every machine, so that is
        taken for what this machine has.
        """
        added = {**(additional_config or {})}
        if added.get("device") == "cuda:0" and not torch.cuda.is_available():
            LOG.info("there is no cuda:0 on this machine; device='auto' is taken instead")
            added["device"] = "auto"
        return cls(**{**added, **arg_dict})

    @classmethod
    def create_from_arg_string(
        cls, arg_string: str, additional_config: dict[str, Any] | None = None
    ) -> UnmaskLM:
        """The same from ``name=value,...``."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    @property
    def eot_token_id(self) -> int:
        """The end of a text."""
        return self.model.card.end_ids[0]

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text without context: its begin token, or where none is, the end."""
        begin = self.codec.encode("", plain=True)
        return begin[0] if begin else self.eot_token_id

    @property
    def max_length(self) -> int:
        """The longest text, in tokens."""
        return self.model.card.max_length

    @property
    def tokenizer_name(self) -> str:
        """Part of the name under which lm-eval keeps rendered requests."""
        return self.name.replace("/", "__")

    def get_model_info(self) -> dict[str, Any]:
        """What becomes part of the results file."""
        card, made = self.model.card, self._policy({})
        return {
            "unmask_version": __version__,
            "model_name": card.name,
            "model_family": card.family,
            "model_num_parameters": card.parameters,
            "model_dtype": f"torch.{self.model.denoiser.dtype}",
            "preset": self.preset or policy.default_preset(card),
            "overrides": dict(self.overrides),
            **{kind: made.settings.values[kind] for kind in KINDS},
            "rows_per_forward": self.effort.batch_size,
            "mc_samples": 0 if card.causal else self.effort.samples,
            "seed": self.effort.seed,
            "generated": summary(self.answers),
        }

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The template's source, which lm-eval notes down beside the results.

        Raises:
            InputError: another template than the checkpoint's own is asked for, or it has none.
        """
        if isinstance(chat_template, str) and chat_template != "default":
            raise InputError(
                f"chat template {chat_template!r} is not known: a checkpoint has one; "
                "give --apply_chat_template without a name"
            )
        return self._template().source if chat_template else ""

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A conversation as text; without a generation prompt its last message is to be continued.

        Raises:
            InputError: the checkpoint has no template, or it does not take these messages.
        """
        template = self._template()
        if add_generation_prompt:
            return template.render(chat_history)
        return template.render(chat_history[:-1]) + chat_history[-1]["content"]

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **other: Any
    ) -> list[int]:
        """Ids of a text. None adds a begin token unless there is one, as in a rendered template."""
        del other
        ids = self.codec.encode(string, plain=False)
        begin = self.codec.encode("", plain=True)
        if add_special_tokens is False or ids[: len(begin)] == begin:
            return ids
        return self.codec.encode(string, plain=True)

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """The answer to every request, cut before the first of its stop strings."""
        wanted = [read_wanted(request.args[1]) for request in requests]
        seen: Counter[str] = Counter()
        rows, cuts = [], []
        for request, wish in zip(requests, wanted, strict=True):
            context = request.args[0]
            row, left_out = self._row(context, wish, seen[context])
            rows.append(row)
            cuts.append(left_out)
            seen[context] += 1
        # Longest first, so that neighbours are of one length.
        order = sorted(range(len(rows)), key=lambda at: -len(rows[at].canvas))
        ordered = [replace(rows[at], index=place) for place, at in enumerate(order)]
        frontiers = [
            Frontier(self.codec, self.model.card.end_ids, wanted[at].stops) for at in order
        ]
        ends, ledger = ending(ordered, frontiers, self.model.card.pad_id), Ledger()

        def watch(commits: list[Commit], seconds: float) -> None:
            ledger.watch(commits, seconds)
            ends(commits, seconds)

        texts = [""] * len(rows)
        hidden = disable_tqdm or self.rank != 0
        with tqdm(total=len(rows), disable=hidden, desc="unmask generates") as bar:
            for place, result in finished(self.model, ordered, self.effort.batch_size, watch):
                at = order[place]
                texts[at] = cut(result.text or "", wanted[at].stops)
                made = self._answer(result, wanted[at].stops, rows[at], ledger.rows[place])
                self.answers.append(replace(made, request=requests[at], left_out=cuts[at]))
                self.cache_hook.add_partial("generate_until", requests[at].args, texts[at])
                bar.update(1)
        return texts

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """The log-likelihood of every text, in parts as long as the model takes."""
        windows: list[Pair] = []
        counts = []
        for request in requests:
            ids = self.tok_encode(request.args[0], add_special_tokens=False)
            # A masked model is fed the whole window, a causal one all but its last token.
            room = self.max_length - (0 if self.model.card.causal else 1)
            parts = get_rolling_token_windows(ids, self.prefix_token_id, room, 1)
            own = [make_disjoint_window(part) for part in parts]
            counts.append(len(own))
            windows += own
        found = iter(self._scored(windows, disable_tqdm))
        values = [sum(next(found).value for _ in range(count)) for count in counts]
        for request, value in zip(requests, values, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, value)
        return values

    def _loglikelihood_tokens(
        self, requests: Sequence[Any], disable_tqdm: bool = False, **other: Any
    ) -> list[tuple[float, bool]]:
        """Log-likelihood, and whether greedy decoding writes the continuation."""
        del other
        found = self._scored([(context, text) for _, context, text in requests], disable_tqdm)
        answers = [(one.value, bool(one.greedy)) for one in found]
        for (words, _, _), answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial("loglikelihood", words, answer)
        return answers

    def _scored(self, pairs: list[Pair], disable_tqdm: bool) -> list[Likelihood]:
        hidden = disable_tqdm or self.rank != 0
        with tqdm(total=len(pairs), disable=hidden, desc="unmask scores") as bar:
            found = log_likelihoods(self.model, pairs, self.effort, bar.update)
        errors = [one.error for one in found if one.error > 0]  # neither exact nor unknown
        if errors:
            LOG.info(
                "%d of %d log-likelihoods are estimates, with a standard error of %.3f nats "
                "(median; mc_samples=%d)",
                len(errors), len(found), statistics.median(errors), self.effort.samples,
            )  # fmt: skip
        return found

    def _answer(self, result: Result, stops: list[str], row: Row, cost: Cost) -> Answer:
        """What a result is counted as."""
        written = result.token_ids[: result.tokens]
        stopped = tokens_to_stop(self.codec, written, stops) if stops else None
        return Answer(
            prompt_tokens=row.canvas.prompt_length,
            settings=row.policy.settings,
            tokens=stopped or result.tokens,
            forwards=result.forwards,
            fed_positions=result.fed_positions,
            latency=result.seconds,
            cost=cost,
        )

    def _row(self, context: str, wanted: Wanted, repeat: int) -> tuple[Row, int]:
        """A row to decode; a prompt that is too long loses its left end, of so many tokens."""
        ids = self.tok_encode(context) or [self.prefix_token_id]
        seed = seed_of(self.effort.seed, ids, repeat)
        made = self._policy({**wanted.overrides, "seed": seed})
        length = made.settings.max_new_tokens
        room = self.max_length - length
        if room < 1:
            raise InputError(
                f"max_gen_toks={length} leaves no room for a prompt: {self.name} takes "
                f"{self.max_length} tokens in all; use at most {self.max_length - 1}"
            )
        if len(ids) > room:
            LOG.warning("a prompt of %d tokens was cut to its last %d", len(ids), room)
        row = Row(0, canvas_of(self.model, ids[-room:], length, raw=True), made)
        return row, max(0, len(ids) - room)

    def _policy(self, overrides: dict[str, Any]) -> policy.Policy:
        given = {**self.overrides, **overrides}
        return policy.make(self.model.card, self.preset, given, self.model.defaults)

    def _template(self) -> ChatTemplate:
        if self.model.template is None:
            raise InputError(
                f"{self.name} has no chat template; leave --apply_chat_template away, "
                "or put chat_template.jinja into its folder"
            )
        return self.model.template
