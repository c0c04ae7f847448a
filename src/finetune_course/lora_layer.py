"""A LoRA layer in plain PyTorch, and putting it into a model and taking it out again: what notebook 05 builds up.

The layer is the one of exercise 5.1, so that the notebook goes on for a learner who has not finished it. It computes
in the same order as PEFT's, and from the same A and B gives the same numbers (tests/test_lora_layer.py).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator

import torch
from torch import nn
from torch.nn.functional import linear

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The seven linear layers of a Llama block: attention's query, key, value and output, and the three of its MLP."""


class LoRALayer(nn.Module):
    """A frozen linear layer and beside it B·A, scaled by alpha/r: inputs (..., in), outputs (..., out).

    ``A`` (r, in) begins random, as PEFT's does, and ``B`` (out, r) at zero; only they can be trained.
    """

    def __init__(self, base: nn.Linear, r: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        like = {"dtype": base.weight.dtype, "device": base.weight.device}
        self.A = nn.Parameter(torch.empty(r, base.in_features, **like))
        self.B = nn.Parameter(torch.zeros(base.out_features, r, **like))
        self.scale = alpha / r
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + linear(linear(x, self.A), self.B) * self.scale


def add_lora(model: nn.Module, r: int, alpha: float, names: Iterable[str] = PROJECTIONS) -> dict[str, LoRALayer]:
    """Freeze ``model`` and wrap its linear layers of these names; returns the new layers by their path.

    Raises ValueError where the model has no such layer: a misspelt name would otherwise train nothing.
    """
    wanted = set(names)
    model.requires_grad_(False)
    found = [path for path, part in model.named_modules() if path.split(".")[-1] in wanted and type(part) is nn.Linear]
    if not found:
        raise ValueError(f"The model has no linear layer called {' or '.join(sorted(wanted))}.")
    for path in found:
        model.set_submodule(path, LoRALayer(model.get_submodule(path), r, alpha))
    return dict(lora_layers(model))


def remove_lora(model: nn.Module) -> None:
    """Put every wrapped layer back as it was, without its A and B."""
    for path, layer in list(lora_layers(model)):
        model.set_submodule(path, layer.base)


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoRALayer]]:
    """The LoRA layers of a model with their paths, in the model's order."""
    return ((path, part) for path, part in model.named_modules() if isinstance(part, LoRALayer))


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that a training run may change."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def fingerprint(weights: Iterable[torch.Tensor]) -> str:
    """SHA-256 over every bit of some tensors, in their order, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()
