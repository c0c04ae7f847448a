"""Tokens saved: the ratio of the measured points, its interval, and what is refused."""

import math

import numpy as np
import pytest

from finetune_course.continuing import times_fewer


def run(*points, documents=50, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    spread = rng.normal(0, noise, documents)
    return [(tokens, loss + spread + rng.normal(0, noise / 10, documents)) for tokens, loss in points]


def test_the_first_measured_point_counts():
    scratch = run((100, 5.0), (800, 2.5))
    assert times_fewer(scratch, run((0, 4.0), (50, 3.0), (160, 2.5), (400, 2.0))) == (5, 5, 5)


def test_never_and_at_once():
    assert times_fewer(run((800, 2.5)), run((0, 4.0), (50, 3.0))).mean == 0
    assert times_fewer(run((800, 2.5)), run((0, 2.0))).mean == math.inf


def test_the_interval_says_how_sure_the_crossing_is():
    """A curve that only just crosses at 160 crosses earlier or later when other documents are drawn."""
    points = [(0, 4.0), (100, 2.52), (160, 2.49), (400, 2.0)]
    found = times_fewer(run((800, 2.5), noise=1.0), run(*points, noise=1.0, seed=1))
    assert found.low <= found.mean <= found.high and found.low < found.high


def test_what_is_refused():
    with pytest.raises(ValueError, match="without points"):
        times_fewer([], run((0, 1.0)))
    with pytest.raises(ValueError, match="same documents"):
        times_fewer(run((8, 1.0)), run((0, 1.0), documents=3))
