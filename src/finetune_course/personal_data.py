"""Personal data in messages: the hand-labelled file, the check digit of card numbers, how well patterns do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pandas as pd

from .paths import data_path

Span = tuple[str, int, int]
"""(kind, start, end): characters ``start`` to ``end`` of a text are personal data of that kind."""


def marked_messages() -> list[tuple[str, list[Span]]]:
    """The hand-labelled messages of data/raw/personal_data.txt: (text, spans).

    In the file a span stands as ``[kind:its text]``. Raises ValueError naming the line for a mark that does not close.
    """
    found = []
    for number, line in enumerate(data_path("raw", "personal_data.txt").read_text(encoding="utf-8").splitlines(), 1):
        text, spans = "", []
        while line:
            before, mark, rest = line.partition("[")
            text += before
            if not mark:
                break
            inside, closed, line = rest.partition("]")
            kind, colon, words = inside.partition(":")
            if not (closed and colon):
                raise ValueError(f"personal_data.txt, line {number}: expected [kind:text]; found '[{inside[:30]}'.")
            spans.append((kind, len(text), len(text) + len(words)))
            text += words
        found.append((text, spans))
    return found


def is_card_number(text: str) -> bool:
    """Whether the digits of ``text`` (spaces and hyphens left out) are 13 to 19 and pass Luhn's check (1954)."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    doubled = [digit * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def find_spans(text: str, patterns: Mapping[str, str]) -> list[Span]:
    """The spans that ``patterns`` (kind to regular expression) match, by place; a span takes its letters for itself.

    A pattern with a group means the group, not the words around it. A match of kind ``card`` must pass Luhn's check.
    Where two kinds claim the same letters, the one that stands first in ``patterns`` has them.
    """
    taken: list[Span] = []
    for kind, pattern in patterns.items():
        for match in re.finditer(pattern, text):
            start, end = match.span(1 if match.re.groups else 0)
            free = all(end <= other_start or other_end <= start for _, other_start, other_end in taken)
            if free and (kind != "card" or is_card_number(text[start:end])):
                taken.append((kind, start, end))
    return sorted(taken, key=lambda span: span[1])


def mask(text: str, spans: Iterable[Span]) -> str:
    """The text with each span replaced by its kind in angle brackets, such as ``<phone>``."""
    for kind, start, end in sorted(spans, key=lambda span: span[1], reverse=True):
        text = f"{text[:start]}<{kind}>{text[end:]}"
    return text


def found_table(patterns: Mapping[str, str], messages: Iterable[tuple[str, Iterable[Span]]]) -> pd.DataFrame:
    """What masking by ``patterns`` does, span by span: one row per kind, whole numbers, then their sum as "all".

    ``messages`` are (text, labelled spans). Of the ``labelled`` spans of the kind, ``found`` are those whose letters
    and digits are all masked (whatever kind the mask names), ``in part`` those of which something is left to read, and
    ``missed`` those that stand there as before. Of the ``masks`` of the kind, those count as ``too much`` that hide
    letters or digits outside every labelled span.
    """
    columns = ["labelled", "found", "in part", "missed", "masks", "too much"]
    counts: dict[str, dict[str, int]] = {}
    for text, labelled in messages:
        matches, labelled = find_spans(text, patterns), list(labelled)
        hidden, meant = _letters(text, matches), _letters(text, labelled)
        for span in labelled:
            row, letters = counts.setdefault(span[0], dict.fromkeys(columns, 0)), _letters(text, [span])
            row["labelled"] += 1
            row["found" if letters <= hidden else "in part" if letters & hidden else "missed"] += 1
        for span in matches:
            row = counts.setdefault(span[0], dict.fromkeys(columns, 0))
            row["masks"] += 1
            row["too much"] += not _letters(text, [span]) <= meant
    table = pd.DataFrame(counts, index=columns).T
    table.loc["all"] = table.sum()
    return table.astype(int)


def _letters(text: str, spans: Iterable[Span]) -> set[int]:
    """Places of the letters and digits that lie in any of the spans."""
    return {place for _, start, end in spans for place in range(start, end) if text[place].isalnum()}
