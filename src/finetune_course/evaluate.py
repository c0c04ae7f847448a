"""Scoring of triage answers: what is right, how sure that number is, and whether two methods really differ.

The statistics come from SciPy and scikit-learn. An answer that does not parse is wrong in every field, in every
function here: a program downstream could not use it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from .triage import FIELDS, Label, label_text, parse_label

INVALID = "(unparsable)"
"""The class of an answer that is no record; it equals no truth."""

Record = Mapping[str, Any]


class Interval(NamedTuple):
    """A mean (or a difference of means) and the ends of its interval, in the unit of the values."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"


def score(answers: Sequence[str], records: Sequence[Record]) -> pd.DataFrame:
    """One row per message: ``id``, ``valid``, ``exact`` and one column per field, all but the id True or False.

    ``answers`` are the model's texts in the order of ``records`` (as from ``triage.load_split``). ``exact`` means
    that all fields are right. Raises ValueError for unequal lengths, no records, or an answer that is not text.
    """
    labels = _parsed(answers, records)
    rows = []
    for label, record in zip(labels, records, strict=True):
        right = {field: label is not None and label[field] == record["label"][field] for field in FIELDS}
        rows.append({"id": record["id"], "valid": label is not None, "exact": all(right.values()), **right})
    return pd.DataFrame(rows)


def interval(values: Sequence[float], level: float = 0.95, draws: int = 10_000, seed: int = 0) -> Interval:
    """Mean of ``values`` (one per message) with its interval: Wilson's for a share, the bootstrap's for other means.

    Values of 0 and 1 (or False and True) make a share, and a share gets the Wilson score interval (Wilson 1927;
    recommended by Brown, Cai and DasGupta 2001). It stays inside 0 to 1 and keeps a width near the ends, where the
    bootstrap loses it: 0 right of 200 are up to 1.9% for Wilson and exactly 0 for the bootstrap.

    Other values get the bootstrap percentile interval (Efron and Tibshirani 1993, chapter 13): as many messages as
    there are, drawn with replacement ``draws`` times, and the middle ``level`` of the means. ``draws`` and ``seed``
    matter there alone. Raises ValueError for no values, for what is not a number, and for other values that are all
    the same: without spread no interval can be computed.
    """
    numbers = _numbers(values, "values")
    if np.isin(numbers, (0.0, 1.0)).all():
        return Interval(float(numbers.mean()), *_wilson(int(numbers.sum()), numbers.size, level))
    if numbers.min() == numbers.max():
        raise ValueError(
            f"All {numbers.size} values are {numbers[0]:g}: without any spread no interval can be computed from them."
        )
    return _bootstrap(numbers, level, draws, seed)


