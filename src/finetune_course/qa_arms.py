"""The ways to answer the shop's questions that notebook 10 compares, and how one is asked and scored.

An arm is a system prompt, example turns, whether pieces of pages go into the prompt, and which adapter the model has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from .generation import Answers, answer_all
from .kb_questions import KbQuestion
from .knowledge_base import VERSIONS, load_pages
from .reader import CLOSED, FACTS, LONG, SHORT, documents_prompt, load_fact_rows, load_reader_rows
from .retrieval_answers import outcomes
from .retrieved import Retrieved

Run = dict[str, Any]
SHOTS = 4


@dataclass(frozen=True)
class Arm:
    """One way of answering: ``adapter`` is None, "reader" or "facts"; ``shots`` example turns; room for an answer."""

    name: str
    system: str
    pages: bool
    adapter: str | None = None
    shots: int = 0
    new_tokens: int = 40


ARMS = (
    Arm("zero-shot", CLOSED, False),
    Arm("few-shot", CLOSED, False, shots=SHOTS),
    Arm("RAG, short rules", SHORT, True),
    Arm("RAG, long rules", LONG, True),
    Arm("RAG, few-shot", LONG, True, shots=SHOTS),
    Arm("LoRA on facts", FACTS, False, "facts"),
    Arm("LoRA on facts + RAG", SHORT, True, "facts"),
    Arm("LoRA reader + RAG", SHORT, True, "reader", new_tokens=56),
)
"""In the order of the table; the first five need no training."""


def arm(name: str) -> Arm:
    """The arm of that name. Raises ValueError, which lists them all."""
    for each in ARMS:
        if each.name == name:
            return each
    raise ValueError(f"There is no arm '{name}': choose one of {', '.join(each.name for each in ARMS)}.")


def prefix(way: Arm) -> list[dict[str, str]]:
    """The chat before the question. Example turns come from the training rows, never from the shop's questions.

    With pages: a row of each kind that the reader is trained on (and one more). Without: facts of the shop, asked.
    """
    chat = [{"role": "system", "content": way.system}]
    if not way.shots:
        return chat
    if way.pages:
        rows = load_reader_rows()
        kinds = ("one page", "unanswerable", "two pages", "one page")
        picked = [next(row for row in rows[100 * place :] if row["kind"] == kind) for place, kind in enumerate(kinds)]
        turns = [(documents_prompt(row["question"], row["pieces"]), row["answer"]) for row in picked]
    else:
        turns = [(row["question"], row["answer"]) for row in load_fact_rows() if row["form"] == "asked"]
    for question, answer in turns[: way.shots]:
        chat += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return chat


def ask(
    way: Arm,
    model,
    tokenizer,
    questions: Sequence[KbQuestion],
    retrieved: Retrieved | None,
    version: str = "v1",
    *,
    room: int,
    batch_size: int = 16,
) -> Run:
    """What the arm answers, greedily: ``answers`` (texts), ``prompt_tokens`` and ``new_tokens`` in all, ``seconds``.

    ``room``: tokens of pieces in a prompt (``kb_bench.kb_settings()["room"]``). ``retrieved`` may be None for an arm
    without pages; otherwise ValueError.
    """
    prompts = messages(way, tokenizer, questions, retrieved, version, room)
    found = answer_all(model, tokenizer, prefix(way), prompts, batch_size=batch_size, max_new_tokens=way.new_tokens)
    return _run(found.texts, found.prompt_tokens, found.new_tokens, found.seconds)


def ask_both(
    way: Arm,
    model,
    tokenizer,
    questions: Sequence[KbQuestion],
    retrieved: Retrieved | None,
    *,
    room: int,
    batch_size: int = 16,
) -> dict[str, Run]:
    """Version → what ``ask`` gives; a prompt that is the same in both versions is asked once.

    Its answer then stands in both, and counts in version 2 with the mean seconds of an answer to version 1.
    """
    first, second = (messages(way, tokenizer, questions, retrieved, version, room) for version in VERSIONS)

    def answered(prompts: list[str]) -> Answers:
        return answer_all(
            model, tokenizer, prefix(way), prompts, batch_size=batch_size, max_new_tokens=way.new_tokens
        )  # fmt: skip

    old = answered(first)
    changed = [place for place, message in enumerate(second) if message != first[place]]
    texts, read, written = list(old.texts), list(old.prompt_tokens), list(old.new_tokens)
    seconds = old.seconds * (1 - len(changed) / len(first))
    if changed:
        new = answered([second[place] for place in changed])
        for number, place in enumerate(changed):
            texts[place] = new.texts[number]
            read[place], written[place] = new.prompt_tokens[number], new.new_tokens[number]
        seconds += new.seconds
    runs = _run(old.texts, old.prompt_tokens, old.new_tokens, old.seconds), _run(texts, read, written, seconds)
    return dict(zip(VERSIONS, runs, strict=True))


def messages(
    way: Arm, tokenizer, questions: Sequence[KbQuestion], retrieved: Retrieved | None, version: str, room: int
) -> list[str]:
    """The user's message for each question, with the pieces that fit where the arm reads pages.

    Raises ValueError for an arm with pages without ``retrieved``.
    """
    if not way.pages:
        return [question.question for question in questions]
    if retrieved is None:
        raise ValueError(f"The arm '{way.name}' reads pages: give it the record of the search.")
    count = token_counter(tokenizer)
    return [documents_prompt(each.question, retrieved.pieces(each, version, count, room)) for each in questions]


def _run(texts: list[str], prompt_tokens: list[int], new_tokens: list[int], seconds: float) -> Run:
    return {
        "answers": texts,
        "prompt_tokens": sum(prompt_tokens),
        "new_tokens": sum(new_tokens),
        "seconds": round(seconds, 2),
    }


def token_counter(tokenizer) -> Callable[[str], int]:
    """A function that gives a text's number of tokens and remembers it."""
    return cache(lambda text: len(tokenizer(text, add_special_tokens=False).input_ids))


def scored(
    run: Run,
    way: Arm,
    questions: Sequence[KbQuestion],
    retrieved: Retrieved | None,
    version: str,
    count: Callable[[str], int],
    room: int,
) -> pd.DataFrame:
    """One row a question: id, kind, answerable, right, declined, cites, traced, formatted (see ``outcomes``).

    ``formatted``: the answer ends with page ids in square brackets that exist, or declines: what a program expects.
    """
    given = [retrieved.pieces(each, version, count, room) if way.pages else [] for each in questions]
    known = {page.id for page in load_pages(version)}
    table = outcomes(run["answers"], questions, given, known, version)
    table["formatted"] = table["declined"] | np.array([formatted(text, known) for text in run["answers"]])
    return table


def formatted(answer: str, known: set[str]) -> bool:
    """Whether a text ends with the id of a known page in square brackets."""
    text = answer.rstrip()
    return text.endswith("]") and text[text.rfind("[") + 1 : -1] in known
