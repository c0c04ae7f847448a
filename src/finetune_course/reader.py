"""Prompts for questions about the shop's pages, and the rows that train a reader of pages or a model without pages.

The prompts are those of notebook 09. ``SHORT`` is all that a trained reader gets: that it cites the page and says when
the answer is not there, it has learned from data/kb/reader_pieces.jsonl (made by data/build_kb_training.py), whose rows
show one piece; those of data/kb/reader_train.jsonl show several.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from .knowledge_base import VERSIONS, Page
from .paths import data_path
from .records import load_records
from .retrieval_chunks import Chunk, by_sentences

SHORT = "You answer customers' questions from documents. Answer in one short sentence."
LONG = SHORT + (
    " Then write the id of the document that holds the answer, in square brackets. If no document holds the answer, "
    "write: Not in the documents."
)
CLOSED = LONG.replace("from documents", "about the shop Wattle & Wave").replace("document ", "page of the shop ")
FACTS = "Shop."
"""The system prompt of the model that has the facts in its weights: as with the triage adapter, the rest is learned.
Its rows are short, so that three tokens less are a seventeenth of the training."""

NOT_THERE = "Not in the documents."
KINDS = ("one page", "two pages", "unanswerable")
FORMS = ("asked", "completed", "section")
_TEXT = {"type": "string", "minLength": 1}
_READER_ROW = {
    "id": {"type": "string", "pattern": "^(reader|piece)-\\d{4}$"},
    "kind": {"enum": list(KINDS)},
    "question": _TEXT,
    "pieces": {"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9-]+#\\d+$"}, "minItems": 1},
    "answer": _TEXT,
}
_FACT_ROW = {
    "id": {"type": "string", "pattern": "^facts-\\d{4}$"},
    "form": {"enum": list(FORMS)},
    "fact": {"type": ["string", "null"]},
    "question": _TEXT,
    "answer": _TEXT,
}
_SOURCE = {"page": _TEXT, "org": _TEXT, "title": _TEXT, "text": _TEXT, "questions": {"type": "array"}} | {
    "unanswerable": {"type": "array", "items": _TEXT}
}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


def documents_prompt(question: str, pieces: Sequence[Mapping[str, str]]) -> str:
    """The user's message: every piece's page id and text (``page``, ``searched``) in their order, then the question."""
    documents = "\n".join(f"[{piece['page']}] {piece['searched']}" for piece in pieces)
    return f"Documents:\n{documents}\n\nQuestion: {question}"


def as_row(piece: Chunk) -> dict[str, str]:
    """A piece as a row of the table that is searched: id, page, heading, text and ``searched``."""
    return piece._asdict() | {"searched": piece.searched}


def reader_sources() -> list[dict[str, Any]]:
    """The pages of other organisations with their questions (data/kb/reader_sources), by file. Raises DataError."""
    folder = data_path("kb", "reader_sources")
    return [
        row for path in sorted(folder.glob("*.jsonl")) for row in load_records(path, _object(_SOURCE), unique="page")
    ]


def reader_pieces(sources: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Chunk]:
    """The pieces of those pages by id, one sentence each, cut as notebook 09 cuts the shop's pages."""
    pages = [
        Page(row["page"], row["title"], f"# {row['title']}\n\n{row['text']}") for row in sources or reader_sources()
    ]
    return {piece.id: piece for piece in by_sentences(pages, 1)}


def load_reader_rows(name: str = "reader_train") -> list[dict[str, Any]]:
    """A reader's training rows: id, kind (one of KINDS), question, pieces (rows as from ``as_row``) and answer.

    ``name``: "reader_train" (several pieces a row) or "reader_pieces" (the piece with the answer, or one without it).
    Raises DataError with every bad line, and ValueError for a piece that no source page has.
    """
    rows = load_records(data_path("kb", f"{name}.jsonl"), _object(_READER_ROW))
    pieces = reader_pieces()
    missing = sorted({piece for row in rows for piece in row["pieces"]} - pieces.keys())
    if missing:
        raise ValueError(f"data/kb/{name}.jsonl names '{missing[0]}', which no source page has: build it anew.")
    return [row | {"pieces": [as_row(pieces[piece]) for piece in row["pieces"]]} for row in rows]


def load_fact_rows(version: str = "v1") -> list[dict[str, Any]]:
    """The closed-book training rows of a version: id, form (one of FORMS), fact, question, answer.

    Raises DataError with every bad line, and ValueError for an unknown version.
    """
    if version not in VERSIONS:
        raise ValueError(f"There is no version '{version}' of the knowledge base: choose one of {', '.join(VERSIONS)}.")
    return load_records(data_path("kb", f"facts_train_{version}.jsonl"), _object(_FACT_ROW))


def prompt_completion(row: Mapping[str, Any]) -> dict[str, Any]:
    """A training row in TRL's conversational prompt-completion form: with ``pieces`` the reader's, else the facts'."""
    if "pieces" in row:
        system, user = SHORT, documents_prompt(row["question"], row["pieces"])
    else:
        system, user = FACTS, row["question"]
    return {
        "prompt": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        "completion": [{"role": "assistant", "content": row["answer"]}],
    }


def training_hash(name: str) -> str:
    """SHA-256 of data/kb/``name``.jsonl (and, for a reader, of its source pages): what a run was trained on."""
    paths = [data_path("kb", f"{name}.jsonl")]
    if name.startswith("reader"):
        paths += sorted(data_path("kb", "reader_sources").glob("*.jsonl"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
