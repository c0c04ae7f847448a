"""The checks of notebook 05: right answers however written pass, misconceptions are named, and the facts are real."""

import math

import exercise_bank
import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from finetune_course import checks_05, checks_05_sizes
from finetune_course.checking import NotDoneYet
from finetune_course.lora_layer import LoRALayer
from finetune_course.model_sizes import SIZES, linear_shapes, on_meta

CHECKS = [
    checks_05.lora_linear,
    checks_05.merged_weight,
    checks_05.share_kept,
    checks_05.largest_rank,
    checks_05.training_memory,
]


class Layer(nn.Module):
    """A right answer; the wrong ones below differ from it in one thing each."""

    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.r, self.alpha = r, alpha
        self.A, self.B = nn.Parameter(torch.randn(r, base.in_features)), nn.Parameter(torch.zeros(base.out_features, r))

    def forward(self, x):
        return self.base(x) + self.alpha / self.r * (x @ self.A.T @ self.B.T)


class ByEinsum(nn.Module):
    """Right, with the scale kept, named attributes of its own beside A and B, and another random start."""

    def __init__(self, base, r, alpha):
        super().__init__()
        self.base, self.scaling = base, alpha / r
        for weight in self.base.parameters():
            weight.requires_grad = False
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-0.1, 0.1))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def forward(self, x):
        down = torch.einsum("...i,ri->...r", x, self.A)
        return self.base(x).add(linear(down, self.B), alpha=self.scaling)


def started(change):
    """A wrong start: ``change(layer)`` after a right ``__init__``."""

    class Changed(Layer):
        def __init__(self, base, r, alpha):
            super().__init__(base, r, alpha)
            change(self)

    return Changed


def forwarded(make):
    """A wrong forward: ``make(layer, x, correction)``, the correction being B A x without its scale."""

    class Changed(Layer):
        def forward(self, x):
            return make(self, x, x @ self.A.T @ self.B.T)

    return Changed


def scaled_by(make):
    return forwarded(lambda layer, x, c: layer.base(x) + make(layer.alpha, layer.r) * c)


def transpose_both(layer):
    layer.A, layer.B = nn.Parameter(layer.A.detach().T), nn.Parameter(layer.B.detach().T)


def plain_tensors(layer):
    A = layer.A.detach()
    del layer.A
    layer.A = A


def copies_the_base(layer):
    copied = nn.Linear(layer.base.in_features, layer.base.out_features).requires_grad_(False)
    copied.load_state_dict(layer.base.state_dict())
    layer.base = copied


class MergesInForward(Layer):
    def forward(self, x):
        with torch.no_grad():
            self.base.weight += self.alpha / self.r * self.B @ self.A
        return self.base(x)


class TransposeAll(Layer):
    def forward(self, x):
        return self.base(x) + self.alpha / self.r * (self.B @ (self.A @ x.reshape(-1, x.shape[-1]).T)).T


class NoModule:
    def __init__(self, base, r, alpha):
        self.base = base

    def __call__(self, x):
        return self.base(x)


