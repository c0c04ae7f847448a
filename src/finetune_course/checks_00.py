"""The exercise checks of notebook 00: memory of weights, softmax with temperature, the Brier score, an interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .checking import WrongAnswer, ask, check, passed, require, require_close

MODEL = 134_515_008
"""Parameters of SmolLM2-135M."""


@check("0.1")
def weights_gb(answer: Callable[[float, float], float]) -> None:
    """Check of exercise 0.1: ``answer(parameters, bits)`` gives the weights' size in GB (1e9 bytes)."""
    found = ask(answer, MODEL, 32)
    expected = MODEL * 32 / 8 / 1e9
    for factor, sentence in (
        (8, "That is the number of gigabits: a byte has 8 bits, so divide by 8."),
        (1e9 / 2**30, "That is GiB, units of 2**30 bytes. A GB is 1,000,000,000 bytes, as on a data sheet."),
        (1e9, "That is the number of bytes: a GB is 1,000,000,000 of them."),
        (1e3, "That is the number of MB: a GB is 1,000 of them."),
    ):
        require(not _near(found, expected * factor), sentence)
    require_close(found, expected, "Parameters times bits is the size in bits; 8 bits are a byte.", expected * 1e-3)
    half_bytes = ask(answer, 7e9, 4)
    require(
        not _near(half_bytes, 0.0) and not _near(half_bytes, 7.0),
        "7 billion parameters of 4 bits came out as a whole number of bytes each: "
        "4 bits are half a byte, so divide with / and not with //.",
    )
    require_close(half_bytes, 3.5, "Try 7 billion parameters of 4 bits: half a byte each.", 0.01)
    byte = ask(answer, 1, 8)
    require(_near(byte, 1e-9), f"1 parameter of 8 bits is 1e-9 GB; yours is {byte}. Round only when you print.")
    passed("135 million parameters in 32 bits are 0.54 GB; 7 billion in 4 bits are 3.5 GB.")


@check("0.2")
def softmax(answer: Callable[..., Any]) -> None:
    """Check of exercise 0.2: ``answer(logits, temperature)`` gives probabilities, also for large logits."""
    logits = [2.0, 1.0, 0.0]
    plain = _probabilities(ask(answer, logits, 1.0), 3)
    _require_sum(plain, "Divide by the sum of the exponentials.")
    require(
        not np.allclose(plain, np.array(logits) / 3),
        "You shared the logits out in proportion: take their exponentials first.",
    )
    require(np.allclose(plain, [0.665, 0.245, 0.090], atol=1e-3), f"For {logits} expected about 0.665, 0.245, 0.090.")
    cold = _probabilities(ask(answer, logits, 0.5), 3)
    _require_sum(cold, "Did you divide the probabilities by the temperature? It belongs to the logits, before exp.")
    require(not np.allclose(cold, plain), "The temperature has no effect: divide the logits by it, before exp.")
    require(
        cold[0] > plain[0],
        "A low temperature made the favourite less likely: did you multiply the logits by it? Divide them.",
    )
    require(np.allclose(cold, [0.867, 0.117, 0.016], atol=1e-3), "Divide every logit by the temperature, before exp.")
    large = _large_logits(answer)
    require(np.allclose(large, [0.731, 0.269, 0.0], atol=1e-3), "With logits 1000, 999, 0 expected 0.731, 0.269, 0.")
    with np.errstate(all="ignore"):
        small = _probabilities(ask(answer, [-1000.0, 0.0, 1.0], 1.0), 3)
    far_below = (
        "With logits -1000, 0, 1 expected 0, 0.269, 0.731: take away the largest logit, not the farthest from 0."
    )
    require(np.allclose(small, [0.0, 0.269, 0.731], atol=1e-3), far_below)
    passed("a low temperature sharpens, a high one flattens, and the order of the tokens never changes.")


@check("0.3")
def brier(answer: Callable[[list, list], float]) -> None:
    """Check of exercise 0.3: ``answer(confidence, held)`` gives the mean squared distance; confidence in per cent."""
    confidence, held = [90, 60, 20], [True, False, True]
    found = ask(answer, confidence, held)
    per_cent = "Your confidences are still per cent: divide them by 100, then compare with 1 or 0."
    for wrong, sentence in (
        (3960.67, per_cent),
        (3366.67, per_cent),
        (1.01, "That is the sum: divide by the number of claims."),
        (0.5, "That is the mean distance: square each distance, so that a confident mistake costs more."),
        (0.58023, "That is the root of the score: leave the square root away."),
        (0.1, "That is the mean of the plain differences, in which misses cancel out: square each one."),
        (-0.1, "That is the mean of the plain differences, in which misses cancel out: square each one."),
        (0.27, "You took every claim as one that held: the outcome of one that failed is 0."),
    ):
        require(not _near(found, wrong), sentence)
    require_close(found, 1.01 / 3, "The distances are 0.1, 0.6 and 0.8; square each and take the mean.")
    require_close(ask(answer, [50, 50], [True, False]), 0.25, "Always saying 50 % scores 0.25.")
    require_close(ask(answer, [100], [False]), 1.0, "Being sure and wrong is the worst there is: 1.")
    passed("always answering 50 % scores 0.25, so below that your predictions knew something.")


