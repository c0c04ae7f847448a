"""The verdicts of notebook 10: each claim's line from data/claims.csv against the interval that was measured.

What the ledger leaves open was settled before any of the runs was made. **C09**: "retrieval" is two arms, the raw model
with pages and the trained reader with pages. Each is compared with the model that has the facts in its weights and gets
a verdict of its own; where they differ, the claim holds in part. **C24**: the right answers with retrieval are those of
the trained reader (first seed) with the id that it wrote itself; "answers from the weights alone" are all that the
model with the facts in its weights gives to questions that version 1 answers, right or wrong, seeds averaged, as in
notebook 09. Both halves get a verdict. **C27**: "either of them alone" is the raw model with pages, in both ways of
reading, the facts in the weights, and the search without a model; one by one and the search alone were added before the
reader was asked the test. C24 and C27 need all of their parts, so one clear failure refutes them. **C35**: "changed"
are all questions whose answer in version 1 is none in version 2, also those whose page was withdrawn. **C36**: where no
question is won or lost, the interval is Wilson's. **C10**, **C37**, **C38**: two more seeds were added after the first
one's result had been seen; all three are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from .comparison_table import Asked, changed, citations, share, share_interval, update_minutes
from .curation_grid import from_bits
from .evaluate import Interval, interval, paired_difference, percent, points
from .kb_questions import KbQuestion
from .retrieved import Retrieved

WAITS = "not measured yet"
Verdict = tuple[str, str]
"""What was measured, in words, and the verdict."""

RAW, FACTS, READER = "RAG, short rules", "LoRA on facts", "LoRA reader + RAG"
RETRIEVAL = {"raw model": "RAG − LoRA on facts, before", "trained reader": "reader + RAG − LoRA on facts, before"}
"""C09's two arms with retrieval, and the names of their differences."""
ALONE = {
    "than RAG": "reader + RAG − RAG, before",
    "than RAG one by one": "reader + RAG − RAG one by one, before",
    "than the facts in the weights": "reader + RAG − LoRA on facts, before",
    "than the search alone": "reader + RAG − search alone, before",
}
"""What the trained reader with pages has to be ahead of for C27."""


def judged(found: Interval, line: float, below: bool = False) -> str:
    """What an interval says of 'at least the line' (with ``below``: 'less than the line')."""
    if below:
        return "holds" if found.high < line else "fails here" if found.low >= line else "not decided"
    return "holds" if found.low >= line else "fails here" if found.high < line else "not decided"


def more(found: Interval) -> str:
    """What the interval of a difference says of 'more': above zero, below it, or around it."""
    return "holds" if found.low > 0 else "fails here" if found.high < 0 else "not decided"


def ratio(after: np.ndarray, before: np.ndarray) -> Interval:
    """Mean of ``after`` over mean of ``before``, both one number a question, with the paired bootstrap's interval.

    Raises ValueError where nothing was right before: a ratio to nothing is none.
    """
    if not before.any():
        raise ValueError("Nothing was right before, so there is nothing to compare with.")
    if (after == before).all():  # no question was won or lost: the bootstrap would see no spread
        return interval(np.ones((before > 0).sum()))
    found = stats.bootstrap(
        (after, before), lambda a, b, axis=-1: a.mean(axis) / np.maximum(b.mean(axis), 1e-9), paired=True,
        method="percentile", rng=0,
    ).confidence_interval  # fmt: skip
    return Interval(float(after.mean() / before.mean()), float(found.low), float(found.high))


def verdicts(
    found: Mapping[tuple[str, str], Asked],
    questions: Sequence[KbQuestion],
    retrieved: Retrieved,
    records: Mapping[str, Mapping[str, Any] | None],
    gains: Mapping[str, Interval],
    stayed: Mapping[str, np.ndarray],
    named: Mapping[str, np.ndarray],
) -> dict[str, Verdict]:
    """Claim id → (measured, verdict) for C09, C24, C26, C27 and C35 to C38; WAITS where its record is not there.

    ``gains``, ``stayed`` and ``named`` are the notebook's: differences by name, stale answers, right terms by arm (one
    number a term, seeds averaged).
    """
    return {
        "C09": _each(gains, RETRIEVAL),
        "C24": _citing(found),
        "C26": _updating(retrieved, records.get("facts")),
        "C27": _all(gains, ALONE),
        "C35": _stale(stayed),
        "C36": _fresh(found, questions),
        "C37": _terms(named),
        "C38": _format(records.get("comparison")),
    }


