"""The checks of notebook 01: right answers however written pass, and every misconception is told its name."""

import math

import exercise_bank
import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import TopPLogitsWarper

from finetune_course import checks_01

CHECKS = [
    checks_01.merge,
    checks_01.causal_attention,
    checks_01.bigram_table,
    checks_01.nucleus,
    checks_01.training_cost,
]
MINUS = -torch.inf


# 1.1


def merge_recursively(symbols, pair):
    if len(symbols) < 2:
        return symbols
    joined = symbols[0] + symbols[1]
    if symbols[:2] == list(pair):
        return [joined, *merge_recursively(symbols[2:], pair)]
    return symbols[:1] + merge_recursively(symbols[1:], pair)


def merge_by_index(symbols, pair):
    made, at = [], 0
    while at < len(symbols):
        if tuple(symbols[at : at + 2]) == tuple(pair):
            made.append("".join(pair))
            at += 2
        else:
            made.append(symbols[at])
            at += 1
    return made


def merge_by_stack(symbols, pair):
    made, free = [], False
    for symbol in symbols:
        if free and made and (made[-1], symbol) == tuple(pair):
            made[-1] += symbol
            free = False
        else:
            made.append(symbol)
            free = True
    return made


def merge_first_only(symbols, pair):
    for at in range(len(symbols) - 1):
        if (symbols[at], symbols[at + 1]) == pair:
            return [*symbols[:at], "".join(pair), *symbols[at + 2 :]]
    return list(symbols)


def merge_without_skip(symbols, pair):
    made = []
    for at, symbol in enumerate(symbols):
        together = at + 1 < len(symbols) and (symbol, symbols[at + 1]) == pair
        made.append("".join(pair) if together else symbol)
    return made


def merge_by_text(symbols, pair):
    return " ".join(symbols).replace(" ".join(pair), "".join(pair)).split()


def merge_by_text_with_blanks(symbols, pair):
    """Blanks on both sides keep symbols whole, and the second of two pairs side by side has lost one of its own."""
    return f" {' '.join(symbols)} ".replace(f" {' '.join(pair)} ", f" {''.join(pair)} ").split()


def merge_either_order(symbols, pair):
    return merge_by_index(merge_by_index(symbols, pair), pair[::-1])


def merge_loses_last(symbols, pair):
    made, at = [], 0
    while at < len(symbols) - 1:
        together = (symbols[at], symbols[at + 1]) == pair
        made.append("".join(pair) if together else symbols[at])
        at += 2 if together else 1
    return made


def merge_overlapping(symbols, pair):
    starts = {at for at in range(len(symbols) - 1) if tuple(symbols[at : at + 2]) == pair}
    kept = [at for at in range(len(symbols)) if at in starts or at - 1 not in starts]
    return ["".join(pair) if at in starts else symbols[at] for at in kept]


def merge_from_the_first(symbols, pair):
    made, free = [symbols[0]], True
    for symbol in symbols[1:]:
        together = free and (made[-1], symbol) == tuple(pair)
        made[-1:] = [made[-1] + symbol] if together else [made[-1], symbol]
        free = not together
    return made


def merge_in_place(symbols, pair):
    symbols[:] = merge_by_index(symbols, pair)
    return symbols


MERGE_WRONG = [
    (merge_first_only, "Only the first pair"),
    (lambda s, p: list(s), "Nothing was joined"),
    (merge_without_skip, "skip both"),
    (merge_by_text, "joined letters across symbols"),
    (merge_by_text_with_blanks, "side by side"),
    (merge_from_the_first, "stopped with IndexError"),
    (lambda s, p: ["lo", "w", "lo"], "Two pairs side by side"),
    (lambda s, p: print(merge_by_index(s, p)), "returned None"),
    (merge_either_order, "The order counts"),
    (merge_overlapping, "one pair and one left over"),
    (merge_loses_last, "The last symbol is lost"),
    (merge_in_place, "changed the list"),
    (lambda s, p: "".join(s), "not one text"),
    (lambda s, p: len(s), "Return a list of symbols"),
]


