"""The knowledge base of Wattle & Wave: short Markdown pages in two versions, and the facts that they state.

Version 1 is the folder data/kb/v1. Version 2 is version 1 with the pages of data/kb/v2 in place of those of the same id
or beside them, and without the pages named in data/kb/v2/withdrawn.txt, as a shop updates its pages.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from .paths import data_path
from .records import load_records

VERSIONS = ("v1", "v2")
_WITHDRAWN = "withdrawn.txt"
_TEXT = {"type": "string", "minLength": 1}
_TEXT_OR_NULL = {"anyOf": [_TEXT, {"type": "null"}]}
_FACT_SCHEMA = {
    "type": "object",
    "properties": {
        "fact": {"type": "string", "pattern": "^[a-z0-9-]+/[a-z0-9-]+$"},
        "page": _TEXT,
        "value": _TEXT_OR_NULL,
        "v2": _TEXT_OR_NULL,
    },
    "required": ["fact", "page", "value", "v2"],
    "additionalProperties": False,
}


class Page(NamedTuple):
    """A page: its id (the file's name without ``.md``), its title and its whole Markdown text, title line included."""

    id: str
    title: str
    text: str


class Fact(NamedTuple):
    """A checkable fact: ``page-id/name``, its page, and its value in version 1 and in version 2, word for word.

    None means that the version does not state the fact: its page is new in version 2, or was withdrawn.
    """

    fact: str
    page: str
    value: str | None
    v2: str | None


def load_pages(version: str = "v1") -> list[Page]:
    """The pages of a version, by id.

    Raises:
        ValueError: an unknown version, a page whose first line is no title, or a withdrawn id that no page has.
        FileNotFoundError: a folder of pages is missing or holds none.
    """
    if version not in VERSIONS:
        raise ValueError(f"There is no version '{version}' of the knowledge base: choose one of {', '.join(VERSIONS)}.")
    pages = _read_folder(data_path("kb", "v1"))
    if version == "v2":
        folder = data_path("kb", "v2")
        pages.update(_read_folder(folder))
        for page_id in withdrawn_ids(folder):
            if page_id not in pages:
                raise ValueError(f"{_WITHDRAWN} names '{page_id}', but there is no such page.")
            del pages[page_id]
    return [pages[page_id] for page_id in sorted(pages)]


def load_facts() -> list[Fact]:
    """The facts of both versions, in the file's order. Raises DataError, which lists every bad line."""
    rows = load_records(data_path("kb", "facts.jsonl"), _FACT_SCHEMA, unique="fact")
    return [Fact(row["fact"], row["page"], row["value"], row["v2"]) for row in rows]


def withdrawn_ids(folder: Path | None = None) -> list[str]:
    """Ids of the pages that version 2 withdraws, one a line in withdrawn.txt; none where there is no such file."""
    path = (folder or data_path("kb", "v2")) / _WITHDRAWN
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


def _read_folder(folder: Path) -> dict[str, Page]:
    files = sorted(folder.glob("*.md"))
    if not files:
        raise FileNotFoundError(f"The knowledge base has no pages in data/kb/{folder.name}: get that folder anew.")
    return {path.stem: _read_page(path) for path in files}


def _read_page(path: Path) -> Page:
    text = path.read_text(encoding="utf-8-sig").strip()
    first = text.partition("\n")[0]
    title = first.removeprefix("# ").strip()
    if not first.startswith("# ") or not title:
        raise ValueError(f"{path.parent.name}/{path.name} has no title: its first line must be '# ' and the title.")
    return Page(path.stem, title, text)
