"""The brand voice of Wattle & Wave: neutral text in, the same facts in the shop's voice out.

The rules are data/voice/style_guide.md; what keeps to them is measured by ``voice_scorer``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import yaml

from .paths import data_path
from .records import load_records

SPLITS = ("train", "validation", "test_handwritten")
TASKS = ("rewrite", "chat")
LABELS = ("in", "partly", "not")
"""What a reader may say of a text, from best to worst; the style guide defines them."""


def load_split(name: str) -> list[dict[str, Any]]:
    """Pairs of one split: id, topic, neutral, voice; in ``train`` also customer, a question that the text answers.

    Raises:
        ValueError: an unknown split's name.
        DataError: the file is damaged; every bad line is listed.
    """
    if name not in SPLITS:
        raise ValueError(f"There is no split '{name}': choose one of {', '.join(SPLITS)}.")
    return _load(name, "pair")


def load_conversations() -> list[dict[str, Any]]:
    """Conversations of eight customer turns each: id, theme, turns. Nothing answers them yet. Raises DataError."""
    return _load("conversations", "conversation")


def load_labels(half: str) -> list[dict[str, Any]]:
    """Texts labelled by a reader, of one half: ``development`` (to tune the scorer on) or ``held_out``.

    Fields: id, half, source (written or model), kind, neutral (or None), text, label (one of LABELS) and facts_kept
    (True, False or None).

    Raises:
        ValueError: an unknown half.
        DataError: the file is damaged; every bad line is listed.
    """
    if half not in ("development", "held_out"):
        raise ValueError(f"There is no half '{half}': choose development or held_out.")
    return [row for row in _load("scorer_labels", "label") if row["half"] == half]


def load_reply_labels() -> list[dict[str, Any]]:
    """Recorded replies of notebook 07's conversations, labelled by two readers who did not see which way wrote them.

    Fields: id, arm, seed, conversation, turn (from 1), text, label (one of LABELS) and second_label, that of the
    second reader, who did not see the first one's. Raises DataError.
    """
    return _load("reply_labels", "reply_label")


def persona(task: str = "rewrite") -> str:
    """The voice's rules as a system prompt for an untrained model that is to ``rewrite`` a text or to ``chat``."""
    return data_path("voice", f"persona_{_known(task)}.txt").read_text(encoding="utf-8").strip()


def trained_prompt(task: str = "rewrite") -> str:
    """The short system prompt that is left for a model trained on the voice."""
    return yaml.safe_load(data_path("voice", "trained_prompts.yaml").read_text(encoding="utf-8"))[_known(task)]


def prompt_completion(record: dict[str, Any], task: str = "rewrite") -> dict[str, Any]:
    """One training row in TRL's prompt-completion form: a neutral text (or a customer's question) and the voice's text.

    Raises ValueError for the task ``chat`` and a record without a customer's question.
    """
    field = {"rewrite": "neutral", "chat": "customer"}[_known(task)]
    if field not in record:
        raise ValueError(f"{record['id']} has no '{field}': only the training pairs have a customer's question.")
    system = {"role": "system", "content": trained_prompt(task)}
    return {
        "prompt": [system, {"role": "user", "content": record[field]}],
        "completion": [{"role": "assistant", "content": record["voice"]}],
    }


def _known(task: str) -> str:
    if task not in TASKS:
        raise ValueError(f"There is no task '{task}': choose one of {', '.join(TASKS)}.")
    return task


def _load(name: str, kind: str) -> list[dict[str, Any]]:
    return load_records(data_path("voice", f"{name}.jsonl"), _schema(kind))


@lru_cache(maxsize=4)
def _schema(kind: str) -> dict[str, Any]:
    whole = json.loads(data_path("voice", "schema.json").read_text(encoding="utf-8"))
    return {**whole, "$ref": f"#/$defs/{kind}"}