# 1.2


def scores_of(q, k, scale=None):
    return q @ k.transpose(-2, -1) / (math.sqrt(q.shape[-1]) if scale is None else scale)


def later(scores, diagonal=1):
    return torch.ones(scores.shape[-2:], dtype=torch.bool).triu(diagonal)


def masked(scores, value=MINUS, diagonal=1):
    return scores.masked_fill(later(scores, diagonal), value)


def attention_by_library(q, k, v):
    return scaled_dot_product_attention(q, k, v, is_causal=True)


def attention_by_loops(q, k, v):
    out = torch.zeros_like(v)
    for one, queries, keys, values in zip(*(part.flatten(0, -3) for part in (out, q, k, v)), strict=True):
        for at in range(len(queries)):
            weights = (keys[: at + 1] @ queries[at] / math.sqrt(q.shape[-1])).softmax(0)
            one[at] = weights @ values[: at + 1]
    return out


def attention_by_adding(q, k, v):
    scores = scores_of(q, k)
    return (scores + torch.full(scores.shape[-2:], MINUS).triu(1)).softmax(-1) @ v


def second_and_third(q, k, v):
    scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
    return masked(scores).softmax(-1) @ v


def scaled_in_place(q, k, v):
    q /= math.sqrt(q.shape[-1])
    return masked(q @ k.mT).softmax(-1) @ v


def in_double(q, k, v):
    return attention_by_adding(q.double(), k.double(), v.double())


def fixed_mask(q, k, v):
    keep = torch.ones(4, 4).tril().bool()
    return scores_of(q, k).masked_fill(~keep, MINUS).softmax(-1) @ v


ATTENTION_WRONG = [
    (lambda q, k, v: scores_of(q, k).softmax(-1) @ v, "The future is visible"),
    (lambda q, k, v: scores_of(q, k).masked_fill(later(scores_of(q, k)).T, MINUS).softmax(-1) @ v, "wrong way round"),
    (lambda q, k, v: masked(scores_of(q, k).softmax(-1), 0) @ v, "masked after softmax"),
    (lambda q, k, v: masked(scores_of(q, k), 0).softmax(-1) @ v, "still gets weight"),
    (lambda q, k, v: masked(scores_of(q, k), MINUS, 0).softmax(-1) @ v, "keep the diagonal"),
    (lambda q, k, v: masked(scores_of(q, k), MINUS, 2).softmax(-1) @ v, "sees the next token too"),
    (lambda q, k, v: masked(scores_of(q, k, 1)).softmax(-1) @ v, "The scaling is missing"),
    (lambda q, k, v: masked(scores_of(q, k, q.shape[-1])).softmax(-1) @ v, "its square root"),
    (
        lambda q, k, v: masked(scores_of(q, k, math.sqrt(q.shape[-2]))).softmax(-1) @ v,
        "the width is the last dimension",
    ),
    (lambda q, k, v: masked(scores_of(q, k)).softmax(-2) @ v, "wrong dimension"),
    (lambda q, k, v: masked(scores_of(q, k)).softmax(0) @ v, "not numbers"),
    (lambda q, k, v: masked(scores_of(q, k)).exp() @ v, "no softmax yet"),
    (lambda q, k, v: masked(scores_of(k, q)).softmax(-1) @ v, "changed places"),
    (lambda q, k, v: masked(scores_of(q, k)).softmax(-1), "Those are the weights"),
    (lambda q, k, v: (masked(scores_of(q, k)).softmax(-1) @ v)[0], "should have the shape"),
    (lambda q, k, v: (masked(scores_of(q, k)).softmax(-1) @ v).tolist(), "Return a torch tensor"),
    (fixed_mask, "stopped with RuntimeError"),
    (second_and_third, "swap the last two"),
    (scaled_in_place, "changed the tensor"),
    (in_double, "keep their type"),
    (lambda q, k, v: attention_by_adding(q, k, v).half(), "keep their type"),
    (lambda q, k, v: attention_by_adding(q, k, v).to("meta"), "keep their device"),
]


