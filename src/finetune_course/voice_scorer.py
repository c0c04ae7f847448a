"""How much a text is in the brand voice: eight rules and a small classifier, and how well that agrees with a reader.

    from finetune_course.voice_scorer import score_text, agreement
    score_text("G'day, …", neutral="The store …")     # rules, classifier, score from 0 to 1, verdict, facts
    agreement("held_out")                              # accuracy and Cohen's kappa against the hand labels

The score is the mean of nine equal marks: the rules (0 or 1 each) and the classifier's probability; a text that is
stuck in a loop scores 0. The two cut-offs that turn it into a verdict were chosen on the labels' development half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from .evaluate import Interval, interval
from .voice import LABELS, load_labels, load_split
from .voice_facts import FactResult, check_facts
from .voice_rules import RULES, RuleResult, check_rules, loops, parts

IN_FROM, PARTLY_FROM = 0.975, 0.6
"""Scores from which a text counts as ``in``, or at least ``partly``, in voice: chosen on the development half."""


@dataclass(frozen=True)
class VoiceScore:
    """One text's result.

    ``score``: 0 to 1. ``label``: in, partly or not, by the cut-offs. ``rules``: the eight, with what was found.
    ``reads_like``: the classifier's probability that the body is ours. ``facts``: None without a neutral text.
    """

    score: float
    label: str
    rules: tuple[RuleResult, ...]
    reads_like: float
    facts: FactResult | None

    def __str__(self) -> str:
        lines = [f"{'yes' if rule.kept else 'NO':4}{rule.rule:14}{rule.found}" for rule in self.rules]
        lines.append(f"    {'reads like us':14}{self.reads_like:.2f}")
        if self.facts is not None:
            faults = [f"missing {fact}" for fact in self.facts.missing] + [
                f"new {fact}" for fact in self.facts.invented
            ]
            lines.append(f"{'yes' if self.facts.kept else 'NO':4}{'facts kept':14}{', '.join(faults)}".rstrip())
        verdict = {"in": "in voice", "partly": "partly in voice", "not": "not in voice"}[self.label]
        return "\n".join([*lines, f"score {self.score:.2f}: {verdict}"])


def score_text(text: str, neutral: str | None = None) -> VoiceScore:
    """Score one text. With ``neutral``, the facts are compared too; they do not enter the score.

    Raises:
        ValueError: ``text`` is not text.
    """
    if not isinstance(text, str):
        raise ValueError(f"The text to score is of type {type(text).__name__}: give the model's answer as text.")
    rules = tuple(check_rules(text))
    reads_like = float(_classifier().predict_proba([parts(text)[1]])[0, 1])
    value = 0.0 if loops(text) else (sum(rule.kept for rule in rules) + reads_like) / (len(RULES) + 1)
    facts = None if neutral is None else check_facts(neutral, text)
    return VoiceScore(value, label_of(value), rules, reads_like, facts)


def label_of(value: float) -> str:
    """The verdict for a score: in, partly or not."""
    return LABELS[0] if value >= IN_FROM else LABELS[1] if value >= PARTLY_FROM else LABELS[2]


def score_table(texts: Sequence[str], neutrals: Sequence[str | None] | None = None) -> pd.DataFrame:
    """One row per text: score, label, one column per rule, reads_like, facts_kept (None without a neutral text).

    Raises ValueError for one text instead of a list, for no texts and for unequal lengths.
    """
    if isinstance(texts, str) or not len(texts):
        raise ValueError("Give a list with at least one text.")
    neutrals = [None] * len(texts) if neutrals is None else neutrals
    if len(neutrals) != len(texts):
        raise ValueError(f"There are {len(texts)} texts and {len(neutrals)} neutral texts: give one for each.")
    rows = []
    for text, neutral in zip(texts, neutrals, strict=True):
        result = score_text(text, neutral)
        rules = {rule.rule: rule.kept for rule in result.rules}
        facts = None if result.facts is None else result.facts.kept
        rows.append(
            {
                "score": result.score,
                "label": result.label,
                **rules,
                "reads_like": result.reads_like,
                "facts_kept": facts,
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Agreement:
    """Scorer against reader: number of texts, share of equal answers, Cohen's kappa, both with a 95% interval."""

    texts: int
    accuracy: Interval
    kappa: Interval