@check("0.4")
def accuracy_interval(answer: Callable[[int, int], Any]) -> None:
    """Check of exercise 0.4: ``answer(right, total)`` gives (share, low, high), a 95% Wilson score interval."""
    share, low, high = _three(ask(answer, 8, 10))
    require(not _near(share, 80), "That is in per cent: give shares from 0 to 1.")
    require_close(share, 0.8, "The share is right answers divided by all answers.")
    require(low < share < high, "The share should lie between the ends: return (share, low, high), in this order.")
    require(
        not (abs(low - 0.552) < 2e-3 and abs(high - 1.048) < 2e-3),
        "Your interval ends above 1. The formula p ± 1.96·√(p(1 − p)/n) fails near 0 and 1: take Wilson's interval.",
    )
    require(
        not (abs(low - 0.444) < 2e-3 and abs(high - 0.975) < 2e-3),
        "That is binomtest's default, the exact interval: ask proportion_ci for method='wilson'.",
    )
    require_close(low, 0.490, "That is the lower end of the 95% Wilson interval for 8 of 10.", 2e-3)
    require_close(high, 0.943, "That is the upper end of the 95% Wilson interval for 8 of 10.", 2e-3)
    none_right = _three(ask(answer, 0, 10))
    require(
        none_right[2] > 0.01,
        "0 of 10 got an interval without width, as if the share were known to be 0: ten messages cannot show that.",
    )
    require_close(none_right[2], 0.278, "That is the upper end for 0 of 10.", 2e-3)
    hundred = _three(ask(answer, 80, 100))
    require_close(hundred[0], 0.8, "80 of 100 are 0.8 as well: divide by the `total` that was given.")
    narrower = "80 of 100 say more than 8 of 10, so their interval is narrower: use the `total` that was given."
    require(abs(hundred[1] - 0.711) < 2e-3 and abs(hundred[2] - 0.867) < 2e-3, narrower)
    passed("8 of 10 may mean anything from 49% to 94%, and 0 of 10 anything up to 28%.")


def _near(value: Any, target: float) -> bool:
    """Whether ``value`` is a number within 0.1 % of ``target``."""
    return abs(_number(value) - target) <= 1e-3 * max(abs(target), 1e-9)


def _number(value: Any) -> float:
    if isinstance(value, (str, bool)) or np.ndim(value) != 0:
        raise WrongAnswer(f"The answer should be one number; your code returned a {type(value).__name__}.")
    return float(value)


def _probabilities(value: Any, count: int) -> np.ndarray:
    found = np.asarray(value, dtype=float)
    require(found.shape == (count,), f"Expected {count} probabilities, one a logit; found the shape {found.shape}.")
    return found


def _require_sum(probabilities: np.ndarray, sentence: str) -> None:
    total = probabilities.sum()
    require(abs(total - 1) < 1e-6, f"The probabilities sum to {total:.3g} and not to 1. {sentence}")


def _large_logits(answer: Callable[..., Any]) -> np.ndarray:
    """The answer for logits whose exponentials no float can hold; NumPy gives infinity there, math.exp an exception."""
    overflow = (
        "With a logit of 1000 your code overflows: exp(1000) is too large for any float. Take the largest logit away "
        "from all of them first; the probabilities stay the same."
    )
    try:
        with np.errstate(all="ignore"):
            found = _probabilities(ask(answer, [1000.0, 999.0, 0.0], 1.0), 3)
    except WrongAnswer as problem:
        if isinstance(problem.__cause__, OverflowError):
            raise WrongAnswer(overflow) from problem.__cause__
        raise
    require(np.isfinite(found).all(), overflow)
    return found


def _three(value: Any) -> tuple[float, float, float]:
    require(
        isinstance(value, (tuple, list, np.ndarray)) and len(value) == 3,
        "Expected three numbers: return share, low, high.",
    )
    share, low, high = (_number(part) for part in value)
    return share, low, high
