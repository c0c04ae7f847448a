"""How good a search is: recall, reciprocal rank and nDCG over ranked page ids, question by question.

Manning, Raghavan and Schütze (2008), *Introduction to information retrieval*, chapter 8, has all of them; nDCG is
Järvelin and Kekäläinen's (2002), with a gain of 1 for a right page and 0 for any other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from .evaluate import interval, percent
from .kb_questions import KbQuestion

MEASURES = ("hit@1", "recall@1", "recall@5", "MRR", "nDCG@10")


def pages_in_order(page_ids: Iterable[str]) -> list[str]:
    """Page ids of ranked pieces, best first, each page once: a page stands where its best piece stands."""
    return list(dict.fromkeys(page_ids))


def recall_at(ranked: Sequence[str], gold: Collection[str], k: int) -> float:
    """Share of the right pages that stand among the first ``k``; 0 to 1. Raises ValueError without a right page."""
    _check(ranked, gold)
    return len(set(ranked[:k]) & set(gold)) / len(set(gold))


def reciprocal_rank(ranked: Sequence[str], gold: Collection[str]) -> float:
    """1 / rank of the first right page, counted from 1; 0 where none was found. Its mean over questions is the MRR."""
    _check(ranked, gold)
    return next((1 / rank for rank, page in enumerate(ranked, 1) if page in gold), 0.0)


def ndcg_at(ranked: Sequence[str], gold: Collection[str], k: int) -> float:
    """Discounted gain of the first ``k`` over the best possible: a right page at rank r counts 1 / log2(r + 1)."""
    _check(ranked, gold)
    gain = sum(1 / math.log2(rank + 1) for rank, page in enumerate(ranked[:k], 1) if page in gold)
    return gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(set(gold))) + 1))


def score_rankings(
    rankings: Sequence[Sequence[str]], questions: Sequence[KbQuestion], version: str = "v1"
) -> pd.DataFrame:
    """One row per question that ``version`` answers: id, kind and the MEASURES, each from 0 to 1.

    ``rankings`` are page ids, best first, in the order of ``questions``. ``hit@1`` says whether a right page stands
    first; recall@1 of a question with two right pages is one half at most. Questions without a right page are left
    out: no order of pages is right for them. Raises ValueError for unequal lengths or no question that counts.
    """
    if len(rankings) != len(questions):
        raise ValueError(f"There are {len(rankings)} rankings for {len(questions)} questions: give one per question.")
    rows = []
    for ranked, question in zip(rankings, questions, strict=True):
        gold = question.gold[version].pages
        if not gold:
            continue
        rows.append(
            {
                "id": question.id,
                "kind": question.kind,
                "hit@1": bool(ranked) and ranked[0] in gold,
                "recall@1": recall_at(ranked, gold, 1),
                "recall@5": recall_at(ranked, gold, 5),
                "MRR": reciprocal_rank(ranked, gold),
                "nDCG@10": ndcg_at(ranked, gold, 10),
            }
        )
    if not rows:
        raise ValueError(f"None of the questions has a right page in {version}: there is nothing to score.")
    return pd.DataFrame(rows)


def measures_table(scored: Mapping[str, pd.DataFrame], measures: Sequence[str] = MEASURES) -> pd.DataFrame:
    """One row per way of searching, one column per measure, cells such as ``86% [80, 91]``.

    ``scored`` maps a name to a table from ``score_rankings``. A measure that is 100% or 0% everywhere gets Wilson's
    interval, like any share.
    """
    return pd.DataFrame(
        {name: {measure: percent(*interval(table[measure])) for measure in measures} for name, table in scored.items()}
    ).T


def by_kind(scored: Mapping[str, pd.DataFrame], measure: str = "hit@1") -> pd.DataFrame:
    """One row per kind of question with its number, one column per way of searching; cells as in ``measures_table``.

    Raises ValueError where a name's table holds other questions than the first.
    """
    first = next(iter(scored.values()))
    columns: dict[str, dict] = {"questions": first.groupby("kind", sort=False).size().to_dict()}
    for name, table in scored.items():
        if list(table["id"]) != list(first["id"]):
            raise ValueError(f"The table of '{name}' holds other questions than the first one.")
        groups = table.groupby("kind", sort=False)[measure]
        columns[name] = {kind: percent(*interval(values)) for kind, values in groups}
    return pd.DataFrame(columns)


def fused(
    rankings: Sequence[Sequence[str]], weights: Sequence[float] | None = None, k: float = 60
) -> list[tuple[str, float]]:
    """Ids with their sums of weight / (k + rank), largest first: reciprocal rank fusion.

    Cormack, Clarke and Buettcher (2009). Ranks count from 1; ``weights`` (default: 1 each) belong to the rankings.
    Equal sums keep the order in which the ids first appear. Raises ValueError where weights and rankings do not match.
    """
    weights = [1.0] * len(rankings) if weights is None else list(weights)
    if len(weights) != len(rankings):
        raise ValueError(f"There are {len(weights)} weights for {len(rankings)} rankings: give one for each.")
    sums: dict[str, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for rank, name in enumerate(ranking, 1):
            sums[name] = sums.get(name, 0.0) + weight / (k + rank)
    return sorted(sums.items(), key=lambda pair: -pair[1])


def how_many_fit(lengths: Sequence[int], budget: int) -> int:
    """How many pieces of these ``lengths`` (tokens, best piece first) go into ``budget`` tokens; the rest is left out.

    The first piece that does not fit ends the list: what comes after it is less likely to hold the answer.
    """
    return int(np.searchsorted(np.cumsum(lengths), budget, side="right")) if len(lengths) else 0


def _check(ranked: Sequence[str], gold: Collection[str]) -> None:
    if isinstance(ranked, str) or isinstance(gold, str):
        raise ValueError("Give lists of page ids, not one text.")
    if not gold:
        raise ValueError("This question has no right page, so a ranking cannot be scored on it.")
    if len(set(ranked)) < len(ranked):
        raise ValueError("A page stands in the ranking twice: keep its best place only (pages_in_order).")
