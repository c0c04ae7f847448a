"""The parameter counts of the well-known models are the published ones, and LoRA's are PEFT's."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from finetune_course.model_sizes import SIZES, added_by_lora, linear_shapes, memory_of_run, on_meta

PUBLISHED = {
    "SmolLM2-135M": 134_515_008,
    "SmolLM2-360M": 361_821_120,
    "Llama-3.2-1B": 1_235_814_400,
    "SmolLM2-1.7B": 1_711_376_384,
    "Llama-3.2-3B": 3_212_749_824,
    "Llama-2-7B": 6_738_415_616,
    "Llama-3.1-8B": 8_030_261_248,
    "Llama-2-13B": 13_015_864_320,
    "Llama-3.1-70B": 70_553_706_496,
}


@pytest.mark.parametrize("name", SIZES)
def test_the_counts_are_exact(name):
    model = on_meta(SIZES[name])
    assert {weight.device.type for weight in model.parameters()} == {"meta"}
    assert model.num_parameters() == PUBLISHED[name]


def test_the_sizes_stand_in_order_and_reach_from_135_million_to_70_billion():
    assert list(PUBLISHED) == list(SIZES) and list(PUBLISHED.values()) == sorted(PUBLISHED.values())


@pytest.mark.parametrize(("r", "names"), [(1, ["q_proj", "v_proj"]), (64, ["gate_proj", "down_proj"])], ids=str)
def test_what_lora_adds_is_what_peft_adds(r, names):
    model = on_meta(SIZES["Llama-3.2-1B"])
    expected = added_by_lora([shape for name, shape in linear_shapes(model) if name in names], r)
    with torch.device("meta"):
        adapted = get_peft_model(model, LoraConfig(r=r, target_modules=names, task_type="CAUSAL_LM"))
    assert adapted.get_nb_trainable_parameters()[0] == expected


def test_the_course_s_own_model_has_these_shapes():
    """Slow machines included: only the configuration is read."""
    from transformers import AutoConfig

    from finetune_course.weights import weights

    real, ours = AutoConfig.from_pretrained(weights()), SIZES["SmolLM2-135M"].config()
    for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_key_value_heads", "vocab_size"):
        assert getattr(real, name) == getattr(ours, name)
    assert real.tie_word_embeddings is ours.tie_word_embeddings is True


def test_the_memory_of_a_run():
    assert memory_of_run(100, 10, 4) == {"weights": 90, "gradients": 40, "optimiser": 80, "total": 210}
    assert memory_of_run(0, 100)["total"] == 1600
