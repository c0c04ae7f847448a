"""The ways to answer the shop's questions that notebook 10 compares, and how one is asked and scored.

An arm is a system prompt, example turns, whether pieces of pages go into the prompt, and which adapter the model has.
The pieces stand in one prompt, or are read one after another until one is not declined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from .generation import Answers, answer_all
from .kb_questions import KbQuestion, declines
from .knowledge_base import VERSIONS, load_pages
from .reader import CLOSED, FACTS, LONG, SHORT, documents_prompt, load_fact_rows, load_reader_rows
from .retrieval_answers import outcomes
from .retrieved import Retrieved

Run = dict[str, Any]
SHOTS = 4


@dataclass(frozen=True)
class Arm:
    """One way of answering: ``adapter`` is None, "reader" or "facts"; ``shots`` example turns; room for an answer.

    ``one_by_one``: how many pieces are read, each in a prompt of its own, the best first, until an answer does not
    decline; 0: all that fit into the room stand in one prompt.
    """

    name: str
    system: str
    pages: bool
    adapter: str | None = None
    shots: int = 0
    new_tokens: int = 40
    one_by_one: int = 0


ONE_BY_ONE = 2
"""Pieces that the trained reader reads: chosen with its passes (benchmarks/results/kb_reader.json, part "choose")."""

ARMS = (
    Arm("zero-shot", CLOSED, False),
    Arm("few-shot", CLOSED, False, shots=SHOTS),
    Arm("RAG, short rules", SHORT, True),
    Arm("RAG, long rules", LONG, True),
    Arm("RAG, few-shot", LONG, True, shots=SHOTS),
    Arm("RAG, one by one", LONG, True, one_by_one=ONE_BY_ONE),
    Arm("LoRA on facts", FACTS, False, "facts"),
    Arm("LoRA on facts + RAG", SHORT, True, "facts"),
    Arm("LoRA reader + RAG", SHORT, True, "reader", one_by_one=ONE_BY_ONE),
)
"""In the order of the table; the first six need no training."""


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
    found = _answered(way, model, tokenizer, messages(way, tokenizer, questions, retrieved, version, room), batch_size)
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

    old = _answered(way, model, tokenizer, first, batch_size)
    changed = [place for place, message in enumerate(second) if message != first[place]]
    texts, read, written = list(old.texts), list(old.prompt_tokens), list(old.new_tokens)
    seconds = old.seconds * (1 - len(changed) / len(first))
    if changed:
        new = _answered(way, model, tokenizer, [second[place] for place in changed], batch_size)
        for number, place in enumerate(changed):
            texts[place] = new.texts[number]
            read[place], written[place] = new.prompt_tokens[number], new.new_tokens[number]
        seconds += new.seconds
    runs = _run(old.texts, old.prompt_tokens, old.new_tokens, old.seconds), _run(texts, read, written, seconds)
    return dict(zip(VERSIONS, runs, strict=True))


def messages(
    way: Arm, tokenizer, questions: Sequence[KbQuestion], retrieved: Retrieved | None, version: str, room: int
) -> list[list[str]]:
    """For each question the user's messages, to be asked in their order until an answer does not decline: one, with the
    pieces that fit where the arm reads pages, or one for each piece that it reads one by one.

    Raises ValueError for an arm with pages without ``retrieved``.
    """
    if not way.pages:
        return [[question.question] for question in questions]
    if retrieved is None:
        raise ValueError(f"The arm '{way.name}' reads pages: give it the record of the search.")
    count, asked = token_counter(tokenizer), []
    for question in questions:
        pieces = pieces_for(way, question, retrieved, version, count, room)
        shown = [[piece] for piece in pieces] if way.one_by_one and pieces else [pieces]
        asked.append([documents_prompt(question.question, each) for each in shown])
    return asked


def pieces_for(
    way: Arm, question: KbQuestion, retrieved: Retrieved, version: str, count: Callable[[str], int], room: int
) -> list[dict]:
    """The pieces that the arm may read, best first; none where it reads no pages."""
    if not way.pages:
        return []
    return retrieved.pieces(question, version, count, room)[: way.one_by_one or None]


def _answered(way: Arm, model, tokenizer, asked: Sequence[Sequence[str]], batch_size: int) -> Answers:
    """For each question the first answer that does not decline, or the last; tokens of all its messages together."""
    texts, read, written, seconds = [""] * len(asked), [0] * len(asked), [0] * len(asked), 0.0
    for step in range(max(map(len, asked), default=0)):
        left = [at for at, each in enumerate(asked) if step < len(each) and (step == 0 or declines(texts[at]))]
        if not left:
            break
        found = answer_all(
            model, tokenizer, prefix(way), [asked[at][step] for at in left],
            batch_size=batch_size, max_new_tokens=way.new_tokens,
        )  # fmt: skip
        seconds += found.seconds
        for number, at in enumerate(left):
            texts[at] = found.texts[number]
            read[at] += found.prompt_tokens[number]
            written[at] += found.new_tokens[number]
    return Answers(texts, read, written, seconds)


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

    ``formatted``: the answer begins or ends with the id of a page that exists, in square brackets, or declines: what a
    program expects.
    """
    given = [pieces_for(way, each, retrieved, version, count, room) for each in questions]
    known = {page.id for page in load_pages(version)}
    table = outcomes(run["answers"], questions, given, known, version)
    table["formatted"] = table["declined"] | np.array([formatted(text, known) for text in run["answers"]])
    return table


def formatted(answer: str, known: set[str]) -> bool:
    """Whether a text begins or ends with the id of a known page in square brackets."""
    text = answer.strip()
    first = text[1:].split("]")[0] if text.startswith("[") and "]" in text else None
    last = text[text.rfind("[") + 1 : -1] if text.endswith("]") else None
    return first in known or last in known