def agreement(half: str = "held_out", source: str | None = None) -> dict[str, Agreement]:
    """How far the scorer agrees with the hand labels of one half.

    Returns an ``Agreement`` for three questions: ``voice`` (in, partly or not; kappa with linear weights, so that
    "partly" for "in" counts half as wrong as "not" for "in"), ``in voice`` (in against the rest, plain kappa) and
    ``facts`` (kept or not, plain kappa; fewer texts, since not all have a neutral one). ``source`` keeps only the
    ``written`` texts or only the ``model``'s. Raises ValueError for an unknown half or a source without texts.
    """
    rows = [row for row in load_labels(half) if source in (None, row["source"])]
    if not rows:
        raise ValueError(f"No label of the half '{half}' has the source '{source}': choose written or model.")
    table = score_table([row["text"] for row in rows], [row["neutral"] for row in rows])
    truth = [LABELS.index(row["label"]) for row in rows]
    given = [LABELS.index(label) for label in table["label"]]
    result = {
        "voice": _agreement(truth, given, "linear"),
        "in voice": _agreement([label == 0 for label in truth], [label == 0 for label in given]),
    }
    judged = [place for place, row in enumerate(rows) if row["facts_kept"] is not None]
    if judged:
        kept = [bool(table["facts_kept"][place]) for place in judged]
        result["facts"] = _agreement([rows[place]["facts_kept"] for place in judged], kept)
    return result


def disagreements(half: str = "development") -> pd.DataFrame:
    """The texts that scorer and reader judge differently: text, reader, scorer, score and broken rules."""
    rows = load_labels(half)
    table = []
    for row in rows:
        result = score_text(row["text"])
        if result.label != row["label"]:
            broken = ", ".join(rule.rule for rule in result.rules if not rule.kept)
            table.append((row["text"], row["label"], result.label, round(result.score, 2), broken))
    return pd.DataFrame(table, columns=["text", "reader", "scorer", "score", "broken rules"])


def _agreement(truth: Sequence[int], given: Sequence[int], weights: str | None = None) -> Agreement:
    first, second = np.asarray(truth, dtype=int), np.asarray(given, dtype=int)
    return Agreement(len(first), interval((first == second).astype(float)), kappa(first, second, weights))


def kappa(
    truth: Sequence[int], given: Sequence[int], weights: str | None = None, draws: int = 2000, seed: int = 0
) -> Interval:
    """Cohen's kappa of two lists of classes 0, 1, 2, … with its 95% bootstrap percentile interval over the texts.

    0 is what chance alone would give with these shares, 1 is full agreement. ``weights="linear"`` counts a mistake by
    how far apart the classes are. The value is scikit-learn's ``cohen_kappa_score`` (a test compares them); all draws
    are computed in one go here, for which a call per draw would take seconds. A draw in which both sides say the same
    of every text has no kappa (0 by 0) and is left out; where that holds for the texts themselves, all three are nan.
    """
    first, second = np.asarray(truth, dtype=int), np.asarray(given, dtype=int)
    classes = int(max(first.max(), second.max())) + 1
    rows = np.random.default_rng(seed).integers(len(first), size=(draws, len(first)))
    rows = np.vstack([np.arange(len(first)), rows])  # the texts themselves come first
    cells = first[rows] * classes + second[rows]
    counts = np.stack([(cells == cell).sum(axis=1) for cell in range(classes**2)], axis=1)
    shares = counts.reshape(-1, classes, classes) / len(first)
    distance = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes)))
    cost = distance if weights == "linear" else distance > 0
    by_chance = shares.sum(axis=2)[:, :, None] * shares.sum(axis=1)[:, None, :]
    expected = (by_chance * cost).sum(axis=(1, 2))
    values = np.full(len(rows), np.nan)
    np.divide((shares * cost).sum(axis=(1, 2)), expected, out=values, where=expected > 0)
    if np.isnan(values[0]):  # one class on both sides: nothing to agree about
        return Interval(np.nan, np.nan, np.nan)
    low, high = np.nanpercentile(1 - values[1:], [2.5, 97.5])
    return Interval(float(1 - values[0]), float(low), float(high))


@lru_cache(maxsize=1)
def _classifier() -> Pipeline:
    """Words and word pairs of a text's body against those of neutral texts, learnt from the training pairs.

    Opening and sign-off are left out: the rules look at those, and with them the classifier would look at nothing else.
    """
    rows = load_split("train")
    bodies = [parts(row[field])[1] for field in ("neutral", "voice") for row in rows]
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)[\w']+")
    model = make_pipeline(words, LogisticRegression(C=10, max_iter=2000))
    return model.fit(bodies, [0] * len(rows) + [1] * len(rows))
