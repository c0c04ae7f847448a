"""The exercise checks of notebook 05: the LoRA layer, the merge, an update's low rank.

The checks of its counting exercises (largest rank, memory) are in ``checks_05_sizes`` and are called from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .checking import WrongAnswer, ask, check, passed, refuse, require, require_close
from .checks_05_sizes import largest_rank, training_memory

__all__ = ["largest_rank", "lora_linear", "merged_weight", "share_kept", "training_memory"]

_BOTH_ZERO = (
    "A and B are both zero. The gradient of A is computed with B and that of B with A, so neither would ever move: "
    "start A at random."
)
_OTHER_ZERO = "B is random and A zero. That starts equal too, but here, as in PEFT, A is the random one and B is zero."
_NOT_EQUAL = "A new layer should give exactly what its base gives: start B at zero."
_NO_GRAD = (
    "A parameter is filled in place while gradients are recorded, which torch refuses: fill the tensor before it "
    "becomes a parameter, or inside `with torch.no_grad():`, as nn.init's functions do."
)
_COPY = "Keep the layer that was given, as `self.base`: a copy would take its memory a second time."


@check("5.1")
def lora_linear(answer: Callable[[nn.Linear, int, float], Any]) -> None:
    """Check of exercise 5.1: ``answer(base, r, alpha)`` is a module with the frozen ``base`` and parameters A and B."""
    with torch.random.fork_rng():  # a learner's own seeded run does not depend on having checked
        torch.manual_seed(0)
        base = nn.Linear(4, 3)
        before = [weight.detach().clone() for weight in base.parameters()]
        layer = _made(answer, base)
        require(isinstance(layer, nn.Module), "LoRALinear should be an nn.Module: `class LoRALinear(nn.Module)`.")
        require(getattr(layer, "base", None) is base, _COPY)
        frozen = not any(weight.requires_grad for weight in base.parameters())
        require(frozen, "The base layer would be trained too: freeze it with `base.requires_grad_(False)`.")
        kept = all(map(torch.equal, base.parameters(), before))
        require(kept, "The base layer has other weights than before: `__init__` sets A and B, and leaves the base's.")
        _matrices(layer)
        _start(layer, base)
        _output(layer, base)
        _learns(layer)
        _batch(ask(lambda: answer(nn.Linear(6, 5, bias=False), 4, 2.0)))
    passed("at the start nothing changes, bit for bit; then A and B learn, and the base stays as it was.")


def _made(answer: Callable[[nn.Linear, int, float], Any], base: nn.Linear) -> Any:
    try:
        return ask(lambda: answer(base, 2, 6.0))
    except WrongAnswer as problem:
        in_place = "leaf Variable" in str(problem) or "leaf variable" in str(problem)
        require(not in_place, _NO_GRAD)
        raise


def _matrices(layer: nn.Module) -> None:
    for name, shape in (("A", (2, 4)), ("B", (3, 2))):
        matrix = getattr(layer, name, None)
        is_tensor = isinstance(matrix, torch.Tensor)
        require(is_tensor, f"Your layer has no matrix called `{name}`: set `self.{name}` in `__init__`.")
        require(
            isinstance(matrix, nn.Parameter) and matrix.requires_grad,
            f"`{name}` is no parameter that learns, so no optimiser will see it: wrap it in `nn.Parameter(...)`.",
        )
        turned = " You have it transposed: torch keeps (out, in)." if tuple(matrix.shape) == shape[::-1] else ""
        rule = "(r, in)" if name == "A" else "(out, r)"
        require(
            tuple(matrix.shape) == shape,
            f"`{name}` should have the shape {rule}, {shape} here; yours is {tuple(matrix.shape)}.{turned}",
        )
    others = [path for path, weight in layer.named_parameters() if weight.requires_grad and path not in ("A", "B")]
    require(not others, f"Only A and B should be trained; here {' and '.join(others)} would be too.")


def _start(layer: nn.Module, base: nn.Linear) -> None:
    A = layer.A.detach()
    filled = bool(A.isfinite().all()) and float(A.abs().max()) < 1e3
    require(filled, "A holds what lay in memory: torch.empty has to be filled, with nn.init.kaiming_uniform_.")
    zero = {name: not getattr(layer, name).any() for name in ("A", "B")}
    require(not (zero["A"] and zero["B"]), _BOTH_ZERO)
    require(not zero["A"], _OTHER_ZERO)
    require(
        not torch.equal(A[0], A[1]), "All rows of A are equal, so the correction stays of rank 1: fill A at random."
    )
    x = torch.randn(3, 4)
    found = ask(layer, x)
    require(isinstance(found, torch.Tensor), "`forward` should return a tensor, the layer's output.")
    if zero["B"]:
        require(not torch.equal(found, torch.zeros(3, 3)), "That is the correction alone: add it to base(x).")
        no_bias = torch.allclose(found, x @ base.weight.T)
        require(not no_bias, "The base's bias is lost: call `self.base(x)` instead of using its weight alone.")
        scaled = torch.allclose(found, base(x) * 3)
        require(not scaled, "You scaled the base's output too: alpha / r belongs to the correction alone.")
    require(torch.equal(found, base(x)), _NOT_EQUAL)


def _output(layer: nn.Module, base: nn.Linear) -> None:
    """The output once B is no longer zero: alpha / r is 3 here."""
    with torch.no_grad():
        layer.A.copy_(torch.tensor([[1.0, 2.0, 0.0, -1.0], [0.5, 0.0, 1.0, 1.0]]))
        layer.B.copy_(torch.tensor([[1.0, -1.0], [2.0, 0.5], [0.0, 3.0]]))
    x, before = torch.randn(3, 4), base.weight.detach().clone()
    plain, found = base(x), ask(layer, x)
    require(torch.equal(base.weight, before), "Your layer changed the base weights: leave them, add to the output.")
    correction = x @ layer.A.T @ layer.B.T
    require(_shape(found) == (3, 3), f"Three rows of 4 should become three rows of 3; yours are {_shape(found)}.")
    for factor, sentence in (
        (0, "With B no longer zero the output is still the base's: is the correction not added, or B fixed at zero?"),
        (1, "The scale is missing: multiply the correction by alpha / r, which is 6 / 2 here."),
        (6, "You scaled by alpha alone: divide it by r."),
        (12, "You scaled by alpha · r: it is alpha / r, so that a larger rank does not mean a larger step."),
        (1 / 3, "You scaled by r / alpha: it is alpha / r."),
        (6 / math.sqrt(2), "You scaled by alpha / √r (that is rsLoRA): plain LoRA takes alpha / r."),
        (-3, "You subtracted the correction: add it."),
    ):
        require(not torch.allclose(found, plain + factor * correction, atol=1e-5), sentence)
    require(
        torch.allclose(found, plain + 3 * correction, atol=1e-5),
        "The output should be base(x) + alpha / r · B A x: A first, which takes x down to r numbers, then B.",
    )


def _learns(layer: nn.Module) -> None:
    loss = layer(torch.randn(3, 4)).square().sum()
    if loss.requires_grad:
        loss.backward()
    for name in ("A", "B"):
        grad = getattr(layer, name).grad
        require(
            grad is not None and bool(grad.any()),
            f"No gradient reaches `{name}`: is there a `detach()`, `.data` or `no_grad` in `forward`?",
        )


def _batch(layer: nn.Module) -> None:
    """Real inputs have three dimensions: texts, tokens, features."""
    sentence = "A batch (2, 7, 6) should become (2, 7, 5): write `x @ self.A.T @ self.B.T`, with x in front."
    try:
        found = ask(layer, torch.ones(2, 7, 6))
    except WrongAnswer as problem:
        raise WrongAnswer(sentence) from problem.__cause__
    require(_shape(found) == (2, 7, 5), sentence)
    with torch.no_grad():
        layer.B.normal_()
        inputs = torch.randn(2, 7, 6)
        right = layer.base(inputs) + 0.5 * (inputs @ layer.A.T @ layer.B.T)
        close = torch.allclose(ask(layer, inputs), right, atol=1e-4)
    require(close, "With r = 4 and alpha = 2 the factor is 0.5: alpha / r, with one slash, not rounded.")


@check("5.2")
def merged_weight(answer: Callable[..., Any]) -> None:
    """Check of exercise 5.2: ``answer(weight, A, B, alpha)`` gives the (out, in) weight of the merged layer."""
    generator = torch.Generator().manual_seed(5)
    weight, A, B = (torch.randn(*shape, generator=generator) for shape in ((4, 4), (2, 4), (4, 2)))
    alpha, correction = 6.0, B @ A
    found = ask(answer, weight, A, B, alpha)
    require(isinstance(found, torch.Tensor), "Return the merged weight, a tensor of the old one's shape.")
    require(
        _shape(found) == (4, 4), f"The merged weight should have the shape of the old one, (4, 4): {_shape(found)}."
    )
    kind = f"The weight is float32 and your result {str(found.dtype).removeprefix('torch.')}: keep the type."
    require(found.dtype == weight.dtype, kind)
    for wrong, sentence in (
        (3 * correction, "That is the correction alone: add it to the weight."),
        (weight, "That is the old weight, unchanged."),
        (weight + correction, "The scale is missing: alpha / r, which is 6 / 2 here."),
        (weight + 6 * correction, "You scaled by alpha alone. r is the number of A's rows: divide alpha by it."),
        (weight + 12 * correction, "You multiplied by r: the scale is alpha / r."),
        (weight + 1.5 * correction, "Is your r the number of A's columns? A is (r, in): r is `A.shape[0]`."),
        (weight + 3 * correction.T, "Your correction is transposed. It lies as the weight does, (out, in): B @ A."),
        (weight - 3 * correction, "You took the correction away. That is how a merged adapter is removed again."),
        (3 * (weight + correction), "You scaled the old weight too: alpha / r belongs to the correction alone."),
        (weight + 6 / math.sqrt(2) * correction, "You divided by √r (that is rsLoRA): here it is alpha / r."),
    ):
        require(not torch.allclose(found, wrong, atol=1e-5), sentence)
    require(torch.allclose(found, weight + 3 * correction, atol=1e-5), "It should be weight + alpha / r · B @ A.")
    uneven = ask(answer, weight, A, B, 3.0)
    require(
        torch.allclose(uneven, weight + 1.5 * correction, atol=1e-5), "With alpha 3 and r 2 the scale is 1.5: use /."
    )
    long = [torch.randn(*shape, generator=generator) for shape in ((3, 5), (1, 5), (3, 1))]
    found = ask(answer, *long, 2.0)
    right = torch.allclose(found, long[0] + 2 * long[2] @ long[1], atol=1e-5)
    require(right, "For a (3, 5) layer of rank 1 and alpha 2 it should be weight + 2 · B @ A. Is r fixed in your code?")
    x = torch.randn(1000, 5, generator=generator)
    gap = (x @ found.T - (x @ long[0].T + 2 * x @ long[1].T @ long[2].T)).abs().max().item()
    passed(f"one matrix gives what three gave: over 1,000 inputs the largest difference is {gap:.0e}, rounding alone.")


@check("5.3")
def share_kept(answer: Callable[[torch.Tensor, int], Any]) -> None:
    """Check of exercise 5.3: ``answer(update, r)`` is the share of squared size that the best rank r keeps."""
    update = torch.diag(torch.tensor([1.0, 3.0, 5.0, 2.0, 1.0]))[:, [2, 0, 3, 1, 4]]
    found = ask(answer, update, 2)
    refuse(
        found,
        (8 / 12, "That is the share of the singular values' sum: square each of them first."),
        (9 / 40, "That is the second largest alone: add up the first r, `[:r]`."),
        (25 / 40, "That is the share of rank 1. For rank r count the first r values: `[:r]`."),
        (38 / 40, "That is one value too many: the first r are `[:r]`."),
        (2 / 40, "Those are the smallest values. `svdvals` sorts from large to small: take the first r."),
        (math.sqrt(34 / 40), "That is a square root: leave it out, here the share is one of squares."),
        (34, "That is the sum of squares that is kept: divide it by the sum of all."),
        (
            2 / 5,
            "That is r by the number of singular values, the same for every update of this shape.",
        ),
        (6 / 40, "That is the share that is lost: return the share that is kept."),
        (85, "That is per cent: return the share, from 0 to 1."),
        (34 / 25, "You divided by the largest value squared: divide by the sum of all squares."),
    )
    require_close(found, 34 / 40, "The singular values are 5, 3, 2, 1 and 1: (25 + 9) / 40 for r = 2.", 1e-5)
    generator = torch.Generator().manual_seed(5)
    thin = torch.randn(30, 3, generator=generator) @ torch.randn(3, 20, generator=generator)
    sentence = "A product of (30, 3) and (3, 20) has rank 3: at r = 3 nothing is lost."
    require_close(ask(answer, thin, 3), 1.0, sentence, 1e-4)
    full = ask(answer, torch.eye(8)[:, :5], 9)
    require_close(full, 1.0, "With r above the number of singular values all is kept.", 1e-5)
    noise = ask(answer, torch.randn(300, 300, generator=generator), 30)
    require(0.25 < float(noise) < 0.45, "For 300 × 300 of noise, r = 30 should keep about a third.")
    passed(f"rank 3 keeps all of a matrix made of three columns; of pure noise, a tenth of the rank keeps {noise:.0%}.")


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, torch.Tensor):
        raise WrongAnswer(f"A tensor was expected; your code returned a {type(value).__name__}.")
    return tuple(value.shape)
