"""The experiment of notebook 04: which rows a run of the recorded grids trains on, and the records of those grids.

One draw of messages serves all arms of a seed. *As found* is an untended set with wrong labels and copies, *cleaned* the
same messages without copies and with every label set right, *curated* the first of those, a fifth as many. So two arms
differ in care and amount alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .label_noise import as_found
from .paths import course_root

LARGE, SMALL = 320, 64
"""Rows of the untended set, and of the curated one: a fifth."""

SMALL_EPOCHS = 5
"""The curated rows are seen this often: both sets then cost the same training time."""

ARMS = ("curated", "as found", "cleaned")
VARIANTS: dict[str, dict[str, Any]] = {
    "rank 8": {"lora": {"r": 8, "lora_alpha": 16}},
    "rank 32": {"lora": {"r": 32, "lora_alpha": 64}},
    "half the learning rate": {"trainer": {"learning_rate": 0.0005}},
    "twice the learning rate": {"trainer": {"learning_rate": 0.002}},
    "three epochs": {"trainer": {"num_train_epochs": 3}},
}
"""Other settings tried on the untended set (claim C30), as changes to data/triage/training.yaml."""

Record = dict[str, Any]


def rows_of(arm: str, train: Sequence[Record], seed: int) -> list[Record]:
    """The training rows of an arm. ``train`` are the course's training messages, whose labels are right.

    Raises ValueError for an unknown arm.
    """
    if arm not in ARMS:
        raise ValueError(f"There is no arm '{arm}': choose one of {', '.join(ARMS)}.")
    found = as_found(train, LARGE, seed)
    if arm == "as found":
        return found
    right = {record["id"]: record for record in train}
    distinct = [right[name] for name in dict.fromkeys(record["id"] for record in found)]
    return distinct if arm == "cleaned" else distinct[:SMALL]


def rows_hash(rows: Iterable[Record]) -> str:
    """SHA-256 of messages and labels in their order: what a recorded run was trained on."""
    text = json.dumps([[row["message"], row["label"]] for row in rows], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_grid(name: str) -> dict[str, Any] | None:
    """The record benchmarks/results/curation_``name``.json ("lora" or "linear"), or None where there is none yet."""
    path = course_root() / "benchmarks" / "results" / f"curation_{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def to_bits(values: Iterable[bool]) -> str:
    """One character a message, 1 for right: how a grid keeps its scores, so that they can be paired later."""
    return "".join("1" if value else "0" for value in values)


def from_bits(runs: Sequence[str]) -> np.ndarray:
    """Mean over runs (seeds) of each message's score, shape (messages,): 0, 1 or a fraction."""
    return np.mean([[int(bit) for bit in run] for run in runs], axis=0)
