"""Wrong labels made on purpose, so that what they do to a score can be measured: two kinds, in any share.

*Careless*: a tired person puts two fields wrong, and any value may come out. *Misread*: a diligent person who never
read the guide breaks the same rules every time (a size to swap is "faulty", a gas leak is "normal", a polite complaint
is "neutral"). Careless mistakes cancel out over many rows. Misread ones are a second rule that a model can learn.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

from .triage import Label, allowed_values

KINDS = ("careless", "misread")
MISREAD = {
    "category": {
        "return": "faulty",
        "order_change": "delivery",
        "payment": "order_change",
        "stock": "store",
        "account": "payment",
    },
    "urgency": {"high": "normal", "low": "normal"},
    "mood": {"upset": "neutral"},
}
"""What the person who never read the guide writes in place of the right value; other values they get right."""

_OPEN = ("category", "product", "urgency", "mood")


def spoil(label: Label, kind: str, rng: random.Random) -> Label:
    """A wrong label in place of ``label``; the same label where someone who misreads the guide would be right.

    Careless: two of category, product, urgency and mood get another allowed value, each as likely as any other.
    Raises ValueError for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"There is no kind of label noise '{kind}': choose one of {', '.join(KINDS)}.")
    if kind == "misread":
        return {field: MISREAD.get(field, {}).get(value, value) for field, value in label.items()}
    changed = dict(label)
    for field in rng.sample(_OPEN, 2):
        changed[field] = rng.choice([value for value in allowed_values(field) if value != label[field]])
    return changed


def noisy(records: Sequence[dict[str, Any]], share: float, kind: str, seed: int = 0) -> list[dict[str, Any]]:
    """Copies of ``records`` in their order, of which ``share`` (0 to 1, rounded to whole records) got a wrong label.

    Which ones is drawn with ``seed`` from those that the kind can spoil; the same seed spoils the same records first,
    so a larger share keeps the mistakes of a smaller one. Raises ValueError where too few can be spoiled.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: give a number from 0 to 1.")
    rng = random.Random(f"{kind} {seed}")
    wrong = {row: spoil(record["label"], kind, rng) for row, record in enumerate(records)}
    possible = [row for row, label in wrong.items() if label != records[row]["label"]]
    count = round(share * len(records))
    if count > len(possible):
        raise ValueError(f"Only {len(possible)} of {len(records)} records can be spoiled by '{kind}', not {count}.")
    chosen = set(rng.sample(possible, len(possible))[:count])
    return [{**copy.deepcopy(record), **({"label": wrong[row]} if row in chosen else {})}
            for row, record in enumerate(records)]  # fmt: skip


def as_found(records: Sequence[dict[str, Any]], size: int, seed: int = 0) -> list[dict[str, Any]]:
    """``size`` records such as an untended export holds: 40% with a wrong label (half of each kind), 15% stand twice.

    The copies are copies of other records among the ``size``; they may repeat a wrong label. Raises ValueError where
    there are too few ``records``.
    """
    copies = round(0.15 * size)
    if size - copies > len(records):
        raise ValueError(f"{size} records as found need {size - copies} different ones; there are {len(records)}.")
    rng = random.Random(f"as found {seed}")
    distinct = rng.sample(list(records), size - copies)
    half = len(distinct) // 2
    spoiled = noisy(distinct[:half], 0.4, "careless", seed) + noisy(distinct[half:], 0.4, "misread", seed)
    found = spoiled + [copy.deepcopy(record) for record in rng.sample(spoiled, copies)]
    rng.shuffle(found)
    return found