# 1.3


def counted(tokens, size):
    counts = torch.zeros(size, size)
    for first, second in zip(tokens[:-1].tolist(), tokens[1:].tolist(), strict=True):
        counts[first, second] += 1
    return counts


def table_by_loop(tokens, unigram, weight):
    counts, rows = counted(tokens, len(unigram)), []
    for row in counts:
        rows.append(weight * row / row.sum() + (1 - weight) * unigram if row.sum() else unigram)
    return torch.stack(rows)


def table_by_bincount(tokens, unigram, weight):
    size = len(unigram)
    counts = torch.bincount(tokens[:-1] * size + tokens[1:], minlength=size * size).view(size, size).double()
    seen = counts.sum(1, keepdim=True)
    mixed = weight * counts / seen.clamp(min=1) + (1 - weight) * unigram.double()
    return torch.where(seen > 0, mixed, unigram.double())


def table_with(change):
    """The right table made wrong by ``change(counts, unigram, weight)``."""

    def answer(tokens, unigram, weight):
        return change(counted(tokens, len(unigram)), unigram, weight)

    return answer


def mix(counts, unigram, weight, divisor=None):
    seen = counts.sum(1, keepdim=True)
    shares = counts / (seen.clamp(min=1) if divisor is None else divisor)
    return torch.where(seen > 0, weight * shares + (1 - weight) * unigram, unigram)


def rolled(tokens, unigram, weight):
    counts = torch.zeros(len(unigram), len(unigram))
    counts.index_put_((tokens, tokens.roll(-1)), torch.ones(len(tokens)), accumulate=True)
    return mix(counts, unigram, weight)


def counted_once(tokens, unigram, weight):
    counts = torch.zeros(len(unigram), len(unigram))
    counts[tokens[:-1], tokens[1:]] += 1
    return mix(counts, unigram, weight)


def occurrences(tokens, unigram, weight):
    """Divides by how often a token occurs; the last one occurs and is not followed."""
    divisor = torch.bincount(tokens, minlength=len(unigram))[:, None].clamp(min=1)
    return mix(counted(tokens, len(unigram)), unigram, weight, divisor)


def of_size_four(tokens, unigram, weight):
    return mix(counted(tokens % 4, 4), unigram[:4], weight)


TABLE_WRONG = [
    (table_with(lambda c, u, w: mix(c, u, w).T), "Rows and columns"),
    (table_with(lambda c, u, w: w * c / c.sum() + (1 - w) * u), "all pairs together"),
    (table_with(lambda c, u, w: w * c / c.sum(0, keepdim=True).clamp(min=1) + (1 - w) * u), "sums of the columns"),
    (table_with(lambda c, u, w: mix(c, u, 1 - w)), "wrong way round"),
    (rolled, "paired with the first"),
    (occurrences, "should sum to 1"),
    (lambda tokens, u, w: mix(counted(tokens, len(u)), u, 0.75), "With a vocabulary of 9"),
    (counted_once, "counted once"),
    (table_with(lambda c, u, w: c / c.sum(1, keepdim=True).clamp(min=1)), "The unigram is missing"),
    (table_with(lambda c, u, w: w * c / c.sum(1, keepdim=True).clamp(min=1) + (1 - w) * u), "does not sum to 1"),
    (table_with(lambda c, u, w: w * c / c.sum(1, keepdim=True) + (1 - w) * u), "not a number"),
    (table_with(lambda c, u, w: w * c + (1 - w) * u), "should sum to 1"),
    (table_with(lambda c, u, w: mix(c, u, w).tolist()), "Return a torch tensor"),
    (table_with(lambda c, u, w: mix(c, u, w)[0]), "should have the shape"),
    (of_size_four, "should have the shape"),
]


