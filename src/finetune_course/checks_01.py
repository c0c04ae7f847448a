"""The exercise checks of notebook 01: a merge, causal attention, a bigram table, top-p, the cost of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from .attention import causal_attention as right_attention
from .baselines import bigram
from .checking import WrongAnswer, ask, check, passed, require, require_close


@check("1.1")
def merge(answer: Callable[[list, tuple], Any]) -> None:
    """Check of exercise 1.1: ``answer(symbols, pair)`` gives the list with every occurrence of the pair joined."""
    given = ["l", "o", "w", "l", "o"]
    found = _symbols(ask(answer, given, ("l", "o")))
    require(found != ["lo", "w", "l", "o"], "Only the first pair was joined: go on to the end of the list.")
    require(found != given, "Nothing was joined: compare two neighbours with the pair, symbols[i] and symbols[i + 1].")
    require("o" not in found or len(found) < 5, "The second symbol of a pair is still there: after a join, skip both.")
    require(found == ["lo", "w", "lo"], f"Expected ['lo', 'w', 'lo']; yours is {found}.")
    twins = _symbols(ask(answer, ["l", "o", "l", "o"], ("l", "o")))
    beside = (
        "Of two pairs side by side only the first was joined. In a text they share the blank between them, and replace "
        "uses it once: walk through the list instead."
    )
    require(twins != ["lo", "l", "o"], beside)
    require(twins == ["lo", "lo"], f"Two pairs side by side should be ['lo', 'lo']; yours is {twins}.")
    bounds = _symbols(ask(answer, ["ab", "c", "a", "b"], ("b", "c")))
    letters = "You joined letters across symbols: in 'ab' the b is no longer on its own. Compare whole symbols."
    require(bounds != ["ab", "c", "a"], "The last symbol is lost when it belongs to no pair: keep it.")
    require(bounds == ["ab", "c", "a", "b"], letters)
    reverse = _symbols(ask(answer, ["o", "l"], ("l", "o")))
    require(reverse == ["o", "l"], "The order counts: the pair ('l', 'o') is not ('o', 'l').")
    triple = _symbols(ask(answer, ["a", "a", "a"], ("a", "a")))
    twice = "Three equal symbols hold one pair and one left over: from the left, and each symbol in one pair only."
    require(triple == ["aa", "a"], twice)
    last = _symbols(ask(answer, ["x", "l", "o"], ("l", "o")))
    require(last == ["x", "lo"], "A pair at the very end counts as well, and nothing may be lost there.")
    require(_symbols(ask(answer, ["x"], ("l", "o"))) == ["x"], "A single symbol has no neighbour and stays as it is.")
    require(_symbols(ask(answer, [], ("l", "o"))) == [], "A list without symbols gives one without symbols.")
    passed(
        "joined from left to right; a tokenizer does this once for every merge that it has learned, 1,788 times here."
    )


def _symbols(value: Any) -> list[str]:
    require(
        not isinstance(value, str), "Return a list of symbols, not one text: the borders between them are the point."
    )
    shape = "Return a list of symbols (texts)."
    require(isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value), shape)
    return list(value)


@check("1.3")
def causal_attention(answer: Callable[..., Any]) -> None:
    """Check of exercise 1.3: ``answer(q, k, v)``, each of shape (heads, tokens, width), gives the mixed values."""
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(2, 4, 8, generator=generator) for _ in range(3))
    found = _tensor(ask(answer, q, k, v), q.shape)
    kind = f"q, k and v are float32, and your result is {str(found.dtype).removeprefix('torch.')}: keep their type."
    require(found.dtype == q.dtype, kind)
    require(
        found.device == q.device, f"q, k and v lie on {q.device}, and your result on {found.device}: keep their device."
    )
    nan = "Some values are not numbers: keep the diagonal, each position sees itself, or softmax gets a row of nothing."
    require(not found.isnan().any(), nan)
    scores = q @ k.transpose(-2, -1)
    scaled, later = scores / math.sqrt(8), torch.ones(4, 4, dtype=torch.bool).triu(1)
    closed, turned, near = (scaled.masked_fill(mask, -torch.inf) for mask in (later, later.T, later.triu(2)))
    wrong = (
        (scaled.softmax(-1) @ v, "The future is visible: no score of a later position was masked."),
        (turned.softmax(-1) @ v, "The mask is the wrong way round: it hides the past and shows the future."),
        (near.softmax(-1) @ v, "Each position sees the next token too: the mask is one off, it begins at triu(1)."),
        (
            scaled.softmax(-1).masked_fill(later, 0) @ v,
            "You masked after softmax: the weights of a row no longer sum to 1. Mask the scores, with minus infinity.",
        ),
        (
            scaled.masked_fill(later, 0).softmax(-1) @ v,
            "A masked score of 0 still gets weight, e to the 0 is 1: use minus infinity.",
        ),
        (
            scores.masked_fill(later, -torch.inf).softmax(-1) @ v,
            "The scaling is missing: divide the scores by the square root of the width.",
        ),
        (
            (scores / 8).masked_fill(later, -torch.inf).softmax(-1) @ v,
            "You divided by the width: divide by its square root.",
        ),
        (
            (scores / 2).masked_fill(later, -torch.inf).softmax(-1) @ v,
            "You divided by the root of the number of tokens: the width is the last dimension, q.shape[-1].",
        ),
        (closed.softmax(-2) @ v, "Softmax runs over the wrong dimension: each row, dim=-1, must sum to 1."),
        (closed.softmax(0) @ v, "Softmax runs over the heads: each row, dim=-1, must sum to 1."),
        (closed.exp() @ v, "That is e to the scores, and no softmax yet: divide by the sum of the row."),
        (
            (k @ q.transpose(-2, -1) / math.sqrt(8)).masked_fill(later, -torch.inf).softmax(-1) @ v,
            "Queries and keys have changed places: the rows belong to the queries, q @ k.transpose(-2, -1).",
        ),
    )
    for value, sentence in wrong:
        require(not torch.allclose(found, value, atol=1e-5, equal_nan=True), sentence)
    close = torch.allclose(found, right_attention(q, k, v), atol=1e-5)
    require(close, "The values differ from softmax(mask(q·k / √width)) · v: check the four steps one by one.")
    longer = torch.randn(1, 6, 8, generator=generator)
    again = _tensor(ask(answer, longer, longer, longer), longer.shape)
    fixed = "With 6 tokens instead of 4 it goes wrong: make the mask as large as the scores."
    require(torch.allclose(again, right_attention(longer, longer, longer), atol=1e-5), fixed)
    more = torch.randn(3, 5, 12, generator=generator)
    again = _tensor(ask(answer, more, more, more), more.shape)
    counted = "With a width of 12 instead of 8 it goes wrong: divide by the root of q.shape[-1]."
    require(torch.allclose(again, right_attention(more, more, more), atol=1e-5), counted)
    batch = torch.randn(2, 3, 5, 8, generator=generator)
    sentence = (
        "With a dimension before the heads, (texts, heads, tokens, width), it goes wrong: swap the last two, -2, -1."
    )
    try:
        again = _tensor(ask(answer, batch, batch, batch), batch.shape)
    except WrongAnswer as problem:
        raise WrongAnswer(sentence) from problem.__cause__
    require(torch.allclose(again, right_attention(batch, batch, batch), atol=1e-5), sentence)
    passed("position 0 sees itself alone, position 3 all four; changing a later token changes nothing before it.")


def _tensor(value: Any, shape: tuple[int, ...]) -> torch.Tensor:
    require(isinstance(value, torch.Tensor), "Return a torch tensor, the values mixed by the weights.")
    weights = "Those are the weights, tokens × tokens: multiply them with v."
    require(value.shape != (*shape[:-1], shape[-2]) or shape[-1] == shape[-2], weights)
    require(value.shape == shape, f"The result should have the shape {tuple(shape)}; yours is {tuple(value.shape)}.")
    return value


@check("1.2")
def bigram_table(answer: Callable[..., Any]) -> None:
    """Check of exercise 1.2: ``answer(tokens, unigram, weight)`` gives a table, vocabulary × vocabulary."""
    tokens, alone, weight = torch.tensor([0, 1, 0, 2, 0, 1, 0]), torch.tensor([0.4, 0.3, 0.2, 0.1]), 0.75
    found = _table(ask(answer, tokens, alone, weight))
    right = _right(tokens, alone, weight)
    counts = torch.zeros(4, 4)
    for first, second in zip(tokens[:-1].tolist(), tokens[1:].tolist(), strict=True):
        counts[first, second] += 1
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    rolled = counts.clone()
    rolled[0, 0] += 1
    once = (counts > 0).float()
    unseen = "Token 3 is never followed by anything: 0 / 0. Its row should be the unigram itself, not"
    wrong = (
        (right.T, "Rows and columns have changed places: row a is about what comes *after* a."),
        (
            weight * counts / counts.sum() + (1 - weight) * alone,
            "You divided by all pairs together: each row has a sum of its own, counts.sum(1, keepdim=True).",
        ),
        (
            weight * counts / counts.sum(0, keepdim=True).clamp(min=1) + (1 - weight) * alone,
            "You divided by the sums of the columns: the next token's shares are within a row, sum(1).",
        ),
        (
            torch.where(counts.sum(1, keepdim=True) > 0, (1 - weight) * shares + weight * alone, alone),
            "The weight is the wrong way round: it belongs to the counted shares, 1 - weight to the unigram.",
        ),
        (
            _mixed(rolled, alone, weight),
            "The last token was paired with the first: nothing follows the last one. Use tokens[:-1] and tokens[1:].",
        ),
        (
            _mixed(once, alone, weight),
            "A pair that occurs twice was counted once: use index_put_ with accumulate=True, or a loop.",
        ),
        (shares, "The unigram is missing: an unseen pair has the probability 0, and its loss is infinite."),
        (weight * shares + (1 - weight) * alone, f"{unseen} a quarter of it: that row does not sum to 1."),
    )
    for value, sentence in wrong:
        require(not torch.allclose(found, value.to(found.dtype), atol=1e-5), sentence)
    require(not found.isnan().any(), f"{unseen} “not a number”.")
    sums = "Row 0 should sum to 1: weight and 1 - weight share the whole probability."
    require(abs(float(found[0].sum()) - 1) < 1e-4, sums)
    require(
        torch.allclose(found, right.to(found.dtype), atol=1e-5), "Row 0 should be 0.75·[0, 2/3, 1/3, 0] + 0.25·unigram."
    )
    larger = torch.randint(9, (60,), generator=torch.Generator().manual_seed(3))
    again = _table(ask(answer, larger, torch.full((9,), 1 / 9), 0.5), 9)
    wide = "With a vocabulary of 9 it goes wrong: take the size from len(unigram)."
    require(torch.allclose(again, _right(larger, torch.full((9,), 1 / 9), 0.5).to(again.dtype), atol=1e-5), wide)
    passed("after token 0 the shares are 2/3 and 1/3, and no pair is impossible: the unigram keeps a quarter.")


def _mixed(counts: torch.Tensor, alone: torch.Tensor, weight: float) -> torch.Tensor:
    seen = counts.sum(1, keepdim=True)
    return torch.where(seen > 0, weight * counts / seen.clamp(min=1) + (1 - weight) * alone, alone)


def _right(tokens: torch.Tensor, alone: torch.Tensor, weight: float) -> torch.Tensor:
    """The package's table has the same counts; its unigram is its own, so the mix is made anew from a weight of 1."""
    size = len(alone)
    shares, seen = bigram(tokens, size, 1.0), torch.bincount(tokens[:-1], minlength=size)[:, None] > 0
    return torch.where(seen, weight * shares + (1 - weight) * alone, alone.double())


