"""The shapes of well-known open models, from 135 million to 70 billion parameters, and their exact parameter counts.

The numbers are those of the models' published configuration files. A model on torch's meta device has shapes and no
memory: 70 billion parameters are built, and counted, in a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .lora_layer import PROJECTIONS


@dataclass(frozen=True)
class Shape:
    """One model's measures. ``tied``: the first and the last layer share one matrix of vocabulary × width."""

    width: int
    mlp: int
    blocks: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool

    def config(self):
        """The same as a transformers ``LlamaConfig``."""
        from transformers import LlamaConfig

        return LlamaConfig(
            hidden_size=self.width,
            intermediate_size=self.mlp,
            num_hidden_layers=self.blocks,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            vocab_size=self.vocabulary,
            tie_word_embeddings=self.tied,
        )


SIZES = {
    "SmolLM2-135M": Shape(576, 1536, 30, 9, 3, 49152, True),
    "SmolLM2-360M": Shape(960, 2560, 32, 15, 5, 49152, True),
    "Llama-3.2-1B": Shape(2048, 8192, 16, 32, 8, 128256, True),
    "SmolLM2-1.7B": Shape(2048, 8192, 24, 32, 32, 49152, True),
    "Llama-3.2-3B": Shape(3072, 8192, 28, 24, 8, 128256, True),
    "Llama-2-7B": Shape(4096, 11008, 32, 32, 32, 32000, False),
    "Llama-3.1-8B": Shape(4096, 14336, 32, 32, 8, 128256, False),
    "Llama-2-13B": Shape(5120, 13824, 40, 40, 40, 32000, False),
    "Llama-3.1-70B": Shape(8192, 28672, 80, 64, 8, 128256, False),
}
"""From small to large; all of them have the Llama architecture."""


def on_meta(shape: Shape):
    """The whole model without any memory behind it, a transformers ``LlamaForCausalLM`` on the meta device."""
    from transformers import LlamaForCausalLM

    with torch.device("meta"):
        return LlamaForCausalLM(shape.config())


def linear_shapes(model) -> Iterator[tuple[str, tuple[int, int]]]:
    """(name, (out, in)) of each linear layer inside the model's blocks, such as ("q_proj", (576, 576))."""
    for path, part in model.named_modules():
        name = path.split(".")[-1]
        if name in PROJECTIONS:
            yield name, tuple(part.weight.shape)


def added_by_lora(shapes, r: int) -> int:
    """Parameters that LoRA of rank ``r`` adds to layers of these (out, in) shapes."""
    return sum(r * (outputs + inputs) for outputs, inputs in shapes)


def memory_of_run(frozen, trained, frozen_bits: int = 16) -> dict:
    """Bytes that a run with AdamW holds beside its activations; counts may be numbers or columns of a table.

    ``trained`` weights, their gradients and AdamW's two moments are float32. Keys: weights, gradients, optimiser and
    total.
    """
    parts = {"weights": frozen * frozen_bits / 8 + 4 * trained, "gradients": 4 * trained, "optimiser": 8 * trained}
    return {**parts, "total": sum(parts.values())}