def paired_difference(
    a: Sequence[float], b: Sequence[float], level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Mean of ``a - b`` with its bootstrap interval; ``a[i]`` and ``b[i]`` are two methods' values on one message.

    The bootstrap is that of ``interval``, for values of 0 and 1 too: a difference is no share. Every draw takes the
    same messages for both, so what makes a message hard for both cancels out: the interval is usually narrower than
    two separate ones suggest. An interval that excludes 0 says that the methods differ.
    Where every difference is the same, the bootstrap would shrink to a point; for values of 0 and 1, the share of
    messages that might still behave otherwise is then bounded by Wilson's interval for 0 of n. Raises ValueError for
    unequal lengths.
    """
    first, second = _numbers(a, "a"), _numbers(b, "b")
    if first.size != second.size:
        raise ValueError(
            f"A paired comparison needs the same messages: a has {first.size} values and b has {second.size}."
        )
    difference = first - second
    if difference.min() < difference.max():
        return _bootstrap(difference, level, draws, seed)
    if not np.isin([first, second], (0.0, 1.0)).all():
        raise ValueError(
            f"All {difference.size} differences are {difference[0]:g}: no interval can be computed from them."
        )
    value, unseen = float(difference[0]), _wilson(0, difference.size, level)[1]
    return Interval(value, max(-1.0, value - unseen), min(1.0, value + unseen))


def separate_difference(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Difference of two shares with its interval, where the messages differ and nothing can be paired.

    ``a`` and ``b`` are (mean, low, high) of two shares of separate samples, as ``interval`` gives them; the ends of
    the difference are put together from theirs (Newcombe 1998, method 10). Where both answered the same messages,
    ``paired_difference`` is narrower. Raises ValueError where an interval does not hold its mean.
    """
    first, second = Interval(*a), Interval(*b)
    for name, given in (("a", first), ("b", second)):
        if not given.low <= given.mean <= given.high:
            raise ValueError(f"{name} should be (mean, low, high), in this order, and is {tuple(given)}.")
    difference = first.mean - second.mean
    below = np.hypot(first.mean - first.low, second.high - second.mean)
    above = np.hypot(first.high - first.mean, second.mean - second.low)
    return Interval(difference, difference - float(below), difference + float(above))


def field_f1(answers: Sequence[str], records: Sequence[Record]) -> pd.DataFrame:
    """Accuracy, precision, recall and F1 of every field; index ``field``, values from 0 to 1.

    Fields with a closed list: the plain (macro) average over the classes that occur in the truth, so a rare class
    weighs as much as a common one. Order ids have no classes: precision is the share of extracted ids that are right,
    recall the share of the messages' ids that were found. Null is a class of the product and no order id.
    """
    labels = _parsed(answers, records)
    rows = []
    for field in FIELDS:
        truth = [_class_name(record["label"], field) for record in records]
        given = [_class_name(label, field) for label in labels]
        if field == "order_id":
            classes, average = sorted({*truth, *given} - {"null", INVALID}), "micro"
        else:
            classes, average = sorted(set(truth)), "macro"
        precision, recall, f1, _ = precision_recall_fscore_support(
            truth, given, labels=classes, average=average, zero_division=0
        )
        rows.append((field, accuracy_score(truth, given), precision, recall, f1))
    return pd.DataFrame(rows, columns=["field", "accuracy", "precision", "recall", "f1"]).set_index("field")


def summary(
    scored: Mapping[tuple[str, str], pd.DataFrame], measures: Sequence[str] = ("valid", "exact"), level: float = 0.95
) -> pd.DataFrame:
    """A tidy table of intervals: columns method, set, measure, messages, mean, low, high.

    ``scored`` maps (method, set) to a table from ``score``; ``measures`` are columns of it. Raises ValueError for
    an empty mapping and for a measure that a table does not hold.
    """
    if not scored:
        raise ValueError("There is nothing to sum up: give at least one scored table.")
    rows = []
    for (method, dataset), table in scored.items():
        missing = [measure for measure in measures if measure not in table]
        if missing:
            raise ValueError(f"The table of {method}, {dataset} has no column '{missing[0]}'; it has {list(table)}.")
        rows += [(method, dataset, measure, len(table), *interval(table[measure], level=level)) for measure in measures]
    return pd.DataFrame(rows, columns=["method", "set", "measure", "messages", "mean", "low", "high"])


def percent(mean: float, low: float, high: float) -> str:
    """Shares as text, in whole per cent: ``86% [80, 91]``."""
    return f"{_whole(mean)}% [{_whole(low)}, {_whole(high)}]"


def points(mean: float, low: float, high: float) -> str:
    """A difference of shares in percentage points, always signed: ``+12 [+6, +18]``.

    Whole points, but for an end that rounding would put on 0 although the interval excludes 0: ``+2 [+0.5, +4]``.
    """
    return f"{_signed(mean)} [{_signed(low, low > 0)}, {_signed(high, high < 0)}]"


def percent_table(table: pd.DataFrame) -> pd.DataFrame:
    """A ``summary`` for reading: one row per method, one column per set and measure, cells like ``86% [80, 91]``."""
    cells = table.assign(cell=[percent(*row) for row in table[["mean", "low", "high"]].to_numpy()])
    wide = cells.pivot(index="method", columns=["set", "measure"], values="cell").fillna("–")
    columns = pd.MultiIndex.from_frame(table[["set", "measure"]].drop_duplicates(), names=["set", "measure"])
    return wide.loc[list(dict.fromkeys(table["method"])), columns]


def errors_table(answers: Sequence[str], records: Sequence[Record]) -> pd.DataFrame:
    """Every error as a row: id, message, field, expected, came.

    An unparsable answer is one row with its whole text, spaced at the commas: a table cannot break a line without.
    """
    rows = []
    for answer, label, record in zip(answers, _parsed(answers, records), records, strict=True):
        place = (record["id"], record["message"])
        if label is None:
            rows.append((*place, INVALID, _spaced(label_text(record["label"])), _spaced(answer)))
            continue
        rows += [
            (*place, field, _class_name(record["label"], field), _class_name(label, field))
            for field in FIELDS
            if label[field] != record["label"][field]
        ]
    return pd.DataFrame(rows, columns=["id", "message", "field", "expected", "came"])


def _parsed(answers: Sequence[str], records: Sequence[Record]) -> list[Label | None]:
    if isinstance(answers, str):
        raise ValueError("The answers are one text; give a list with one text per message.")
    if len(answers) != len(records):
        raise ValueError(f"There are {len(answers)} answers for {len(records)} messages: give one answer per message.")
    if not records:
        raise ValueError("There are no messages to score: the list of records is empty.")
    for place, answer in enumerate(answers):
        if not isinstance(answer, str):
            raise ValueError(
                f"Answer {place} (of {records[place]['id']}) is of type {type(answer).__name__}: give the model's text."
            )
    return [parse_label(answer) for answer in answers]


def _spaced(text: str) -> str:
    return re.sub(r",(?=\S)", ", ", text)


def _class_name(label: Label | None, field: str) -> str:
    if label is None:
        return INVALID
    return "null" if label[field] is None else str(label[field])


def _numbers(values: Sequence[float], name: str) -> np.ndarray:
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(f"{name} must be a list of at least one number; it has the shape {numbers.shape}.")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} holds {int((~np.isfinite(numbers)).sum())} values that are not numbers.")
    return numbers


def _bootstrap(numbers: np.ndarray, level: float, draws: int, seed: int) -> Interval:
    # batch bounds the memory: 500 draws of 1,000 messages are 4 MB, all 10,000 at once would be 80 MB.
    result = stats.bootstrap(
        (numbers,), np.mean, n_resamples=draws, batch=500, confidence_level=level, method="percentile", rng=seed
    )
    ends = result.confidence_interval
    return Interval(float(numbers.mean()), float(ends.low), float(ends.high))


def _wilson(right: int, messages: int, level: float) -> tuple[float, float]:
    ends = stats.binomtest(right, messages).proportion_ci(confidence_level=level, method="wilson")
    return float(ends.low), float(ends.high)


def _whole(share: float) -> str:
    return f"{round(100 * share)}"


def _signed(share: float, excludes_zero: bool = False) -> str:
    if round(100 * share):
        return f"{round(100 * share):+d}"
    return f"{100 * share:+.1g}" if excludes_zero else "0"