# 1.4


def nucleus_by_loop(probabilities, top_p):
    kept, total = torch.zeros_like(probabilities), 0.0
    for place in probabilities.argsort(descending=True).tolist():
        if total >= top_p - 1e-9:
            break
        kept[place] = probabilities[place]
        total += float(probabilities[place])
    return kept / kept.sum()


def nucleus_by_sums(probabilities, top_p):
    ordered, places = probabilities.sort(descending=True)
    before = ordered.cumsum(0) - ordered
    kept = torch.zeros_like(probabilities)
    kept[places] = torch.where(before < top_p - 1e-6, ordered, 0.0)
    return kept / kept.sum()


def cut(probabilities, keep):
    return torch.where(keep, probabilities, 0.0)


def drops_the_crossing(probabilities, top_p):
    ordered, places = probabilities.sort(descending=True)
    kept = torch.zeros_like(probabilities)
    kept[places] = torch.where(ordered.cumsum(0) <= top_p, ordered, 0.0)
    return kept / kept.sum().clamp(min=1e-9)


def stays_sorted(probabilities, top_p):
    ordered = probabilities.sort(descending=True).values
    kept = torch.where(ordered.cumsum(0) - ordered < top_p, ordered, 0.0)
    return kept / kept.sum()


def unsorted(probabilities, top_p):
    kept = torch.where(probabilities.cumsum(0) - probabilities < top_p, probabilities, 0.0)
    return kept / kept.sum()


def ascending(probabilities, top_p):
    ordered, places = probabilities.sort()
    kept = torch.zeros_like(probabilities)
    kept[places] = torch.where(ordered.cumsum(0) - ordered < top_p, ordered, 0.0)
    return kept / kept.sum()


def never_one(probabilities, top_p):
    kept = nucleus_by_loop(probabilities, max(top_p, 0.6))
    return kept


def one_too_many(probabilities, top_p):
    ordered, places = probabilities.sort(descending=True)
    kept = torch.zeros_like(probabilities)
    kept[places] = torch.where(ordered.cumsum(0) - ordered <= top_p, ordered, 0.0)
    return kept / kept.sum()


def zeroed_in_place(probabilities, top_p):
    probabilities[nucleus_by_loop(probabilities, top_p) == 0] = 0
    return probabilities / probabilities.sum()


NUCLEUS_WRONG = [
    (zeroed_in_place, "changed the tensor"),
    (lambda p, t: nucleus_by_loop(p.double(), t), "keep their type"),
    (lambda p, t: nucleus_by_loop(p, t) * torch.tensor([0, 1.0, 0, 1.0]), "nothing is cut off"),
    (lambda p, t: p, "Nothing was cut off"),
    (lambda p, t: cut(p, nucleus_by_loop(p, t) > 0), "sum to 1 again"),
    (drops_the_crossing, "crosses top_p"),
    (stays_sorted, "The result is sorted"),
    (unsorted, "in the given order"),
    (ascending, "up from the largest"),
    (lambda p, t: cut(p, nucleus_by_loop(p, t) > 0).softmax(0), "a share again"),
    (never_one, "at least one token"),
    (one_too_many, "reaches top_p = 0.5"),
    (lambda p, t: nucleus_by_loop(p, t)[:2], "keep their place"),
    (lambda p, t: nucleus_by_loop(p, t).tolist(), "Return a torch tensor"),
]


# 1.5


def cost_by_steps(parameters, tokens, tflops, utilisation, dollars_per_hour):
    seconds = 6 * parameters * tokens / (tflops * utilisation) / 1e12
    return [seconds / 3600, seconds / 3600 * dollars_per_hour]


