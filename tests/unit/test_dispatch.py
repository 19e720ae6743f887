"""Which family takes a checkpoint: by its architectures and its model_type together."""

from __future__ import annotations

import pytest

from checkpoints import CAUSAL_CONFIG, DREAM_CONFIG, FAST_DLLM_V2_CONFIG, LLADA_CONFIG, SDAR_CONFIG
from unmask import CheckpointError
from unmask.models.loading import family_of

CONFIGS = {
    "llada": LLADA_CONFIG,
    "dream": DREAM_CONFIG,
    "fast_dllm_v2": FAST_DLLM_V2_CONFIG,
    "sdar": SDAR_CONFIG,
    "llama": {"model_type": "llama"},
    "tiny": CAUSAL_CONFIG,
}
CLAIMED = {
    "llada": ["LLaDAModelLM"],
    "dream": ["DreamModel"],
    "fast_dllm_v2": ["Fast_dLLM_QwenForCausalLM"],
    "sdar": ["SDARForCausalLM"],
    "llama": ["LlamaForCausalLM"],
}


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("none", [{}, {"architectures": None}, {"architectures": []}])
def test_without_architectures_the_model_type_counts(family, none):
    assert family_of(CONFIGS[family] | none).__name__.endswith(f".{family}")


@pytest.mark.parametrize("family", CLAIMED)
def test_its_own_architecture_is_claimed(family):
    found = family_of(CONFIGS[family] | {"architectures": CLAIMED[family]})
    assert found.__name__.endswith(f".{family}")


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize(
    "name",
    [
        "StableDiffcoderForCausalLM",
        "Qwen2ForCausalLM",
        "LlamaForSequenceClassification",
        "LlamaModel",
    ],
)
def test_what_no_family_claims_is_refused_by_name(family, name):
    for classes in ([name], [*CLAIMED.get(family, []), name]):
        with pytest.raises(CheckpointError, match=f"architectures='{name}' is not known; choose"):
            family_of(CONFIGS[family] | {"architectures": classes})


@pytest.mark.parametrize("name", ["LLaDAMoEModelLM", "LLaDAMoEModel", "LLaDA2MoeModelLM"])
def test_a_mixture_of_experts_is_refused_as_one(name):
    message = f"architectures='{name}' is a mixture of experts; only dense"
    with pytest.raises(CheckpointError, match=message):
        family_of({**LLADA_CONFIG, "architectures": [name]})


@pytest.mark.parametrize("family", ["dream", "sdar", "llama", "tiny"])
def test_an_architecture_of_another_family_is_refused_with_both(family):
    config = CONFIGS[family] | {"architectures": ["LLaDAModelLM"]}
    message = rf"model_type='{config['model_type']}' and architectures=\['LLaDAModelLM'\] are those"
    with pytest.raises(CheckpointError, match=message):
        family_of(config)


@pytest.mark.parametrize("value", ["LLaDAModelLM", {"a": 1}, [1], [None], 3, True])
def test_architectures_of_the_wrong_type_are_named(value):
    with pytest.raises(CheckpointError, match=r"architectures=.* has to be a list of names"):
        family_of({**LLADA_CONFIG, "architectures": value})


@pytest.mark.parametrize("kind", [None, "", 3, ["llada"], "bert"])
def test_an_unknown_model_type_is_named(kind):
    with pytest.raises(CheckpointError, match=r"model_type=.* is not known; choose one of"):
        family_of({**LLADA_CONFIG, "model_type": kind, "architectures": ["LLaDAModelLM"]})
