"""The book-keeping of a cleaning pipeline: what each rule dropped or mended, why, and how good the pipeline was.

The rules themselves are written in the open, in notebook 04: a rule that drops gives a reason or None, a rule that
mends gives the changed row or None. Nothing here reads the key until the pipeline is done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from .paths import data_path

Row = dict[str, Any]

MENDING_RULE = {
    "wrong encoding": "encoding",
    "garbled characters": "garbled characters",
    "value spelt differently": "spelling of values",
    "personal data": "personal data",
}
"""Planted fault -> the rule of notebook 04 that mends it; other faults can only be dropped."""


@dataclass
class Curation:
    """Rows on their way through the rules. ``rows`` are those still in; ``log`` has one entry per row touched."""

    rows: list[Row]
    log: list[dict[str, Any]] = field(default_factory=list)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def drop(self, rule: str, reason_of: Callable[[Row], str | None]) -> Curation:
        """Take out every row for which ``reason_of(row)`` is a text, and note the text. Returns itself."""
        return self._drop(rule, [reason_of(row) for row in self.rows])

    def drop_lines(self, rule: str, reasons: Mapping[int, str]) -> Curation:
        """Take out the rows whose ``line`` is a key of ``reasons``, for rules that look at all rows at once."""
        return self._drop(rule, [reasons.get(row["line"]) for row in self.rows])

    def mend(self, rule: str, change: Callable[[Row], Row | None]) -> Curation:
        """Replace a row by ``change(row)`` where that is not None. Returns itself."""
        self._first_time(rule)
        changed = [change(row) for row in self.rows]
        for old, new in zip(self.rows, changed, strict=True):
            if new is not None:
                self.log.append({"rule": rule, "line": old["line"], "what": "mended", "why": rule, "row": old})
        self.sizes[rule] = (len(self.rows), len(self.rows))
        self.rows = [old if new is None else new for old, new in zip(self.rows, changed, strict=True)]
        return self

    def _first_time(self, rule: str) -> None:
        if rule in self.sizes:
            raise ValueError(f"The rule '{rule}' has run already: start again at the cell with 'work = Curation('.")

    def _drop(self, rule: str, reasons: list[str | None]) -> Curation:
        self._first_time(rule)
        kept = []
        for row, reason in zip(self.rows, reasons, strict=True):
            if reason is None:
                kept.append(row)
            else:
                self.log.append({"rule": rule, "line": row["line"], "what": "dropped", "why": reason, "row": row})
        self.sizes[rule] = (len(self.rows), len(kept))
        self.rows = kept
        return self

    def report(self, example_length: int = 60) -> pd.DataFrame:
        """One row per rule: rows in, dropped, mended, the commonest reason and the beginning of one example."""
        rows = []
        for rule, (before, after) in self.sizes.items():
            entries = [entry for entry in self.log if entry["rule"] == rule]
            why = pd.Series([entry["why"] for entry in entries]).value_counts()
            example = (
                " ".join(str(entries[0]["row"].get("message", entries[0]["row"].get("text", ""))).split())
                if entries
                else ""
            )
            rows.append(
                {
                    "rule": rule,
                    "rows in": before,
                    "dropped": before - after,
                    "mended": sum(entry["what"] == "mended" for entry in entries),
                    "commonest reason": "each its own" if len(why) == len(entries) > 1 else "".join(why.index[:1]),
                    "for example": example[:example_length],
                }
            )
        return pd.DataFrame(rows).set_index("rule")


def export_lines() -> list[tuple[int, bytes]]:
    """The messy export as (line number from 1, bytes without the line break): what a pipeline may read."""
    data = data_path("raw", "support_export.jsonl").read_bytes()
    return list(enumerate(data.splitlines(), start=1))


def export_key() -> dict[int, dict[str, Any]]:
    """The key, by line number: ``faults`` (planted ones, none in a good line), and where they say more, ``right`` (the
    label) or ``spans`` (planted personal data: kind, first character of the message, character behind the last)."""
    lines = data_path("raw", "support_export_key.jsonl").read_text(encoding="utf-8").splitlines()
    return {entry["line"]: entry for entry in map(json.loads, lines)}


def pipeline_score(key: Mapping[int, Mapping[str, Any]], log: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Per planted fault: how many lines have it, and how many a pipeline dropped or mended; ``(good)`` are the others.

    A good line that was dropped is a loss. A fault counts as mended when the rule that mends it touched the line.
    """
    log = list(log)
    dropped = {entry["line"] for entry in log if entry["what"] == "dropped"}
    mended = {(entry["line"], entry["rule"]) for entry in log if entry["what"] == "mended"}
    anyhow = {line for line, _ in mended}
    rows = []
    for line, entry in key.items():
        for fault in entry["faults"] or ["(good)"]:
            is_mended = line in anyhow if fault == "(good)" else (line, MENDING_RULE.get(fault)) in mended
            what = "dropped" if line in dropped else "mended" if is_mended else "untouched"
            rows.append({"planted": fault, "lines": 1, "what": what})
    table = pd.DataFrame(rows)
    counted = pd.crosstab(table["planted"], table["what"])
    counted = counted.reindex(columns=["dropped", "mended", "untouched"], fill_value=0)
    counted.insert(0, "lines", counted.sum(axis=1))
    counted.columns.name = None
    return counted
