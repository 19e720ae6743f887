"""Joint maps: the same numbers, no memory, and out of the way when somebody changes the maps."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from checkpoints import GOLDEN
from unmask.models.joint import Joint
from unmask.models.loading import load


def maps(bias=True):
    made = [nn.Linear(6, width, bias=bias) for width in (4, 2, 3)]
    for number, one in enumerate(made):
        nn.init.normal_(one.weight, generator=torch.Generator().manual_seed(number))
    return made


@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_a_joint_product_is_the_products_side_by_side(bias):
    parts, x = maps(bias), torch.randn(5, 6, generator=torch.Generator().manual_seed(9))
    wanted = torch.cat([one(x) for one in parts], -1)
    assert torch.allclose(Joint(parts)(x), wanted, atol=1e-6)


@torch.no_grad()
def test_maps_and_joint_share_their_memory():
    parts = maps()
    joint = Joint(parts)
    assert parts[1].weight.untyped_storage().data_ptr() == joint.weight.untyped_storage().data_ptr()
    parts[1].weight.fill_(7.0)
    assert (joint.weight[4:6] == 7).all()


def cast(parts):
    parts[0].double()


def replace(parts):
    parts[2].weight = nn.Parameter(torch.zeros(3, 6))


def wrap(parts):
    parts[1] = nn.Sequential(parts[1])


@pytest.mark.parametrize("change", [cast, replace, wrap])
@torch.no_grad()
def test_a_changed_map_is_noticed(change):
    parts = maps()
    joint = Joint(parts)
    assert joint.stands_for(*parts)
    change(parts)
    assert not joint.stands_for(*parts)


def test_gradients_go_through_the_maps():
    parts = maps()
    assert not Joint(parts).stands_for(*parts)


@pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])
@torch.no_grad()
def test_a_loaded_model_multiplies_jointly_and_a_cast_one_does_not(name):
    model = load(GOLDEN / name, device="cpu").denoiser
    ids = torch.arange(12)[None]
    copy = deepcopy(model).double()
    assert model.blocks[0].joints[0].stands_for(*model.blocks[0].joints[0].maps)
    assert not copy.blocks[0].joints[0].stands_for(*copy.blocks[0].joints[0].maps)
    assert (model(ids, ids) - copy(ids, ids)).abs().max() < 2e-4
