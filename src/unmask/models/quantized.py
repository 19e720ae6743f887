"""Weights of 8 bits, whatever the format: rounded as they are read, multiplied as one afterwards.

A weight is rounded by the row, symmetrically: w ~ q * max|w| / M, where M is the greatest number of
the format (LLM.int8, Dettmers et al. 2022, section 2.1, where it is 127). How such weights are
multiplied, and what becomes of the inputs, a `Format` says: `unmask.models.int8` for a CPU,
`unmask.models.fp8` for a GPU.

Shape legend: N positions of all rows, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unmask.errors import InputError
from unmask.models.blocks import Block, Transformer

MOST = {torch.int8: 127.0, torch.float8_e4m3fn: 448.0}
"""Greatest number of every kind; weights on the meta device that are of such a kind are rounded as
they are read."""
ROWS = 2048
"""Rounded at a time: the head of a big model alone fills gigabytes in fp32."""
SMALLEST = 1e-30
"""Rows and positions of zeros are divided by this."""


@dataclass(frozen=True)
class Format:
    """One way to hold and to multiply weights of 8 bits."""

    name: str
    """What ``dtype=`` calls it."""
    kind: torch.dtype
    """Of rounded weights."""
    computes: torch.dtype
    """Of everything else."""
    check: Callable[[torch.device], None]
    """Raises an InputError where its products do not run."""
    product: Callable[[Tensor, Tensor, Tensor | None], Callable[[Tensor], Tensor]]
    """Of rounded weights [O, I], their scale fp32 [O] and a bias [O]: x [N, I] -> [N, O]."""
    embedding: Callable[[nn.Embedding], nn.Module] | None = None
    """Of a rounded embedding; without it the embedding stays as it is."""
    grain: int = 1
    """Inputs and outputs of a product come in multiples of this."""


def check(form: Format, device: torch.device, *, parallel: bool) -> None:
    """Whether a model can have such weights.

    Raises:
        InputError: not on this device, not by this build of torch, or not with ``parallel``.
    """
    form.check(device)
    if parallel:
        raise InputError(f"dtype={form.name!r} does not go with parallel=True; drop one of the two")


def prepare(model: Transformer, form: Format) -> None:
    """Say of a model on the meta device which weights are to be rounded as they are read.

    A tied head shares the rounded embedding, or, where that is not rounded, has a copy of its own.

    Raises:
        InputError: a size that the products do not take.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) or (form.embedding and isinstance(module, nn.Embedding)):
            _fits(name, module.weight, form)
            like = torch.empty_like(module.weight, dtype=form.kind)
            shared = form.embedding and module is model.head and model.body.tied
            module.weight = (
                model.embedding.weight if shared else nn.Parameter(like, requires_grad=False)
            )
            module.register_buffer("scale", torch.empty(len(like), device=like.device))


def _fits(name: str, weight: Tensor, form: Format) -> None:
    if any(size % form.grain for size in weight.shape):
        raise InputError(
            f"dtype={form.name!r} takes sizes that are multiples of {form.grain}, and {name} maps "
            f"{weight.shape[1]} numbers to {weight.shape[0]}; take dtype='bfloat16'"
        )


def rounded(weight_OI: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """Numbers of ``kind`` [O, I] and what they count, fp32 [O]."""
    numbers_OI = torch.empty(weight_OI.shape, dtype=kind, device=weight_OI.device)
    scale_O = torch.empty(len(weight_OI), device=weight_OI.device)
    parts = zip(*(torch.split(w, ROWS) for w in (weight_OI, numbers_OI, scale_O)), strict=True)
    for weight, numbers, scale in parts:
        wide = weight.float()
        torch.amax(wide.abs(), 1, out=scale)
        scale.div_(MOST[kind]).clamp_min_(SMALLEST)
        wide = wide / scale[:, None]
        numbers.copy_(wide if kind.is_floating_point else wide.round_())
    return numbers_OI, scale_O


def settle(model: Transformer, form: Format) -> None:
    """From now on compute with rounded weights, in the layout that the products want."""
    for block in model.blocks:
        assert isinstance(block, Block)
        inputs = _replace(block, form, "query", "key", "value")
        block.joints = inputs, _replace(block, form, "gate", "up")
        _replace(block, form, "attention_out")
        _replace(block, form, "down")
    _replace(model, form, "head")
    if form.embedding:
        setattr(model, "embedding", form.embedding(model.embedding))  # noqa: B010 - another class
    for rest in model.parameters():
        rest.data = rest.data.clone()  # read from a file, it would keep all of the file mapped
    model.rounded = form.name


class Packed:
    """Linear maps of the same input, rounded and multiplied as one."""

    def __init__(self, maps: Sequence[nn.Linear], form: Format) -> None:
        self.maps: tuple[nn.Module, ...] = ()
        self.name = form.name
        biases: list[Tensor] = [one.bias for one in maps if one.bias is not None]
        weights = [one.weight.data for one in maps]
        weight_OI = torch.cat(weights) if len(weights) > 1 else weights[0]
        scale_O = torch.cat([one.get_buffer("scale") for one in maps])
        self.bytes = weight_OI.nbytes + scale_O.nbytes
        """Read by a product, beside its inputs."""
        self.product = form.product(weight_OI, scale_O, torch.cat(biases) if biases else None)

    def stands_for(self, *maps: nn.Module) -> bool:
        """Whether these are the maps, and nothing was wrapped around them."""
        return self.maps == maps

    def __call__(self, x: Tensor) -> Tensor:
        """All outputs, side by side.

        Raises:
            InputError: gradients are asked for.
        """
        if x.requires_grad and torch.is_grad_enabled():
            raise InputError(
                f"a model with dtype={self.name!r} cannot be trained; load it with dtype='float32'"
            )
        return self.product(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], -1)


class Part(nn.Module):
    """One of the maps of a `Packed`: its outputs ``start`` to ``stop``."""

    def __init__(self, whole: Packed, start: int, stop: int) -> None:
        super().__init__()
        self.whole, self.start, self.stop = whole, start, stop

    def forward(self, x: Tensor) -> Tensor:
        """What the linear map gives, with rounded weights."""
        return self.whole(x)[..., self.start : self.stop]


def _replace(owner: nn.Module, form: Format, *names: str) -> Packed:
    """Put one product in the place of these linear maps of ``owner``."""
    maps = [owner.get_submodule(name) for name in names]
    linear = [one for one in maps if isinstance(one, nn.Linear)]
    whole, start, made = Packed(linear, form), 0, []
    for name, one in zip(names, linear, strict=True):
        stop = start + one.out_features
        made.append(Part(whole, start, stop))
        setattr(owner, name, made[-1])
        start = stop
    whole.maps = tuple(made)
    return whole
