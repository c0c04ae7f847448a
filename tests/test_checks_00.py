"""Every check of notebook 00: a right answer written in another way passes, and each misconception is named."""

import math

import exercise_bank
import numpy as np
import torch
from scipy import special, stats

from finetune_course import checks_00


def exponentials(logits, temperature):
    return np.exp(np.array(logits) / temperature)


def softmax_by_torch(logits, temperature=1.0):
    return torch.softmax(torch.tensor(logits, dtype=torch.float64) / temperature, dim=0)


def softmax_in_python(logits, temperature=1.0):
    largest = max(logits)
    parts = [math.exp((logit - largest) / temperature) for logit in logits]
    return [part / math.fsum(parts) for part in parts]


def wilson_by_hand(right, total):
    z = stats.norm.ppf(0.975)
    share = right / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return [share, centre - half, centre + half]


def with_method(method, level=0.95):
    def interval(right, total):
        found = stats.binomtest(right, total).proportion_ci(level, method)
        return right / total, found.low, found.high

    return interval


def plain_interval(right, total):
    share = right / total
    half = 1.96 * math.sqrt(share * (1 - share) / total)
    return share, share - half, share + half


def no_width_at_zero(right, total):
    return with_method("wilson")(right, total) if right else (0.0, 0.0, 0.0)


def width_of_ten(right, total):
    return (right / total, *wilson_by_hand(10 * right / total, 10)[1:])


def farthest_taken_away(logits, temperature):
    scaled = np.array(logits) / temperature
    parts = np.exp(scaled - np.abs(scaled).max())
    return parts / parts.sum()


def divided_in_place(logits, temperature):
    for place in range(len(logits)):
        logits[place] /= temperature
    return softmax_in_python(logits)


def in_per_cent(right, total):
    return tuple(100 * part for part in with_method("wilson")(right, total))


def differences(confidence, held):
    return np.array(confidence) / 100 - np.array(held, dtype=float)


RIGHT = [
    (checks_00.weights_gb, lambda parameters, bits: parameters * bits * 1.25e-10),
    (checks_00.weights_gb, lambda parameters, bits: np.float64(parameters) / 1e9 * (bits / 8)),
    (checks_00.softmax, softmax_by_torch),
    (checks_00.softmax, softmax_in_python),
    (checks_00.softmax, lambda logits, temperature: special.softmax([logit / temperature for logit in logits])),
    (checks_00.accuracy_interval, wilson_by_hand),
    (checks_00.accuracy_interval, with_method("wilson")),
    (checks_00.brier, lambda confidence, held: float(np.mean(differences(confidence, held) ** 2))),
    (checks_00.brier, lambda c, held: sum((p / 100 - h) ** 2 for p, h in zip(c, held, strict=True)) / len(c)),
]

WRONG = [
    (checks_00.weights_gb, lambda parameters, bits: parameters * bits / 1e9, "a byte has 8 bits"),
    (checks_00.weights_gb, lambda parameters, bits: parameters * bits / 8 / 2**30, "That is GiB"),
    (checks_00.weights_gb, lambda parameters, bits: parameters * bits / 8 / 1e6, "number of MB"),
    (checks_00.weights_gb, lambda parameters, bits: parameters * bits / 8, "number of bytes"),
    (checks_00.weights_gb, lambda parameters, bits: parameters * (bits // 8) / 1e9, "4 bits are half a byte"),
    (checks_00.weights_gb, lambda parameters, bits: parameters * max(1, bits // 8) / 1e9, "4 bits are half a byte"),
    (checks_00.weights_gb, lambda parameters, bits: parameters * 4 / 1e9, "half a byte each"),
    (checks_00.weights_gb, lambda parameters, bits: 0.538060032, "half a byte each"),
    (checks_00.weights_gb, lambda parameters, bits: round(parameters * bits / 8 / 1e9, 3), "Round only when you print"),
    (checks_00.weights_gb, lambda parameters, bits: "0.54 GB", "one number"),
    (checks_00.softmax, exponentials, "sum to"),
    (checks_00.softmax, lambda logits, temperature: np.array(logits) / sum(logits), "take their exponentials first"),
    (checks_00.softmax, lambda logits, temperature: softmax_by_torch(logits) / temperature, "belongs to the logits"),
    (checks_00.softmax, lambda logits, temperature: softmax_by_torch(logits), "has no effect"),
    (checks_00.softmax, lambda logits, temperature: softmax_by_torch(logits, 1 / temperature), "multiply the logits"),
    (checks_00.softmax, lambda logits, t: (e := exponentials(logits, t)) / e.sum(), "largest logit away"),
    (
        checks_00.softmax,
        lambda logits, t: [math.exp(x / t) / sum(math.exp(y / t) for y in logits) for x in logits],
        "largest logit away",
    ),
    (checks_00.softmax, lambda logits, temperature: softmax_by_torch(logits).max(), "Expected 3 probabilities"),
    (checks_00.softmax, farthest_taken_away, "not the farthest from 0"),
    (checks_00.softmax, divided_in_place, "changed the list"),
    (checks_00.softmax, lambda logits, temperature: [0.665, 0.245, 0.090], "has no effect"),
    (checks_00.softmax, lambda logits, temperature: print(softmax_in_python(logits)), "returned None"),
    (checks_00.accuracy_interval, width_of_ten, "use the `total` that was given"),
    (checks_00.accuracy_interval, with_method("wilson", 0.9), "lower end of the 95% Wilson"),
    (checks_00.accuracy_interval, plain_interval, "ends above 1"),
    (checks_00.accuracy_interval, with_method("exact"), "method='wilson'"),
    (checks_00.accuracy_interval, no_width_at_zero, "without width"),
    (checks_00.accuracy_interval, in_per_cent, "per cent"),
    (checks_00.accuracy_interval, lambda right, total: wilson_by_hand(right, total)[::-1], "share is right answers"),
    (checks_00.accuracy_interval, lambda right, total: right / total, "three numbers"),
    (checks_00.brier, lambda c, held: np.mean((np.array(c) - np.array(held)) ** 2), "divide them by 100"),
    (checks_00.brier, lambda c, held: np.mean((np.array(c) - 100 * np.array(held)) ** 2), "divide them by 100"),
    (checks_00.brier, lambda c, held: 1.01 / 3, "Always saying 50 %"),
    (checks_00.brier, lambda c, held: differences(c, held) ** 2, "one number"),
    (checks_00.brier, lambda c, held: np.sum(differences(c, held) ** 2), "That is the sum"),
    (checks_00.brier, lambda c, held: np.mean(np.abs(differences(c, held))), "square each distance"),
    (checks_00.brier, lambda c, held: np.mean(differences(c, held) ** 2) ** 0.5, "square root"),
    (checks_00.brier, lambda c, held: np.mean(differences(c, held)), "misses cancel out"),
    (checks_00.brier, lambda c, held: np.mean((1 - np.array(c) / 100) ** 2), "the outcome of one that failed is 0"),
]

CHECKS = [checks_00.weights_gb, checks_00.softmax, checks_00.accuracy_interval, checks_00.brier]
test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)