def _table(value: Any, size: int = 4) -> torch.Tensor:
    require(isinstance(value, torch.Tensor), "Return a torch tensor with one row for each token.")
    shape = f"The table should have the shape ({size}, {size}), a row and a column for each token; yours is"
    require(value.shape == (size, size), f"{shape} {tuple(value.shape)}.")
    return value


@check("1.4")
def nucleus(answer: Callable[..., Any]) -> None:
    """Check of exercise 1.4: ``answer(probabilities, top_p)`` keeps the likeliest tokens that reach top_p together."""
    given = torch.tensor([0.1, 0.5, 0.15, 0.25])
    found = _probabilities(ask(answer, given, 0.7), given)
    kept = torch.tensor([0, 0.5, 0, 0.25])
    for value, sentence in (
        (given, "Nothing was cut off: add the probabilities up from the largest, and stop when they reach top_p."),
        (kept, "The kept ones should sum to 1 again: divide them by their sum."),
        (torch.tensor([0, 1.0, 0, 0]), "You dropped the token that crosses top_p: 0.5 alone does not reach 0.7."),
        (torch.tensor([2 / 3, 1 / 3, 0, 0]), "The result is sorted: put each probability back in its own place."),
        (torch.tensor([0.5, 0.25, 0, 0]), "The result is sorted and not divided by its sum."),
        (torch.tensor([0.1, 0.5, 0.15, 0]) / 0.75, "You added up in the given order: sort first, largest first."),
        (kept.softmax(0), "softmax gives the tokens that were cut off a share again: divide by the sum instead."),
    ):  # fmt: skip
        require(not torch.allclose(found, value, atol=1e-4), sentence)
    require(torch.allclose(found, kept / 0.75, atol=1e-4), "Of 0.5, 0.25, 0.15, 0.1 the first two reach 0.7 together.")
    one = _probabilities(ask(answer, given, 0.3), given)
    none = "With top_p = 0.3 the likeliest token is left, with probability 1: at least one token always stays."
    require(torch.allclose(one, torch.tensor([0, 1.0, 0, 0]), atol=1e-4), none)
    whole = _probabilities(ask(answer, given, 1.0), given)
    require(torch.allclose(whole, given, atol=1e-4), "With top_p = 1 nothing is cut off.")
    exact = torch.tensor([0.25, 0.5, 0.25, 0.0])
    even = _probabilities(ask(answer, exact, 0.5), exact)
    reached = "0.5 alone reaches top_p = 0.5: a token is kept when the sum *before* it is still below top_p."
    require(torch.allclose(even, torch.tensor([0, 1.0, 0, 0]), atol=1e-4), reached)
    other = torch.tensor([0.4, 0.05, 0.2, 0.05, 0.3])
    again = _probabilities(ask(answer, other, 0.6), other)
    five = "Of the five probabilities 0.4, 0.05, 0.2, 0.05, 0.3 the first and the last reach 0.6: 4/7 and 3/7."
    require(torch.allclose(again, torch.tensor([4 / 7, 0, 0, 0, 3 / 7]), atol=1e-4), five)
    passed("two of four tokens were left; the more certain the model, the fewer tokens top-p leaves.")