LAYER_WRONG = [
    (NoModule, "should be an nn.Module"),
    (started(copies_the_base), "a copy would take its memory"),
    (started(lambda layer: layer.base.requires_grad_(True)), "freeze it"),
    (started(lambda layer: layer.base.bias.requires_grad_(True)), "freeze it"),
    (started(lambda layer: nn.init.zeros_(layer.base.bias)), "leaves the base's"),
    (forwarded(lambda layer, x, c: layer.base(x) + 3 * (x @ layer.A.data.T @ layer.B.T)), "No gradient reaches `A`"),
    (forwarded(lambda layer, x, c: (layer.base(x) + 3 * c).detach()), "No gradient reaches `A`"),
    (started(lambda layer: delattr(layer, "B")), "no matrix called `B`"),
    (started(plain_tensors), "wrap it in `nn.Parameter"),
    (started(transpose_both), "You have it transposed"),
    (started(lambda layer: setattr(layer, "A", nn.Parameter(torch.randn(5, 4)))), "should have the shape (r, in)"),
    (started(lambda layer: setattr(layer, "more", nn.Parameter(torch.ones(1)))), "Only A and B should be trained"),
    (started(lambda layer: layer.A.uniform_(-0.5, 0.5)), "inside `with torch.no_grad():`"),
    (started(lambda layer: layer.A.__setitem__(0, 1.0)), "inside `with torch.no_grad():`"),
    (started(lambda layer: nn.init.zeros_(layer.A)), "both zero"),
    (started(lambda layer: (nn.init.zeros_(layer.A), nn.init.ones_(layer.B))), "B is random and A zero"),
    (started(lambda layer: nn.init.normal_(layer.B)), "start B at zero"),
    (forwarded(lambda layer, x, c: layer.alpha / layer.r * c), "correction alone"),
    (forwarded(lambda layer, x, c: x @ layer.base.weight.T + 3 * c), "bias is lost"),
    (forwarded(lambda layer, x, c: (layer.base(x) + c) * layer.alpha / layer.r), "scaled the base's output too"),
    (forwarded(lambda layer, x, c: layer.base(x)), "still the base's"),
    (scaled_by(lambda alpha, r: 1), "The scale is missing"),
    (scaled_by(lambda alpha, r: alpha // r), "with one slash"),
    (started(lambda layer: nn.init.ones_(layer.A)), "All rows of A are equal"),
    (started(lambda layer: nn.init.constant_(layer.A, math.nan)), "has to be filled"),
    (scaled_by(lambda alpha, r: alpha), "divide it by r"),
    (scaled_by(lambda alpha, r: alpha * r), "alpha · r"),
    (scaled_by(lambda alpha, r: r / alpha), "r / alpha"),
    (scaled_by(lambda alpha, r: alpha / math.sqrt(r)), "rsLoRA"),
    (scaled_by(lambda alpha, r: -alpha / r), "You subtracted"),
    (forwarded(lambda layer, x, c: layer.base(x) + 3 * c.detach()), "No gradient reaches `A`"),
    (
        forwarded(lambda layer, x, c: layer.base(x) + 3 * (x @ layer.A.T.detach() @ layer.B.T)),
        "No gradient reaches `A`",
    ),
    (MergesInForward, "changed the base weights"),
    (TransposeAll, "A batch (2, 7, 6)"),
    (forwarded(lambda layer, x, c: None), "returned None"),
]


def merge_by_einsum(weight, A, B, alpha):
    return torch.einsum("or,ri->oi", B, A).mul(alpha / len(A)) + weight


def merge_by_rows(weight, A, B, alpha):
    r = B.shape[1]
    return weight + sum(alpha / r * torch.outer(B[:, k], A[k]) for k in range(r))


def merge_in_place(weight, A, B, alpha):
    weight += alpha / A.shape[0] * B @ A
    return weight


def merge_with(make):
    """An answer from ``make(weight, BA, alpha, r)``."""
    return lambda weight, A, B, alpha: make(weight, B @ A, alpha, A.shape[0])


MERGE_WRONG = [
    (merge_with(lambda W, C, a, r: a / r * C), "correction alone"),
    (merge_with(lambda W, C, a, r: W), "unchanged"),
    (merge_with(lambda W, C, a, r: W + C), "The scale is missing"),
    (merge_with(lambda W, C, a, r: W + a * C), "alpha alone"),
    (merge_with(lambda W, C, a, r: W + a * r * C), "multiplied by r"),
    (merge_with(lambda W, C, a, r: W + a / len(C) * C), "number of A's columns"),
    (merge_with(lambda W, C, a, r: W + a / r * C.T), "transposed"),
    (merge_with(lambda W, C, a, r: W - a / r * C), "took the correction away"),
    (merge_with(lambda W, C, a, r: (W + C) * a / r), "scaled the old weight too"),
    (merge_with(lambda W, C, a, r: W + a / math.sqrt(r) * C), "rsLoRA"),
    (merge_with(lambda W, C, a, r: W + a / 2 * C), "Is r fixed"),
    (merge_with(lambda W, C, a, r: (W + a / r * C)[0]), "shape of the old one"),
    (merge_with(lambda W, C, a, r: "W"), "the merged weight"),
    (merge_in_place, "changed the tensor that it was given"),
    (merge_with(lambda W, C, a, r: (W + a / r * C).tolist()), "a tensor of the old one's shape"),
    (merge_with(lambda W, C, a, r: (W + a / r * C).half()), "float32 and your result float16"),
    (lambda weight, A, B, alpha: weight + alpha // A.shape[0] * B @ A, "use /"),
    (lambda weight, A, B, alpha: weight + alpha / A.shape[0] * A @ B, "stopped with RuntimeError"),
]


def kept_by_rebuilding(update, r):
    U, S, V = torch.linalg.svd(update, full_matrices=False)
    best = U[:, :r] * S[:r] @ V[:r]
    return (best.norm() / update.norm()).item() ** 2


def kept_by_eigenvalues(update, r):
    values = torch.linalg.eigvalsh(update @ update.T).flip(0).clamp(min=0)
    return float(values[:r].sum() / values.sum())


def kept(make):
    """An answer from ``make(S, r)``, S being the singular values."""
    return lambda update, r: make(torch.linalg.svdvals(update), r)


KEPT_WRONG = [
    (lambda update, r: (update[:r].norm() / update.norm()) ** 2, "The singular values are 5, 3, 2, 1 and 1"),
    (lambda update, r: 34 / 40, "nothing is lost"),
    (lambda update, r: update.pow_(2)[:r].sum() / update.sum(), "changed the tensor"),
    (kept(lambda S, r: S[:r].sum() / S.sum()), "square each of them"),
    (kept(lambda S, r: S[r - 1] ** 2 / (S**2).sum()), "second largest alone"),
    (kept(lambda S, r: (S[: r - 1] ** 2).sum() / (S**2).sum()), "share of rank 1"),
    (kept(lambda S, r: (S[: r + 1] ** 2).sum() / (S**2).sum()), "one value too many"),
    (kept(lambda S, r: (S[-r:] ** 2).sum() / (S**2).sum()), "smallest values"),
    (kept(lambda S, r: S[:r].norm() / S.norm()), "square root"),
    (kept(lambda S, r: (S[:r] ** 2).sum()), "divide it by the sum of all"),
    (kept(lambda S, r: r / len(S)), "r by the number of singular values"),
    (kept(lambda S, r: (S[r:] ** 2).sum() / (S**2).sum()), "share that is lost"),
    (kept(lambda S, r: 100 * (S[:r] ** 2).sum() / (S**2).sum()), "per cent"),
    (kept(lambda S, r: (S[:r] ** 2).sum() / S[0] ** 2), "divided by the largest"),
    (kept(lambda S, r: (S[:2] ** 2).sum() / (S**2).sum()), "rank 3"),
    (kept(lambda S, r: (S**2)[:r] / (S**2).sum()), "one number"),
    (kept(lambda S, r: sum(S[k] ** 2 for k in range(r)) / (S**2).sum()), "IndexError"),
]


def rank_by_trying(shapes, base, share):
    rank = 0
    while sum((rank + 1) * sum(shape) for shape in shapes) / base <= share:
        rank += 1
    return rank


def rank_of(make):
    """An answer from ``make(allowed, shapes)`` with allowed = share · base."""
    return lambda shapes, base, share: make(share * base, shapes)


def each_rank(shapes):
    return sum(outputs + inputs for outputs, inputs in shapes)


RANK_WRONG = [
    (lambda shapes, base, share: 9, "just fits"),
    (lambda shapes, share, base: share * base // each_rank(shapes) + (share > base), "You rounded up"),
    (rank_of(lambda n, s: n / each_rank(s)), "round down"),
    (rank_of(lambda n, s: math.ceil(n / each_rank(s))), "You rounded up"),
    (rank_of(lambda n, s: n // sum(o * i for o, i in s)), "not in · out"),
    (rank_of(lambda n, s: n // sum(i for _, i in s)), "You counted A alone"),
    (rank_of(lambda n, s: n // sum(o for o, _ in s)), "You counted B alone"),
    (rank_of(lambda n, s: n // sum(s[0])), "the first layer alone"),
    (rank_of(lambda n, s: n // sum(s[-1])), "the last layer alone"),
    (rank_of(lambda n, s: n / 100 // each_rank(s)), "as per cent"),
    (rank_of(lambda n, s: n // each_rank(s) * each_rank(s)), "return the rank"),
    (lambda s, base, share: share / (1 - share) * base // each_rank(s), "of base + added"),
    (rank_of(lambda n, s: math.ceil(n / each_rank(s)) - 1), "just fits"),
    (rank_of(lambda n, s: max(1, n // each_rank(s))), "not even rank 1"),
    (rank_of(lambda n, s: min(n // each_rank(s), 16)), "rank 54"),
    (rank_of(lambda n, s: str(n // each_rank(s))), "one number"),
]


def memory(weights, gradients, optimiser):
    """An answer from three functions of (frozen, trained, frozen_bits)."""

    def answer(frozen, trained, frozen_bits=16):
        given = (frozen, trained, frozen_bits)
        parts = {"weights": weights(*given), "gradients": gradients(*given), "optimiser": optimiser(*given)}
        return {**parts, "total": sum(parts.values())}

    return answer


def both(f, t, b):
    return f * b / 8 + 4 * t


def four(f, t, b):
    return 4 * t


def eight(f, t, b):
    return 8 * t


def memory_in_bits(frozen, trained, frozen_bits=16):
    parts = {"optimiser": 64 * trained, "gradients": 32 * trained, "weights": frozen * frozen_bits + 32 * trained}
    return {name: bits // 8 for name, bits in {**parts, "total": sum(parts.values())}.items()}


def in_unit(unit):
    def answer(frozen, trained, frozen_bits=16):
        return {name: size / unit for name, size in memory_in_bits(frozen, trained, frozen_bits).items()}

    return answer


def without_total(frozen, trained, frozen_bits=16):
    return {name: size for name, size in memory_in_bits(frozen, trained, frozen_bits).items() if name != "total"}


def american(frozen, trained, frozen_bits=16):
    return {name.replace("optimis", "optimiz"): size for name, size in memory_in_bits(frozen, trained, 4).items()}


def eight_bits_by_default(frozen, trained, frozen_bits=8):
    return memory_in_bits(frozen, trained, frozen_bits)


def total_of_weights(frozen, trained, frozen_bits=16):
    found = memory_in_bits(frozen, trained, frozen_bits)
    return {**found, "total": found["weights"]}


MEMORY_WRONG = [
    (memory(lambda f, t, b: f * b + 4 * t, four, eight), "8 of them make a byte"),
    (memory(lambda f, t, b: f * b / 8, four, eight), "trained weights are weights as well"),
    (memory(lambda f, t, b: (f + t) * b / 8, four, eight), "float32 whatever"),
    (memory(lambda f, t, b: 2 * f + 4 * t, four, eight), "Is 16 fixed"),
    (memory(lambda f, t, b: 4 * t, four, eight), "trained weights alone"),
    (memory(both, lambda f, t, b: 4 * (f + t), eight), "gave frozen weights a gradient"),
    (memory(both, lambda f, t, b: t, eight), "number of gradients"),
    (memory(both, lambda f, t, b: t * b / 8, eight), "frozen weights alone"),
    (memory(both, four, four), "keeps two"),
    (memory(both, four, lambda f, t, b: 8 * (f + t)), "gave frozen weights AdamW's moments"),
    (memory(both, four, lambda f, t, b: 12 * t), "gradient is counted already"),
    (memory(both, four, lambda f, t, b: 2 * t), "number of moments"),
    (in_unit(1e9), "return bytes"),
    (in_unit(2**20), "return bytes"),
    (total_of_weights, "sum of the three"),
    (eight_bits_by_default, "where it is not given"),
    (without_total, "lacks total"),
    (lambda f, t, frozen_bits=16: {**memory_in_bits(f, t, frozen_bits), "moments": 2 * t}, "leave the rest out"),
    (lambda frozen, trained, bits=16: memory_in_bits(frozen, trained, bits), "unexpected keyword argument"),
    (american, "spelt `optimiser`"),
    (lambda frozen, trained, frozen_bits=16: 980, "Return a dictionary"),
]

RIGHT = [
    (checks_05.lora_linear, Layer),
    (checks_05.lora_linear, ByEinsum),
    (checks_05.lora_linear, LoRALayer),
    (checks_05.merged_weight, merge_by_einsum),
    (checks_05.merged_weight, merge_by_rows),
    (checks_05.merged_weight, merge_with(lambda W, C, a, r: W + a / r * C)),
    (checks_05.share_kept, kept_by_rebuilding),
    (checks_05.share_kept, kept_by_eigenvalues),
    (checks_05.share_kept, kept(lambda S, r: (S[:r] ** 2).sum() / (S**2).sum())),
    (checks_05.largest_rank, rank_by_trying),
    (checks_05.largest_rank, rank_of(lambda n, s: int(n / each_rank(s)))),
    (checks_05.training_memory, memory_in_bits),
    (checks_05.training_memory, memory(both, four, eight)),
]

WRONG = [
    (check, answer, words)
    for check, cases in zip(CHECKS, (LAYER_WRONG, MERGE_WRONG, KEPT_WRONG, RANK_WRONG, MEMORY_WRONG), strict=True)
    for answer, words in cases
]


# The exercise of the layer is a class, whose two parts have a test of their own below.
test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG, stubs=CHECKS[1:])


@pytest.mark.parametrize("method", ["__init__", "forward"])
def test_an_untouched_part_of_the_class_is_not_done_yet(method):
    def stub(self, *inputs):
        raise NotImplementedError

    with pytest.raises(NotDoneYet, match="Exercise 5.1 is not done yet"):
        checks_05.lora_linear(type("Answer", (Layer,), {method: stub}))


def test_the_check_of_the_layer_leaves_torchs_random_numbers_alone():
    """It draws at random, and a learner's own seeded run afterwards must not depend on having run it."""
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    checks_05.lora_linear(Layer)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("name", "shapes", "total"),
    [
        ("SmolLM2-135M", checks_05_sizes.SMALL, checks_05_sizes.SMALL_MODEL),
        ("Llama-3.1-70B", checks_05_sizes.LARGE, checks_05_sizes.LARGE_MODEL),
    ],
)
def test_the_shapes_of_the_check_are_the_models(name, shapes, total):
    model = on_meta(SIZES[name])
    assert sorted(shape for _, shape in linear_shapes(model)) == sorted(shapes)
    assert model.num_parameters() == total


def test_memory_is_what_torch_keeps_for_adamw():
    """A frozen bfloat16 layer with LoRA in float32 beside it: bytes of weights, gradients and moments, counted."""
    base, A, B = nn.Linear(40, 25, bias=False, dtype=torch.bfloat16), torch.randn(2, 40), torch.zeros(25, 2)
    base.requires_grad_(False)
    weights = [nn.Parameter(A), nn.Parameter(B)]
    adam = torch.optim.AdamW(weights)
    x = torch.randn(3, 40)
    (base(x.bfloat16()).float() + x @ weights[0].T @ weights[1].T).square().sum().backward()
    adam.step()
    counted = {
        "weights": base.weight.nbytes + sum(weight.nbytes for weight in weights),
        "gradients": sum(weight.grad.nbytes for weight in weights),
        "optimiser": sum(state[name].nbytes for state in adam.state.values() for name in ("exp_avg", "exp_avg_sq")),
    }
    assert memory_in_bits(1000, 130) == {**counted, "total": sum(counted.values())}
