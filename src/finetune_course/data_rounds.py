"""A second and a third round: read the errors on validation messages, then add training rows of the kinds that fail.

The rule is written down as code, so that a round can be repeated: which errors lead to which rows.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .evaluate import INVALID, errors_table
from .triage import FIELDS

START, ADDED = 300, 150
"""Rows of the first round, and rows that each further round adds."""

Record = dict[str, Any]
Kind = tuple[str, str, str]
"""(category, field, value): among messages of that true category, ``field`` was wrong where ``value`` was right."""


def value_of(label: Mapping[str, Any], field: str) -> str:
    """The field's value as text; of order ids only whether there is one, since each is different."""
    if field == "order_id":
        return "none" if label[field] is None else "an id"
    return str(label[field])


def error_kinds(answers: Sequence[str], records: Sequence[Record]) -> Counter[Kind]:
    """How often each kind of error occurs. An answer that is no record is wrong in every field."""
    labels = {record["id"]: record["label"] for record in records}
    kinds: Counter[Kind] = Counter()
    for error in errors_table(answers, records).itertuples():
        label = labels[error.id]
        for field in FIELDS if error.field == INVALID else [error.field]:
            kinds[label["category"], field, value_of(label, field)] += 1
    return kinds


def mend(kinds: Mapping[Kind, int], pool: Sequence[Record], size: int, seed: int = 0) -> list[Record]:
    """``size`` rows of ``pool`` for the kinds of errors, more for the commoner ones, in the order they were chosen.

    A row serves a kind when its label has that category and that value. The rows go to the kinds as seats go to
    parties by D'Hondt's rule: the next one to the kind with the most errors for each row that it would then have. Which
    of the rows that serve a kind is drawn with ``seed``. A kind without rows left is passed over; when none has any,
    the rest is drawn from the whole pool. Raises ValueError for more rows than the pool has.
    """
    if size > len(pool):
        raise ValueError(f"The pool has {len(pool)} rows: {size} cannot be chosen from it.")
    rest = list(range(len(pool)))
    random.Random(seed).shuffle(rest)
    serving = {kind: [place for place in rest if serves(pool[place], kind)] for kind in sorted(kinds)}
    chosen: list[int] = []
    taken: set[int] = set()
    rows_of: Counter[Kind] = Counter()
    while len(chosen) < size:
        open_kinds = {kind: left for kind, places in serving.items() if (left := [p for p in places if p not in taken])}
        if not open_kinds:
            chosen += [place for place in rest if place not in taken][: size - len(chosen)]
            break
        kind = max(open_kinds, key=lambda each: (kinds[each] / (rows_of[each] + 1), each))
        chosen.append(open_kinds[kind][0])
        taken.add(chosen[-1])
        rows_of[kind] += 1
    return [pool[place] for place in chosen]


def serves(record: Record, kind: Kind) -> bool:
    """Has the row the category and the value that the kind of error is about?"""
    category, field, value = kind
    return record["label"]["category"] == category and value_of(record["label"], field) == value