def _probabilities(value: Any, given: torch.Tensor) -> torch.Tensor:
    require(isinstance(value, torch.Tensor), "Return a torch tensor of probabilities.")
    short = "Tokens that are cut off keep their place, with probability 0: the result is as long as what was given"
    require(value.shape == given.shape, f"{short} ({len(given)}, yours {value.numel()}).")
    kind = (
        f"The probabilities are float32, and your result is {str(value.dtype).removeprefix('torch.')}: keep their type."
    )
    require(value.dtype == given.dtype, kind)
    return value.detach()


@check("1.5")
def training_cost(answer: Callable[..., Any]) -> None:
    """Check of exercise 1.5: ``answer(parameters, tokens, tflops, utilisation, dollars_per_hour)``, two numbers."""
    hours, dollars = _two_numbers(ask(answer, 1e9, 2e10, 200, 0.5, 3.0))
    right = 6 * 1e9 * 2e10 / (200e12 * 0.5) / 3600
    for wrong, sentence in (
        (right / 3, "2·N·D is the forward pass alone. The backward pass takes twice as much again: 6·N·D."),
        (right * 3600, "Those are seconds: an hour has 3,600 of them."),
        (right * 60, "Those are minutes: divide by 3,600, not by 60."),
        (right / 24, "Those are days: return hours."),
        (right / 2, "The utilisation is missing: the card runs at half of its peak here, which doubles the hours."),
        (right / 4, "You multiplied by the utilisation: a card that is half used takes longer, so divide by it."),
        (right * 1e12, "A TFLOP/s is 1e12 operations a second: the unit is missing."),
        (right * 1e3, "You took TFLOP/s for GFLOP/s: tera is 1e12."),
        (right / 6, "The 6 is missing: 2 operations forward and 4 backward, for each weight and token."),
    ):
        _refuse(hours, wrong, sentence)
    require_close(hours, right, "Divide 6·N·D by tflops · 1e12 · utilisation, then by 3,600.", right * 1e-6)
    _refuse(dollars, 3.0, "That is the price of one hour: multiply it by the hours.")
    _refuse(dollars, right / 3, "You divided by the price: multiply.")
    require_close(dollars, 3 * right, "The dollars are the hours times the price of an hour.", right * 1e-6)
    small, price = _two_numbers(ask(answer, 3e8, 5e9, 125, 0.4, 2.0))
    _refuse(small, 6 * 3e8 * 5e9 / (125e12 * 0.6) / 3600, "1 - utilisation is the idle share: divide by utilisation.")
    sentence = "Another model, 3e8 parameters on 5e9 tokens, 125 TFLOP/s used at 0.4, costs 50 hours of 2 dollars:"
    require_close(small, 50, f"{sentence} is a number fixed in your code?", 1e-4)
    require_close(price, 100, f"{sentence} is the price fixed in your code?", 1e-4)
    passed(f"{hours:.0f} card-hours, {dollars:.0f} dollars: a model of a billion weights on 20 tokens for each.")


def _two_numbers(value: Any) -> tuple[Any, Any]:
    two = isinstance(value, (tuple, list)) and len(value) == 2
    require(two, "Return two numbers: the card-hours, and what they cost.")
    return value[0], value[1]


def _refuse(value: Any, wrong: float, sentence: str) -> None:
    try:
        same = not isinstance(value, bool) and math.isclose(float(value), wrong, rel_tol=1e-6)
    except (TypeError, ValueError):
        same = False
    if same:
        raise WrongAnswer(sentence)
