"""The course's LoRA layer against PEFT's, number for number, on a tiny Llama; wrapping, unwrapping, the fingerprint."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from finetune_course.lora_layer import (
    PROJECTIONS,
    LoRALayer,
    add_lora,
    fingerprint,
    lora_layers,
    remove_lora,
    trained,
)

IDS = torch.arange(24).reshape(2, 12) % 50


def tiny(dtype=torch.float32):
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 40, "num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, num_hidden_layers=2, **shape)).to(dtype).eval()


def steps(model, times=3):
    adam = torch.optim.AdamW(trained(model), lr=1e-2)
    for _ in range(times):
        adam.zero_grad()
        cross_entropy(model(IDS).logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten()).backward()
        adam.step()


def test_a_new_layer_changes_nothing_bit_for_bit():
    model = tiny()
    before = model(IDS).logits
    assert len(add_lora(model, r=4, alpha=8)) == 14
    assert torch.equal(model(IDS).logits, before)


def test_only_a_and_b_are_trained_and_the_base_keeps_its_fingerprint():
    model = tiny()
    base = list(model.parameters())
    before = fingerprint(base)
    layers = add_lora(model, r=2, alpha=8)
    steps(model)
    assert {name.split(".")[-1] for name, w in model.named_parameters() if w.requires_grad} == {"A", "B"}
    assert {name.split(".")[-1] for name, w in model.named_parameters() if w.grad is not None} == {"A", "B"}
    assert all(layer.B.any() for layer in layers.values())
    assert fingerprint(base) == before


def test_it_equals_pefts_layer_in_outputs_and_after_optimiser_steps():
    ours, theirs = tiny(), tiny()
    torch.manual_seed(1)
    layers = add_lora(ours, r=4, alpha=12)
    peft = get_peft_model(theirs, LoraConfig(r=4, lora_alpha=12, target_modules=list(PROJECTIONS)))
    parts = {path: theirs.get_submodule(path) for path in layers}
    with torch.no_grad():
        for path, layer in layers.items():
            nn.init.normal_(layer.B, std=0.1)
            parts[path].lora_A["default"].weight.copy_(layer.A)
            parts[path].lora_B["default"].weight.copy_(layer.B)
    assert (ours(IDS).logits - peft(IDS).logits).abs().max() <= 1e-6
    started = {path: layer.A.detach().clone() for path, layer in layers.items()}
    steps(ours)
    steps(peft)
    for path, layer in layers.items():
        assert (layer.A - parts[path].lora_A["default"].weight).abs().max() <= 1e-6
        assert (layer.B - parts[path].lora_B["default"].weight).abs().max() <= 1e-6
        assert (layer.A - started[path]).abs().max() > 1e-3, "nothing was trained, so nothing was compared"


def test_it_starts_as_pefts_does():
    """The same distribution: uniform up to 1 over the root of the inputs."""
    layer = LoRALayer(nn.Linear(400, 3), r=200, alpha=1)
    theirs = get_peft_model(nn.Sequential(nn.Linear(400, 3)), LoraConfig(r=200, target_modules=["0"]))
    A = theirs.base_model.model[0].lora_A["default"].weight
    for matrix in (layer.A, A):
        assert 0.0495 < matrix.abs().max() <= 0.05
        assert abs(matrix.std() - 0.1 / 12**0.5) < 0.001


def test_remove_gives_the_model_back():
    model = tiny()
    before, names = fingerprint(model.parameters()), [name for name, _ in model.named_parameters()]
    add_lora(model, r=2, alpha=2, names=["q_proj"])
    assert [path.split(".")[-1] for path, _ in lora_layers(model)] == ["q_proj"] * 2
    remove_lora(model)
    assert not list(lora_layers(model))
    assert [name for name, _ in model.named_parameters()] == names and fingerprint(model.parameters()) == before


def test_it_takes_the_number_format_of_its_base():
    model = tiny(torch.bfloat16)
    layers = add_lora(model, r=2, alpha=2)
    assert (
        {layer.A.dtype for layer in layers.values()} == {layer.B.dtype for layer in layers.values()} == {torch.bfloat16}
    )
    assert model(IDS).logits.dtype is torch.bfloat16


def test_a_misspelt_name_is_refused():
    with pytest.raises(ValueError, match="no linear layer called query_proj"):
        add_lora(tiny(), r=2, alpha=2, names=["query_proj"])


def test_the_fingerprint_sees_one_bit_the_order_and_a_sign_of_zero():
    weights = [torch.zeros(3), torch.ones(2, 2, dtype=torch.bfloat16)]
    before = fingerprint(weights)
    assert fingerprint([weight.clone() for weight in weights]) == before and len(before) == 64
    assert fingerprint(weights[::-1]) != before
    assert fingerprint([-weights[0], weights[1]]) != before
    weights[1].view(torch.int16)[0, 0] ^= 1
    assert fingerprint(weights) != before
