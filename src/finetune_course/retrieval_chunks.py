"""Pages cut into the pieces that are searched: whole pages, sections, or windows of sentences that may overlap.

A piece remembers its page. What is searched is its heading and its text: a sentence such as "It closes at 5 pm" says
what it is about only together with the page's title.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from .knowledge_base import Page

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’)]*\s+(?=[\"“‘(]?[A-Z0-9])")


class Chunk(NamedTuple):
    """A piece of a page: ``page-id#number``, its page's id, its heading (the page's title, and the section's if it
    is one section) and its text without headings."""

    id: str
    page: str
    heading: str
    text: str

    @property
    def searched(self) -> str:
        """Heading and text in one: what is embedded and indexed."""
        return f"{self.heading}. {self.text}"


def sections(page: Page) -> list[tuple[str, str]]:
    """(heading, text) of each part of a page that has text: the opening under ``""``, then every ``## `` section."""
    body = page.text.partition("\n")[2]
    parts = re.split(r"^## +(.+)$", body, flags=re.MULTILINE)
    pairs = [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    return [(heading.strip(), " ".join(text.split())) for heading, text in pairs if text.strip()]


def split_sentences(text: str) -> list[str]:
    """The sentences of a text of plain prose, in order.

    A sentence ends at ``.``, ``!`` or ``?`` with white space and a capital letter, a digit or a quotation mark behind
    it, so "7.30 am" and "2.6 kilograms" stay whole. Abbreviations with a point before a capital would be cut ("Mr.
    Lee"); the shop's pages have none.
    """
    places = [0]
    for match in _SENTENCE_END.finditer(text):
        places.append(match.end())
    places.append(len(text))
    return [piece for start, end in zip(places, places[1:], strict=False) if (piece := text[start:end].strip())]


def windows(items: Sequence[str], size: int, overlap: int = 0) -> list[list[str]]:
    """Consecutive runs of ``size`` items, each beginning with the last ``overlap`` items of the one before.

    The last run may be shorter; none is wholly contained in the one before it. Raises ValueError unless
    0 <= overlap < size.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"The overlap must be at least 0 and less than the size; it is {overlap} for a size of {size}."
        )
    step = size - overlap
    starts = range(0, max(1, len(items) - overlap), step)
    return [list(items[start : start + size]) for start in starts if items]


def whole_pages(pages: Sequence[Page]) -> list[Chunk]:
    """One piece a page."""
    return [Chunk(f"{page.id}#1", page.id, page.title, " ".join(text for _, text in sections(page))) for page in pages]


def by_section(pages: Sequence[Page]) -> list[Chunk]:
    """One piece a section; the opening sentence of a page goes in front of its first section."""
    chunks = []
    for page in pages:
        parts = sections(page)
        if len(parts) > 1 and not parts[0][0]:
            parts = [(parts[1][0], f"{parts[0][1]} {parts[1][1]}"), *parts[2:]]
        for number, (heading, text) in enumerate(parts, 1):
            title = f"{page.title}: {heading}" if heading else page.title
            chunks.append(Chunk(f"{page.id}#{number}", page.id, title, text))
    return chunks


def by_sentences(pages: Sequence[Page], size: int, overlap: int = 0) -> list[Chunk]:
    """Windows of ``size`` sentences with ``overlap``, page by page; section headings are left out."""
    chunks = []
    for page in pages:
        sentences = split_sentences(" ".join(text for _, text in sections(page)))
        for number, window in enumerate(windows(sentences, size, overlap), 1):
            chunks.append(Chunk(f"{page.id}#{number}", page.id, page.title, " ".join(window)))
    return chunks
