"""The same four levers on the course's other two tasks: rules, examples, retrieved examples, LoRA.

Retrieval has no facts to look up for a record or a voice. What it can look up are the training rows that are nearest
to the message at hand, and these go into the prompt as its examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer

from . import triage, voice
from .paths import data_path
from .training import triage_settings

LEVERS = ("zero-shot", "few-shot", "retrieved examples", "LoRA")
SHOTS = 4
SORT = "You turn a customer's message into one JSON record, exactly as the examples do. Write the record alone."
REWRITE = "You rewrite a text in the voice of the examples and keep every fact. Write the new text alone."

Record = dict[str, Any]


class Nearest:
    """The training texts that share most words with a text, rare words counting more (TF-IDF, cosine)."""

    def __init__(self, texts: Sequence[str]):
        self.vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
        self.rows = self.vectorizer.fit_transform(texts)

    def __call__(self, text: str, count: int = SHOTS) -> list[int]:
        """Places of the ``count`` nearest texts, nearest first; the earlier of equals."""
        likeness = (self.rows @ self.vectorizer.transform([text]).T).toarray().ravel()
        return sorted(range(len(likeness)), key=lambda place: (-round(float(likeness[place]), 9), place))[:count]


def triage_prompts(lever: str, messages: Sequence[str], train: Sequence[Record]) -> tuple[list[dict], list[str]]:
    """The chat before each message and the messages as the model gets them. Raises ValueError for an unknown lever."""
    pairs = [(row["message"], triage.label_text(row["label"])) for row in train]
    return _prompts(
        lever, messages, pairs, {"rules": triage.instructions(), "trained": triage_settings()["system_prompt"]}, SORT
    )  # fmt: skip


def voice_prompts(lever: str, texts: Sequence[str], train: Sequence[Record]) -> tuple[list[dict], list[str]]:
    """The same for the brand voice."""
    pairs = [(row["neutral"], row["voice"]) for row in train]
    return _prompts(lever, texts, pairs, {"rules": voice.persona(), "trained": voice.trained_prompt()}, REWRITE)


def other_formats() -> list[str]:
    """Requests that ask for another format than the record (data/triage/other_formats.txt), one a line."""
    return data_path("triage", "other_formats.txt").read_text(encoding="utf-8").split("\n")[:-1]


def asked_otherwise(messages: Sequence[str]) -> list[str]:
    """The messages, each with one of the requests behind it, in turn."""
    requests = other_formats()
    return [f"{message} {requests[place % len(requests)]}" for place, message in enumerate(messages)]


def _prompts(
    lever: str, texts: Sequence[str], pairs: Sequence[tuple[str, str]], systems: dict[str, str], short: str
) -> tuple[list[dict], list[str]]:
    if lever not in LEVERS:
        raise ValueError(f"There is no lever '{lever}': choose one of {', '.join(LEVERS)}.")
    if lever == "retrieved examples":
        nearest = Nearest([given for given, _ in pairs])
        shown = [[pairs[place] for place in reversed(nearest(text))] for text in texts]
        users = [
            "\n\n".join([*(f"Text: {given}\nAnswer: {made}" for given, made in few), f"Text: {text}\nAnswer:"])
            for few, text in zip(shown, texts, strict=True)
        ]
        return [{"role": "system", "content": short}], users
    chat = [{"role": "system", "content": systems["trained" if lever == "LoRA" else "rules"]}]
    for given, made in pairs[: SHOTS if lever == "few-shot" else 0]:
        chat += [{"role": "user", "content": given}, {"role": "assistant", "content": made}]
    return chat, list(texts)
