"""The hand-written questions about the knowledge base: their gold in both versions, and how an answer is scored."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from .paths import data_path
from .records import load_records

KINDS = ("answerable", "other words", "changed in v2", "two pages", "unanswerable")
SPLITS = ("test", "validation")
WAYS_TO_DECLINE = (
    r"not (?:\w+ )?in (?:the|these|this|any) (?:\w+ )?(?:documents?|pages?|text|context)",
    r"(?:documents?|pages?|text|context) do(?:es)?(?: not|n't) (?:say|state|mention|tell|give|contain|specify|provide)",
    r"(?:is|was|are)(?: not|n't) (?:stated|mentioned|specified)",
    r"i (?:do not|don't|cannot|can't|could not|couldn't) (?:know|find|tell|answer)|(?:no|not enough) information",
)
"""Patterns in lower case; one is enough to decline. The list is open: add a wording that a model is seen to use."""

_UNIT = "(?:dollar|minute|hour|(?:mon|tues|wednes|thurs|fri|satur|sun)?day|week|month|year|gram|(?:kilo|centi)?metre)"
_REWRITES = (
    (r"[’‘`]", "'"),
    (r"(?<=\d),(?=\d{3}\b)", ""),  # 1,200 dollars
    (r"(?<=\d):(?=\d\d(?!\d))", "."),  # 8:30 pm
    (r"(?<=\d) ?([ap])\.?m\b\.?", r" \1m"),  # 8.30pm, 8.30 p.m.
    (r"(\$\d+)\.00\b", r"\1"),
    (r" ?(?:%|\bper ?cent\b)", " per cent"),
    (rf"(?<=\w)-(?={_UNIT}s?\b)", " "),  # a 60-day limit
    (rf"\b({_UNIT})s\b", r"\1"),
    (r"\s+", " "),
)
_TEXT = {"type": "string", "minLength": 1}
_GOLD = {
    "pages": {"type": "array", "items": _TEXT, "maxItems": 2},
    "answer": {"type": ["string", "null"], "minLength": 1},
    "accept": {"type": "array", "items": {"type": ["string", "array"], "minLength": 1, "minItems": 1}, "maxItems": 4},
}
_GOLD_SCHEMA = {"type": "object", "properties": _GOLD, "required": list(_GOLD), "additionalProperties": False}
_SCHEMA = {
    "type": "object",
    "properties": {"id": _TEXT, "question": _TEXT, "kind": {"enum": list(KINDS)}, **_GOLD, "v2": _GOLD_SCHEMA},
    "required": ["id", "question", "kind", *_GOLD, "v2"],
    "additionalProperties": False,
}


class Gold(NamedTuple):
    """One version's answer: the gold pages' ids, the value as worded there, and the forms that count as right.

    ``accept`` holds a group of forms for each value needed: two for a question of two pages, none (with no page, and
    None as the answer) where the version does not answer the question.
    """

    pages: tuple[str, ...]
    answer: str | None
    accept: tuple[tuple[str, ...], ...]


class KbQuestion(NamedTuple):
    """A question, its kind (one of KINDS) and its gold by version: ``gold["v1"]``, ``gold["v2"]``."""

    id: str
    question: str
    kind: str
    gold: dict[str, Gold]


def load_terms() -> list[KbQuestion]:
    """Questions that describe, in ordinary words, what the shop has a word of its own for; the answer is that word."""
    rows = load_records(data_path("kb", "terms.jsonl"), _SCHEMA)
    return [
        KbQuestion(row["id"], row["question"], row["kind"], {"v1": _gold(row), "v2": _gold(row["v2"])}) for row in rows
    ]


def load_kb_questions(split: str) -> list[KbQuestion]:
    """The questions of a split, in the file's order.

    Raises ValueError for an unknown split, FileNotFoundError for a missing file, DataError with every bad line.
    """
    if split not in SPLITS:
        raise ValueError(f"There is no split '{split}' of the questions: choose one of {', '.join(SPLITS)}.")
    path = data_path("kb", f"questions_{split}.jsonl")
    if not path.is_file():
        raise FileNotFoundError(f"data/kb/{path.name} is missing: get that file anew.")
    return [
        KbQuestion(row["id"], row["question"], row["kind"], {"v1": _gold(row), "v2": _gold(row["v2"])})
        for row in load_records(path, _SCHEMA)
    ]


def is_right(answer: str, question: KbQuestion, version: str = "v1") -> bool:
    """Whether ``answer`` is right by the pages of ``version``. Raises ValueError for an unknown version.

    It has to hold an accepted form of every value, as whole words, and not decline; where the version has no answer, it
    has to decline. Nothing else in it is read: a list of every sum on the page would pass.
    """
    if version not in question.gold:
        raise ValueError(f"There is no version '{version}' of the knowledge base: choose one of v1, v2.")
    gold = question.gold[version]
    if gold.answer is None or declines(answer):
        return gold.answer is None and declines(answer)
    return all(any(_holds(answer, form) for form in forms) for forms in gold.accept)


def declines(answer: str) -> bool:
    """Whether ``answer`` says that the documents do not hold the answer, in one of WAYS_TO_DECLINE."""
    return any(re.search(rf"\b(?:{way})\b", _plain(answer)) for way in WAYS_TO_DECLINE)


def _gold(row: dict) -> Gold:
    groups = [row["accept"]] if row["accept"] and isinstance(row["accept"][0], str) else row["accept"]
    return Gold(tuple(row["pages"]), row["answer"], tuple(map(tuple, groups)))


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    for pattern, replacement in _REWRITES:
        text = re.sub(pattern, replacement, text)
    return text


def _holds(answer: str, form: str) -> bool:
    """Whether the form stands in the answer as whole words: "5 days" does not stand in "45 days" or "2.5 days"."""
    return re.search(rf"(?<![\w-])(?<!\d[.,]){re.escape(_plain(form))}(?!\w)(?![.,]\d)", _plain(answer)) is not None
