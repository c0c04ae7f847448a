"""The triage task: a support message in, a record of five fields out. The rules are data/triage/labelling_guide.md."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator

from .paths import data_path
from .records import load_records

SPLITS = ("train", "validation", "validation_handwritten", "test", "test_handwritten")

Label = dict[str, str | None]


@lru_cache(maxsize=1)
def record_schema() -> dict[str, Any]:
    """JSON Schema of one line of the triage files (id, message, label)."""
    return json.loads(data_path("triage", "schema.json").read_text(encoding="utf-8"))


def label_schema() -> dict[str, Any]:
    """JSON Schema of the label alone: what a model has to write."""
    return record_schema()["$defs"]["label"]


def allowed_values(field: str) -> tuple[str | None, ...]:
    """The values that ``field`` may take, in the schema's order; KeyError for a field without a closed list."""
    return tuple(label_schema()["properties"][field]["enum"])


FIELDS: tuple[str, ...] = tuple(label_schema()["properties"])


def load_split(name: str) -> list[dict[str, Any]]:
    """Records of one split: ``train``, or template-made and hand-written ``validation`` and ``test``.

    Raises:
        ValueError: an unknown split's name.
        DataError: the file is damaged; every bad line is listed.
    """
    if name not in SPLITS:
        raise ValueError(f"There is no split '{name}': choose one of {', '.join(SPLITS)}.")
    return load_records(data_path("triage", f"{name}.jsonl"), record_schema())


def instructions() -> str:
    """The task's rules as a system prompt, for a model that has not been trained on the task."""
    return data_path("triage", "instructions.txt").read_text(encoding="utf-8").strip()


def label_text(label: Label) -> str:
    """A label as compact JSON, fields in the schema's order: the text that a model is trained to write."""
    return json.dumps({field: label[field] for field in FIELDS}, ensure_ascii=False, separators=(",", ":"))


def parse_label(text: str) -> Label | None:
    """The label that a model's answer holds, or None when the answer is not exactly one valid record.

    White space around the record is forgiven; anything else (prose, a code fence, a wrong value, a missing field) is
    not, because a program downstream would not forgive it.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if _label_validator().is_valid(value) else None


@lru_cache(maxsize=1)
def _label_validator() -> Draft202012Validator:
    return Draft202012Validator(label_schema())
