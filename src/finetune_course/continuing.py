"""How many times fewer tokens one run needs than another for the same loss, with an interval over documents."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .evaluate import Interval


def times_fewer(
    scratch: Sequence[tuple[int, np.ndarray]],
    continued: Sequence[tuple[int, np.ndarray]],
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Tokens of ``scratch``'s last point, divided by the tokens at which ``continued`` first has its loss or less.

    Args:
        scratch, continued: points of a run in order: tokens seen so far, and the loss of each of the same documents
            then, shape (documents,). A run that continues from a model has 0 tokens at its first point.

    The interval is a bootstrap over documents: each draw takes the same documents for both runs. Points are those that
    were measured, nothing is read between them, so the number is rather too low. A draw in which ``continued`` never
    gets there counts 0, one in which it is there before its first step counts infinity.

    Raises ValueError for a run without points or documents that do not match.
    """
    if not scratch or not continued:
        raise ValueError("A run without points has no tokens to compare: give each at least one (tokens, losses).")
    sizes = {np.shape(losses) for _, losses in [scratch[-1], *continued]}
    if len(sizes) > 1:
        raise ValueError(f"All points must be of the same documents; their shapes are {sorted(sizes)}.")
    target, losses = np.asarray(scratch[-1][1]), np.array([losses for _, losses in continued])
    documents = len(target)
    chosen = np.random.default_rng(seed).integers(documents, size=(draws, documents))
    found = [_ratio(scratch, continued, losses[:, rows].mean(1) <= target[rows].mean()) for rows in chosen]
    value = _ratio(scratch, continued, losses.mean(1) <= target.mean())
    # "nearest": between an infinite and a finite draw there is no number to interpolate
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return Interval(value, float(low), float(high))


def _ratio(scratch: Sequence, continued: Sequence, reached: np.ndarray) -> float:
    if not reached.any():
        return 0.0
    tokens = continued[int(reached.argmax())][0]
    return scratch[-1][0] / tokens if tokens else math.inf
