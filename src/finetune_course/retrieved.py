"""What notebook 09's search found for every question, recorded, so that all arms of notebook 10 read the same pieces.

benchmarks/record_retrieved.py makes the record with LanceDB and the embedding model; reading it needs neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .grid_record import load_record
from .kb_questions import KbQuestion
from .knowledge_base import VERSIONS, load_pages
from .reader import as_row
from .retrieval import how_many_fit
from .retrieval_chunks import by_sentences

NAME = "kb_retrieved"
DEPTH = 20
"""Pieces kept for each question: more than ever fit into a prompt."""


@dataclass(frozen=True)
class Retrieved:
    """``settings`` of the search, ``found`` (version → question id → piece ids, best first), ``seconds`` it took."""

    settings: dict[str, Any]
    found: dict[str, dict[str, list[str]]]
    seconds: dict[str, float]
    rows: dict[str, dict[str, dict[str, str]]]

    def pieces(self, question: KbQuestion, version: str, count: Callable[[str], int], room: int) -> list[dict]:
        """The pieces that fit into ``room`` tokens, best first; ``count(text)`` gives a text's tokens.

        Raises KeyError for a question that the record does not hold.
        """
        rows = [self.rows[version][name] for name in self.found[version][question.id]]
        return rows[: how_many_fit([count(row["searched"]) for row in rows], room)]


def load_retrieved(folder: Path | None = None) -> Retrieved:
    """The record. Raises FileNotFoundError without one, ValueError where it names a piece that the pages lack."""
    record = load_record(NAME, folder)
    if record is None:
        raise FileNotFoundError(
            f"There is no record benchmarks/results/{NAME}.json: make it with 'python benchmarks/record_retrieved.py'."
        )
    run = record["runs"][0]
    rows = {
        version: {piece.id: as_row(piece) for piece in by_sentences(load_pages(version), 1)} for version in VERSIONS
    }
    for version in VERSIONS:
        missing = {name for names in run["found"][version].values() for name in names} - rows[version].keys()
        if missing:
            raise ValueError(f"The record of the search names '{min(missing)}', which {version} lacks: make it anew.")
    return Retrieved(record["settings"], run["found"], run["seconds"], rows)


def dump(found: dict, seconds: dict) -> dict[str, Any]:
    """A run of the record; text keys and rounded seconds, as they come back from the file."""
    return json.loads(json.dumps({"found": found, "seconds": {name: round(s, 2) for name, s in seconds.items()}}))
