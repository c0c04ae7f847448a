"""The counted part of the data card: the tables between two marks in data/README.md, written by build_data.py."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

BEGIN, END = "<!-- counts: written by build_data.py -->", "<!-- /counts -->"
SPLITS = ("train", "validation", "test", "validation_handwritten", "test_handwritten")


def with_counts(card: str, folder: Path) -> str:
    """The card's text with its counted part made anew from the split files in ``folder``.

    Raises:
        ValueError: the card lacks one of the two marks.
    """
    before, found_begin, rest = card.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not (found_begin and found_end):
        raise ValueError(f"The data card lacks the marks '{BEGIN}' and '{END}' around its tables: put them back.")
    return f"{before}{BEGIN}\n\n{_tables(folder)}\n\n{END}{after}"


def _tables(folder: Path) -> str:
    splits = {name: _rows(folder / f"{name}.jsonl") for name in SPLITS}
    labels = {name: [row["label"] for row in rows] for name, rows in splits.items()}
    values = json.loads((folder / "schema.json").read_text(encoding="utf-8"))["$defs"]["label"]["properties"]
    head = ["messages", *(str(len(rows)) for rows in splits.values())]
    lines = [head, ["words a message (mean)", *(f"{_mean_words(rows):.0f}" for rows in splits.values())]]
    for field in ("category", "urgency", "mood"):
        for value in values[field]["enum"]:
            lines.append([f"{field}: {value}", *(_percent(rows, field, value) for rows in labels.values())])
    lines.append(
        ["order_id: an id", *(f"{100 - 100 * _share(rows, 'order_id', None):.0f}%" for rows in labels.values())]
    )
    lines.append(["product: null", *(_percent(rows, "product", None) for rows in labels.values())])
    lines.append(
        ["product: each family, messages", *(_range(rows, values["product"]["enum"]) for rows in labels.values())]
    )
    title = ["", *(f"`{name}`" for name in SPLITS)]
    rule = ["---", *("---:" for _ in SPLITS)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (title, rule, *lines))


def _rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _mean_words(rows: list[dict]) -> float:
    return sum(len(row["message"].split()) for row in rows) / len(rows)


def _share(labels: list[dict], field: str, value: str | None) -> float:
    return sum(label[field] == value for label in labels) / len(labels)


def _percent(labels: list[dict], field: str, value: str | None) -> str:
    return f"{100 * _share(labels, field, value):.0f}%"


def _range(labels: list[dict], families: list[str | None]) -> str:
    counts = Counter(label["product"] for label in labels)
    numbers = [counts[family] for family in families if family is not None]
    return f"{min(numbers)}–{max(numbers)}"
