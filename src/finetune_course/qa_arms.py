"""The ways to answer the shop's questions that notebook 10 compares, and how one is asked and scored.

An arm is a system prompt, example turns, whether pieces of pages go into the prompt, and which adapter the model has.
The pieces stand in one prompt, or each is read by itself and the surest answer is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd

from .generation import Answers, answer_all
from .kb_questions import KbQuestion
from .knowledge_base import VERSIONS, load_pages
from .reader import CLOSED, FACTS, LONG, NOT_THERE, SHORT, documents_prompt, load_fact_rows, load_reader_rows
from .retrieval_answers import outcomes
from .retrieved import Retrieved

Run = dict[str, Any]
SHOTS = 4


@dataclass(frozen=True)
class Arm:
    """One way of answering: ``adapter`` is None, "reader" or "facts"; ``shots`` example turns; room for an answer.

    ``one_by_one``: how many pieces are read, each in a prompt of its own; the answer is kept that the model was least
    about to decline. 0: all that fit into the room stand in one prompt.
    """

    name: str
    system: str
    pages: bool
    adapter: str | None = None
    shots: int = 0
    new_tokens: int = 40
    one_by_one: int = 0


ONE_BY_ONE = 3
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

    Where pieces are read one by one, also ``doubts``: for each question the probability of declining with the piece
    whose answer was kept (of the first token of ``NOT_THERE``, the smallest among the pieces).

    ``room``: tokens of pieces in a prompt (``kb_bench.kb_settings()["room"]``). ``retrieved`` may be None for an arm
    without pages; otherwise ValueError.
    """
    asked = messages(way, tokenizer, questions, retrieved, version, room)
    return _run(_answered(way, model, tokenizer, asked, batch_size))


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
    new = replace(old, seconds=old.seconds * (1 - len(changed) / len(first)))
    if changed:
        found = _answered(way, model, tokenizer, [second[place] for place in changed], batch_size)
        new = Answers(
            _replaced(old.texts, changed, found.texts),
            _replaced(old.prompt_tokens, changed, found.prompt_tokens),
            _replaced(old.new_tokens, changed, found.new_tokens),
            new.seconds + found.seconds,
            _replaced(old.watched, changed, found.watched) if way.one_by_one else [],
        )
    return dict(zip(VERSIONS, map(_run, (old, new)), strict=True))


def _replaced(old: list, places: Sequence[int], new: list) -> list:
    """``old`` with ``new`` at ``places``."""
    fresh = dict(zip(places, new, strict=True))
    return [fresh.get(place, value) for place, value in enumerate(old)]


def messages(
    way: Arm, tokenizer, questions: Sequence[KbQuestion], retrieved: Retrieved | None, version: str, room: int
) -> list[list[str]]:
    """For each question the user's messages: one, with the pieces that fit where the arm reads pages, or one for each
    piece that it reads one by one.

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
    """For each question the answer to the message that was least likely declined; tokens of all its messages together.

    That the model is about to decline is seen in the first token: no other is needed to compare answers of any length.
    """
    found = answer_all(
        model, tokenizer, prefix(way), [message for each in asked for message in each],
        batch_size=batch_size, max_new_tokens=way.new_tokens, watch=NOT_THERE if way.one_by_one else "",
    )  # fmt: skip
    ends = list(accumulate(map(len, asked)))
    own = [range(end - len(each), end) for end, each in zip(ends, asked, strict=True)]
    kept = [min(places, key=found.watched.__getitem__) if way.one_by_one else places[0] for places in own]
    return Answers(
        [found.texts[place] for place in kept],
        [sum(found.prompt_tokens[place] for place in places) for places in own],
        [sum(found.new_tokens[place] for place in places) for places in own],
        found.seconds,
        [found.watched[place] for place in kept] if way.one_by_one else [],
    )


def _run(found: Answers) -> Run:
    run = {
        "answers": found.texts,
        "prompt_tokens": sum(found.prompt_tokens),
        "new_tokens": sum(found.new_tokens),
        "seconds": round(found.seconds, 2),
    }
    return run | ({"doubts": [round(each, 4) for each in found.watched]} if found.watched else {})


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