def cost_in_numpy(parameters, tokens, tflops, utilisation, dollars_per_hour):
    hours = np.float64(6) * parameters * tokens / (tflops * 1e12 * utilisation * 3600)
    return hours, dollars_per_hour * hours


def cost(hours):
    """An answer whose hours are ``hours(n, d, tflops, utilisation)``."""

    def answer(parameters, tokens, tflops, utilisation, dollars_per_hour):
        found = hours(parameters, tokens, tflops, utilisation)
        return found, found * dollars_per_hour

    return answer


COST_WRONG = [
    (lambda n, d, t, u, p: (1000 / 3, 1000.0), "fixed in your code"),
    (cost(lambda n, d, t, u: 6 * n * d / (t * 1e12 * (1 - u)) / 3600), "the idle share"),
    (lambda n, d, t, u, p: (h := cost_by_steps(n, d, t, u, p)[0], 3 * h), "is the price fixed"),
    (cost(lambda n, d, t, u: 2 * n * d / (t * 1e12 * u) / 3600), "2·N·D"),
    (cost(lambda n, d, t, u: n * d / (t * 1e12 * u) / 3600), "The 6 is missing"),
    (cost(lambda n, d, t, u: 6 * n * d / (t * 1e12 * u)), "Those are seconds"),
    (cost(lambda n, d, t, u: 6 * n * d / (t * 1e12 * u) / 60), "Those are minutes"),
    (cost(lambda n, d, t, u: 6 * n * d / (t * 1e12 * u) / 3600 / 24), "Those are days"),
    (cost(lambda n, d, t, u: 6 * n * d / (t * 1e12) / 3600), "utilisation is missing"),
    (cost(lambda n, d, t, u: 6 * n * d / (t * 1e12) * u / 3600), "multiplied by the utilisation"),
    (cost(lambda n, d, t, u: 6 * n * d / (t * u) / 3600), "the unit is missing"),
    (cost(lambda n, d, t, u: 6 * n * d / (t * 1e9 * u) / 3600), "GFLOP/s"),
    (lambda n, d, t, u, p: (cost_by_steps(n, d, t, u, p)[0], p), "price of one hour"),
    (
        lambda n, d, t, u, p: (cost_by_steps(n, d, t, u, p)[0], cost_by_steps(n, d, t, u, p)[0] / p),
        "divided by the price",
    ),
    (lambda n, d, t, u, p: cost_by_steps(n, d, t, u, p)[1], "Return two numbers"),
    (lambda n, d, t, u, p: ("333", "1000"), "should be one number"),
]

RIGHT = [
    (checks_01.merge, merge_by_index),
    (checks_01.merge, merge_by_stack),
    (checks_01.merge, merge_recursively),
    (checks_01.causal_attention, attention_by_library),
    (checks_01.causal_attention, attention_by_loops),
    (checks_01.causal_attention, attention_by_adding),
    (checks_01.bigram_table, table_by_loop),
    (checks_01.bigram_table, table_by_bincount),
    (checks_01.nucleus, nucleus_by_loop),
    (checks_01.nucleus, nucleus_by_sums),
    (checks_01.training_cost, cost_by_steps),
    (checks_01.training_cost, cost_in_numpy),
]
WRONG = [
    (check, answer, words)
    for check, cases in zip(CHECKS, (MERGE_WRONG, ATTENTION_WRONG, TABLE_WRONG, NUCLEUS_WRONG, COST_WRONG), strict=True)
    for answer, words in cases
]


test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)


@pytest.mark.parametrize("top_p", [0.2, 0.55, 0.7, 0.95])
def test_top_p_is_what_the_library_does(top_p):
    """The exercise's rule and transformers' own: the same tokens are left, with the same probabilities."""
    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(4))
    theirs = TopPLogitsWarper(top_p)(None, logits.clone()).softmax(-1)[0]
    assert torch.allclose(nucleus_by_sums(logits.softmax(-1)[0], top_p), theirs, atol=1e-5)
