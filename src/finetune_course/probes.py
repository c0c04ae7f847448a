"""Probes of the small model: does it prefer the right one of two sentences, the right one of four endings?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from .paths import data_path
from .small_model import IGNORED, encode, masked_loss

Row = tuple[list[int], list[int]]
"""Input ids and labels of one text, -100 where nothing is scored."""


def load_probes(kind: str) -> list[dict]:
    """The probes of data/corpus/probes_test.jsonl of one kind: agreement or fact."""
    path = data_path("corpus", "probes_test.jsonl")
    if not path.is_file():
        raise FileNotFoundError(f"data/corpus/{path.name} is missing: build it with 'python data/build_corpus.py'.")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = [row for row in rows if row["kind"] == kind]
    if not found:
        raise ValueError(f"There are no probes of the kind '{kind}': choose agreement or fact.")
    return found


def options(probe: dict) -> tuple[list[str], int]:
    """The probe's full texts and the place of the right one."""
    if probe["kind"] == "agreement":
        return probe["text"], 0
    return [f"{probe['prompt']} {choice}." for choice in probe["choices"]], probe["answer"]


def answers(
    probes: Sequence[dict], tokenizer: PreTrainedTokenizerFast, nats: Callable[[list[Row]], np.ndarray]
) -> np.ndarray:
    """For each probe whether the right text is the likeliest of its texts, shape (probes,), True or False.

    ``nats`` gives the total -ln p of each text: ``model_nats(model)`` or ``table_nats(table)``. Texts of one probe
    share their beginning, so it adds the same to each.
    """
    rows, places = [], []
    for probe in probes:
        texts, right = options(probe)
        places.append((len(rows), len(rows) + len(texts), right))
        rows += [(ids, [IGNORED, *ids[1:]]) for ids in encode(texts, tokenizer)]
    total = nats(rows)
    return np.array([int(total[first:last].argmin()) == right for first, last, right in places])


def model_nats(model: torch.nn.Module) -> Callable[[list[Row]], np.ndarray]:
    """Total -ln p of texts under a language model."""
    return lambda rows: masked_loss(model, rows) * np.array([len(ids) - 1 for ids, _ in rows])


def table_nats(table: torch.Tensor) -> Callable[[list[Row]], np.ndarray]:
    """Total -ln p of texts under a bigram table of ``baselines``."""
    logs = table.log()
    return lambda rows: np.array([float(-logs[ids[:-1], ids[1:]].sum()) for ids, _ in rows])
