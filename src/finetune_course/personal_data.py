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


def found_table(patterns: Mapping[str, str], messages: Iterable[tuple[str, list[Span]]]) -> pd.DataFrame:
    """Per kind: spans labelled by hand, those that a match of the kind covers in full, and matches where none is.

    What is covered in part only is not found: the rest of an address is an address.
    """
    counts: dict[str, list[int]] = {}
    for text, labelled in messages:
        matches = find_spans(text, patterns)
        for kind, start, end in labelled:
            row = counts.setdefault(kind, [0, 0, 0])
            row[0] += 1
            row[1] += any(k == kind and s <= start and end <= e for k, s, e in matches)
        for kind, start, end in matches:
            if not any(k == kind and s < end and start < e for k, s, e in labelled):
                counts.setdefault(kind, [0, 0, 0])[2] += 1
    return pd.DataFrame(counts, index=["labelled", "found", "wrong"]).T
