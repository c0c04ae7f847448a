"""Answers that lean on pieces of pages: which page they cite, and which piece they came from."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from .kb_questions import KbQuestion, declines, is_right

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[a-z']+")
_COMMON = frozenset(
    "a an and are as at be but by can cannot do does for from had has have he her his i if in is it its may me my no "
    "not of on or our she so than that the their them there they this to until up was we what when where which who "
    "will with you your".split()
)

Piece = Mapping[str, str]
"""A row of the table of pieces: at least ``page`` (its id), ``heading`` and ``text``."""


def cited_page(answer: str, known: Collection[str]) -> str | None:
    """The first page id of ``known`` that stands in square or round brackets in the answer; None without one."""
    inside = re.findall(r"[\[(]\s*([\w-]+)\s*[\])]", answer)
    return next((name for name in inside if name in known), None)


def best_source(answer: str, pieces: Sequence[Piece]) -> str | None:
    """The page of the piece that holds most of the answer's words: the citation that a program can add by itself.

    Everyday words ("the", "is") and the ids of the pieces' pages do not count. Of equal pieces the better ranked one is
    taken. None where no word of the answer stands in any piece, or where the answer declines.
    """
    if declines(answer):
        return None
    ids = {piece["page"] for piece in pieces}
    told = re.sub(r"[\[(]\s*([\w-]+)\s*[\])]", lambda match: "" if match[1] in ids else match[0], answer)
    words = _content(told)
    shared = [len(words & _content(f"{piece['heading']} {piece['text']}")) for piece in pieces]
    if not shared or max(shared) == 0:
        return None
    return pieces[shared.index(max(shared))]["page"]


def outcomes(
    answers: Sequence[str],
    questions: Sequence[KbQuestion],
    pieces: Sequence[Sequence[Piece]],
    known: Collection[str],
    version: str = "v1",
) -> pd.DataFrame:
    """One row per question: id, kind, ``answerable``, ``right``, ``declined``, ``cites`` and ``traced``.

    ``right`` is ``kb_questions.is_right``, so an unanswerable question is right when it is declined. ``cites``: the id
    that the model wrote is that of a right page; ``known`` are all ids. ``traced``: the program's own citation
    (``best_source`` among the question's ``pieces``) is a right page. Raises ValueError for unequal lengths.
    """
    if not len(answers) == len(questions) == len(pieces):
        raise ValueError(f"Give one answer and one list of pieces for each of the {len(questions)} questions.")
    rows = []
    for answer, question, given in zip(answers, questions, pieces, strict=True):
        gold = question.gold[version].pages
        rows.append(
            {
                "id": question.id,
                "kind": question.kind,
                "answerable": bool(gold),
                "right": is_right(answer, question, version),
                "declined": declines(answer),
                "cites": cited_page(answer, known) in gold,
                "traced": best_source(answer, given) in gold,
            }
        )
    return pd.DataFrame(rows)


def _content(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold())) - _COMMON
