"""Many vectors to try a database's speed on, and the recall of an approximate index against exact search.

The vectors are made up, since nobody has written a million pages for this course; they are made so that they lie as
closely together as real ones do. Evenly random directions would not do: in 384 dimensions they are all about equally
far from each other, and no index can find neighbours that hardly differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np


def vectors_between(real: np.ndarray, count: int, seed: int = 0, noise: float = 0.3) -> np.ndarray:
    """``count`` unit vectors, (count, numbers) float32: each between two real ones, and pushed a little to the side.

    ``real`` is (rows, numbers), rows of any length. The push has ``noise`` times the length of a unit vector and an
    evenly random direction. Raises ValueError for fewer than two real vectors or a count below one.
    """
    if len(real) < 2 or count < 1:
        raise ValueError(f"This needs two real vectors and a count of one or more; there are {len(real)} and {count}.")
    generator = np.random.default_rng(seed)
    rows = generator.integers(len(real), size=(2, count))
    share = generator.random((count, 1), dtype=np.float32)
    unit = _unit(np.asarray(real, dtype=np.float32))
    made = _unit(share * unit[rows[0]] + (1 - share) * unit[rows[1]])
    push = generator.standard_normal(made.shape, dtype=np.float32)
    return _unit(made + noise * _unit(push))


def batches_between(real: np.ndarray, count: int, batch: int = 50_000, seed: int = 0) -> Iterator[np.ndarray]:
    """The same in portions of at most ``batch`` vectors, so that a million need no 1.5 GB at once.

    A portion depends on ``seed`` and on its number, so fewer vectors are the beginning of more.
    """
    for number, first in enumerate(range(0, count, batch)):
        made = vectors_between(real, batch, seed=seed * 1_000_003 + number)
        yield made[: min(batch, count - first)]


class Timed(NamedTuple):
    """What some searches found (row numbers, best first) and the wall milliseconds of each."""

    found: list[list[int]]
    milliseconds: list[float]


def timed_searches(search: Callable[[np.ndarray], Sequence[int]], questions: np.ndarray, warm: int = 3) -> Timed:
    """``search(question)`` for each row of ``questions``, timed; the first ``warm`` are run once before, untimed."""
    for question in questions[:warm]:
        search(question)
    found, spent = [], []
    for question in questions:
        start = time.perf_counter()
        rows = search(question)
        spent.append(1000 * (time.perf_counter() - start))
        found.append([int(row) for row in rows])
    return Timed(found, spent)


def share_found(found: Sequence[Sequence[int]], exact: Sequence[Sequence[int]]) -> list[float]:
    """For each question the share of the exact answer's rows that were found: the recall of an index, 0 to 1.

    Raises ValueError for unequal lengths or an empty exact answer.
    """
    if len(found) != len(exact) or not all(exact):
        raise ValueError("Give one non-empty exact answer for each question.")
    return [len(set(rows) & set(right)) / len(set(right)) for rows, right in zip(found, exact, strict=True)]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
