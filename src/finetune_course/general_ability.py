"""What a model could do before it was tuned and can still do: predict ordinary text, answer an ordinary question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .shop_questions import load_questions, responds, write_answers
from .small_model import IGNORED, documents, masked_loss

OPEN_KINDS = ("dollars", "years", "days", "hour", "weekday", "month", "colour")
"""Kinds of questions that can be answered to the point without knowing the shop: a sum, a weekday, a colour."""
TEXTS, QUESTIONS = 60, 40
TEXT_BATCH = 2
"""Texts at a time: the scores of a text of 400 tokens over 49,152 words take 80 MB, and several copies of them live."""


def text_loss(model, tokenizer, texts: Sequence[str] | None = None) -> np.ndarray:
    """Nats per token of each text under the model, shape (texts,); default: 60 general test texts of the corpus."""
    texts = documents("test")[:TEXTS] if texts is None else texts
    rows = [list(tokenizer(text)["input_ids"]) for text in texts]
    return masked_loss(model, [(ids, [IGNORED, *ids[1:]]) for ids in rows], batch=TEXT_BATCH)


def open_questions(count: int = QUESTIONS) -> list[dict[str, Any]]:
    """Questions of ``OPEN_KINDS`` from the hand-written test of notebook 02, in the file's order."""
    return [row for row in load_questions("test") if row["kind"] in OPEN_KINDS][:count]


def replies(model, tokenizer, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Greedy answers to the questions, asked with the chat template's own system message and not the triage prompt."""
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": row["question"]}], tokenize=False, add_generation_prompt=True
        )
        for row in rows
    ]
    return write_answers(model, tokenizer, prompts, max_new_tokens=30, batch=20).texts


def to_the_point(answers: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[bool]:
    """Whether each answer is a sentence with something of the kind asked for; a record in braces is none."""
    return [
        not answer.lstrip().startswith("{") and responds(answer, row["question"], row["kind"])
        for answer, row in zip(answers, rows, strict=True)
    ]


def general_ability(model, tokenizer, most: int | None = None) -> dict[str, Any]:
    """Both measures in a form to be recorded: ``text_loss`` (a list of nats), ``to_the_point`` and ``records`` (bits:
    answers that are to the point; answers that begin with a brace, as if the question were a triage message).

    ``most`` limits the texts and the questions, for a trial."""
    rows, texts = open_questions()[:most], documents("test")[:TEXTS][:most]
    answers = replies(model, tokenizer, rows)
    return {
        "text_loss": [round(float(value), 4) for value in text_loss(model, tokenizer, texts)],
        "to_the_point": "".join("01"[hit] for hit in to_the_point(answers, rows)),
        "records": "".join("01"[answer.lstrip().startswith("{")] for answer in answers),
    }
