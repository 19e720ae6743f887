"""Hugging Face transformers' own Llama with the weights of a built-in model: a baseline not ours.

It needs transformers, which comes with `unmask[train]`.
"""

from __future__ import annotations

import inspect
import time
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import unmask
from meter import Meter
from unmask.models.blocks import Transformer
from unmask.models.names import llama_like

FORWARD = inspect.signature(LlamaForCausalLM.forward).parameters
PAST = "cache" if "cache" in FORWARD else "past_key_values"
"""What transformers calls its keys and values: the first since 5.24."""


class Theirs:
    """``model`` computed by transformers; ``meter`` counts."""

    def __init__(self, model: unmask.Model) -> None:
        denoiser = model.denoiser
        assert isinstance(denoiser, Transformer)
        self.body, self.card = denoiser.body, model.card
        body, card = self.body, self.card
        config = LlamaConfig(
            hidden_size=body.width,
            intermediate_size=body.mlp_width,
            num_hidden_layers=body.layers,
            num_attention_heads=body.heads,
            num_key_value_heads=body.kv_heads,
            vocab_size=body.vocabulary,
            max_position_embeddings=card.max_length,
            rms_norm_eps=body.norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": body.rope_theta},
            bos_token_id=None,
            eos_token_id=card.end_ids[0],
            pad_token_id=card.pad_id,
            tie_word_embeddings=True,
        )
        config.is_causal = card.causal
        self.theirs: Any = LlamaForCausalLM(config)
        self.theirs.train(mode=False)
        for layer in self.theirs.model.layers:
            layer.self_attn.is_causal = card.causal
        own = denoiser.state_dict()
        names = llama_like(body.layers, tied=True)
        weights = {theirs: own[ours] for theirs, ours in names.items()}
        self.theirs.load_state_dict(weights | {"lm_head.weight": own["embedding.weight"]})
        self._element = denoiser.embedding.weight.element_size()
        self.meter = self.fresh()
        self._started = 0.0
        self.theirs.register_forward_pre_hook(self._before, with_kwargs=True)
        self.theirs.register_forward_hook(self._after)

    def fresh(self) -> Meter:
        """A meter at zero, which counts from now on."""
        self.meter = Meter(self.body, self._element)
        return self.meter

    def _before(self, _: Any, __: Any, given: dict[str, Any]) -> None:
        rows, fed = given["input_ids"].shape
        past = given.get(PAST)
        seen = fed + (past.get_seq_length() if past is not None else 0)
        asked = 1 if given.get("logits_to_keep") == 1 else fed
        self.meter.add(rows, fed, seen, asked, last=fed)
        self._started = time.perf_counter()

    def _after(self, *_: Any) -> None:
        self.meter.spend(time.perf_counter() - self._started)


class Twin(Theirs):
    """A causal model that answers greedily through transformers' ``generate``."""

    def decode(
        self, prompts: list[list[int]], new: int, *, early_stop: bool = True
    ) -> list[list[int]]:
        """Up to ``new`` tokens behind each of ``prompts``, all in one batch."""
        longest, card = max(map(len, prompts)), self.card
        assert card.causal
        ids = torch.full((len(prompts), longest), card.pad_id)
        keep = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            keep[row, longest - len(prompt) :] = 1
        given = {} if early_stop else {"min_new_tokens": new}
        found = self.theirs.generate(
            ids,
            attention_mask=keep,
            max_new_tokens=new,
            do_sample=False,
            suppress_tokens=[card.mask_id],  # as we forbid it
            **given,
        )
        answers: list[list[int]] = found[:, longest:].tolist()
        return answers
