"""The experiment of notebook 04: which rows a run of the recorded grids trains on, and the records of those grids.

One draw of messages serves all arms of a seed. *As found* is an untended set with wrong labels and copies, *cleaned*
the same messages without copies and with every label set right, *curated* the first of those, a fifth as many. So two
arms differ in care and amount alone. The runs are short ones (``short_runs``): a LoRA in the model's upper blocks that
learns to name the category.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from .label_noise import as_found
from .lora_layer import add_lora
from .paths import course_root
from .short_runs import UpperBlocks

LARGE, SMALL = 500, 100
"""Rows of the untended set, and of the curated one: a fifth."""

ARMS = ("curated", "as found", "cleaned")
FIRST_BLOCK, BATCH = 22, 8
USUAL = {"rank": 16, "rate": 2e-3, "epochs": 1}
"""The settings of a run; the curated rows are seen five times, so that both sets cost the same training time."""

VARIANTS: dict[str, dict[str, float]] = {
    "rank 64": {"rank": 64},
    "half the learning rate": {"rate": 1e-3},
    "twice the learning rate": {"rate": 4e-3},
    "two epochs": {"epochs": 2},
}
"""Other settings tried on the untended set (claim C30), as changes to ``USUAL``."""

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


def settings_of(arm: str, variant: str | None = None) -> dict[str, float]:
    """Rank, learning rate and epochs of a run of ``arm``, or of the untended set with a variant's settings."""
    return USUAL | ({"epochs": LARGE // SMALL} if arm == "curated" else {}) | VARIANTS.get(variant or "", {})


def train_category(stage: UpperBlocks, name: str, seed: int, rank: int, rate: float, epochs: int) -> list[float]:
    """Put a LoRA (alpha twice the rank) into ``stage`` and train it on the set ``name``; returns the steps' losses.

    The batches come in a new order each epoch. ``remove_lora(stage.model)`` afterwards leaves the stage as it was.
    """
    order = torch.Generator().manual_seed(seed)
    batches = len(stage.sets[name])
    places = [place for _ in range(epochs) for place in torch.randperm(batches, generator=order).tolist()]
    torch.manual_seed(seed)
    add_lora(stage.model, r=rank, alpha=2 * rank)
    return stage.train(rate=rate, name=name, only=places)


def rows_hash(rows: Iterable[Record]) -> str:
    """SHA-256 of messages and labels in their order: what a recorded run was trained on."""
    text = json.dumps([[row["message"], row["label"]] for row in rows], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_grid(name: str) -> dict[str, Any] | None:
    """The record benchmarks/results/curation_``name``.json ("lora" or "linear"), or None where it is not complete."""
    path = course_root() / "benchmarks" / "results" / f"curation_{name}.json"
    grid = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return grid if grid and grid["settings"].get("complete") else None


def to_bits(values: Iterable[bool]) -> str:
    """One character a message, 1 for right: how a grid keeps its scores, so that they can be paired later."""
    return "".join("1" if value else "0" for value in values)


def from_bits(runs: Sequence[str]) -> np.ndarray:
    """Mean over runs (seeds) of each message's score, shape (messages,): 0, 1 or a fraction."""
    return np.mean([[int(bit) for bit in run] for run in runs], axis=0)