def _each(gains: Mapping[str, Interval], names: Mapping[str, str]) -> Verdict:
    """A verdict for each of several differences; ``names``: whose it is → its name among the gains."""
    if not all(name in gains for name in names.values()):
        return "–", WAITS
    told = "; ".join(f"{name}: {points(*gains[name])} points" for name in names.values())
    return told, "; ".join(f"{who}: {more(gains[name])}" for who, name in names.items())


def _all(gains: Mapping[str, Interval], names: Mapping[str, str]) -> Verdict:
    """One verdict for a claim that needs all of several differences, each told with its own."""
    if not all(name in gains for name in names.values()):
        return "–", WAITS
    told = "; ".join(f"{who} {points(*gains[name])} points" for who, name in names.items())
    return told, together([more(gains[name]) for name in names.values()])


def together(parts: Sequence[str]) -> str:
    """The verdict of a claim that needs all of its parts: one clear failure refutes it, else one open part decides."""
    return next((verdict for verdict in ("fails here", "not decided") if verdict in parts), "holds")


def _citing(found: Mapping[tuple[str, str], Asked]) -> Verdict:
    keys = [(READER, "before"), (FACTS, "before")]
    if not all(key in found for key in keys):
        return "–", WAITS
    reads = citations(found[keys[0]], 0)
    knows = share_interval(found[keys[1]].per_question("cites"))
    told, verdict = "the reader has no right answer to cite for", "not decided"
    if len(reads):
        told, verdict = f"right answers of the reader {percent(*interval(reads))}", judged(interval(reads), 0.9)
    weights = judged(knows, 0.1, below=True)
    return f"cite a right page: {told}; all answers of the weights alone {percent(*knows)}", together(
        [verdict, weights]
    )


def _updating(retrieved: Retrieved, facts: Mapping[str, Any] | None) -> Verdict:
    minutes = update_minutes(retrieved, facts)
    index, *trained = minutes.values()
    if not trained:
        return "–", WAITS
    told = "; ".join(f"{name}: {value:.2f} min" for name, value in minutes.items())
    return told, "holds" if index <= min(trained) / 10 else "fails here"


def _stale(stayed: Mapping[str, np.ndarray]) -> Verdict:
    without = stayed.get("no page in the prompt")
    if without is None or not len(without):
        return "–", WAITS
    told = "; ".join(f"{name}: {share(each)}" for name, each in stayed.items() if len(each))
    return told, judged(share_interval(without), 0.8)


def _fresh(found: Mapping[tuple[str, str], Asked], questions: Sequence[KbQuestion]) -> Verdict:
    keys = [(READER, "before"), (READER, "updated")]
    if not all(key in found for key in keys):
        return "–", WAITS
    marked = changed(questions)
    before, after = (
        np.mean([table.loc[marked, "right"].to_numpy(float) for table in found[key].tables], axis=0) for key in keys
    )
    if not before.any():
        return "no changed question was right before", "not decided"
    kept = ratio(after, before)
    return f"changed questions, after the update as often right as {percent(*kept)} of before", judged(kept, 0.9)


def _terms(named: Mapping[str, np.ndarray]) -> Verdict:
    if FACTS not in named or RAW not in named:
        return "–", WAITS
    gains = {name: paired_difference(named[FACTS], named[name]) for name in (RAW, "RAG, one by one") if name in named}
    told = "; ".join(f"LoRA on facts − {name}: {points(*gain)} points" for name, gain in gains.items())
    return told, more(gains[RAW])


def _format(comparison: Mapping[str, Any] | None) -> Verdict:
    runs: dict[str, list[str]] = {}
    for run in (comparison or {}).get("runs", []):
        if run["part"] == "triage":
            runs.setdefault(run["arm"], []).append(run["otherwise"]["valid"])
    if not {"LoRA", "few-shot"} <= set(runs):
        return "–", WAITS
    gain = paired_difference(from_bits(runs["LoRA"]), from_bits(runs["few-shot"]))
    return f"valid though asked for another format, LoRA − few-shot: {points(*gain)} points", judged(gain, 0.2)
