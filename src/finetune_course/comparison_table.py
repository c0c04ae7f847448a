"""The comparison that closes the course, put together from the records: who answers what, before and after the change.

A *state* is an arm with its adapter and index as they are at some moment: ``before`` (everything of version 1, scored
by version 1), ``not updated`` (the same, scored by version 2) and ``updated`` (index or weights brought to version 2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .evaluate import Interval, interval, paired_difference, percent
from .kb_questions import KbQuestion, is_right
from .qa_arms import ARMS, Arm, scored
from .retrieved import Retrieved

STATES = ("before", "not updated", "updated")
SHORT_UPDATE = "LoRA on facts, short update"
SEARCH = "search alone"
"""No model at all: the first piece that the search finds, with its heading, and its page's id behind it. It never
declines. An arm that reads pages has to be worth more than this."""
BOTH = "LoRA on facts + RAG"
"""The old facts in the weights and the pages of the day in the prompt: does the page win?"""

COLUMNS = {
    "right": "right, answerable",
    "formatted": "format valid",
    "cites": "cites a right page, of right answers",
    "declined": "declines, unanswerable",
    "lost": "declines, answerable",
}


@dataclass(frozen=True)
class Asked:
    """An arm in one state: for each seed a table of ``qa_arms.scored`` and the answers; tokens and seconds a call."""

    tables: list[pd.DataFrame]
    answers: list[list[str]]
    tokens_in: float
    tokens_out: float
    seconds: float

    def per_question(self, column: str, which: str = "answerable") -> np.ndarray:
        """Mean over seeds of a column for each question of a kind, shape (questions,), 0 to 1.

        ``which``: "all", "changed in v2" (the kind), or "answerable" and "unanswerable" by the version that scores. The
        kinds of these names are others: ``of_kind``.
        """
        return np.mean([table.loc[rows_of(table, which), column].to_numpy(float) for table in self.tables], axis=0)

    def of_kind(self, column: str, kind: str) -> np.ndarray:
        """The same for the questions of one of ``kb_questions.KINDS``."""
        return np.mean([table.loc[table["kind"] == kind, column].to_numpy(float) for table in self.tables], axis=0)


def rows_of(table: pd.DataFrame, which: str) -> pd.Series:
    """True for the rows of ``which`` (see ``Asked.per_question``)."""
    if which == "all":
        return pd.Series(True, index=table.index)
    if which in ("answerable", "unanswerable"):
        return table["answerable"] == (which == "answerable")
    return table["kind"] == which


def gather(
    questions: Sequence[KbQuestion],
    retrieved: Retrieved,
    count: Callable[[str], int],
    reader: Mapping[str, Any] | None,
    facts: Mapping[str, Any] | None,
    comparison: Mapping[str, Any] | None,
    *,
    room: int,
) -> dict[tuple[str, str], Asked]:
    """(arm, state) → its outcomes, for every arm that the records hold; records that are not there yet are None.

    SEARCH is always there, for it needs no record of answers.

    The search's index is updated at once in every arm with pages, so such an arm has no state "not updated". ``room``:
    tokens of pieces in a prompt, as the records' runs were asked with (``kb_bench.kb_settings()["room"]``).
    """
    runs: dict[tuple[str, str], list[tuple[str, dict]]] = {}

    def put(name: str, state: str, version: str, run: dict) -> None:
        runs.setdefault((name, state), []).append((version, run))

    for state, version in {"before": "v1", "updated": "v2"}.items():
        put(SEARCH, state, version, first_pieces(questions, retrieved, version))
    for run in _by_seed(reader, "test"):
        put(run["arm"], "before", "v1", run["v1"])
        put(run["arm"], "updated", "v2", run["v2"])
    for run in _by_seed(comparison, "questions"):
        put(run["arm"], "before", "v1", run["v1"])
        put(run["arm"], "updated" if "v2" in run else "not updated", "v2", run.get("v2", run["v1"]))
    for run in _by_seed(facts, "test"):
        put("LoRA on facts", "before", "v1", run["test"])
        put("LoRA on facts", "not updated", "v2", run["test"])
        put(BOTH, "before", "v1", run["pages"]["v1"])
        put(BOTH, "updated", "v2", run["pages"]["v2"])
    for run in _by_seed(facts, "update"):
        put("LoRA on facts" if run["way"] == "anew" else SHORT_UPDATE, "updated", "v2", run["test"])
    arms = {each.name: each for each in ARMS}
    arms[SEARCH] = Arm(SEARCH, "", True)
    order = [SEARCH, *(each.name for each in ARMS), SHORT_UPDATE]
    found = {}
    for key in sorted(runs, key=lambda key: (order.index(key[0]), STATES.index(key[1]))):
        way = arms.get(key[0], arms["LoRA on facts"])
        found[key] = _asked(runs[key], way, questions, retrieved, count, room)
    return found


def first_pieces(questions: Sequence[KbQuestion], retrieved: Retrieved, version: str) -> dict[str, Any]:
    """The arm SEARCH as a run like those of ``qa_arms.ask``: no model reads or writes a token."""
    best = [retrieved.rows[version][retrieved.found[version][each.id][0]] for each in questions]
    return {
        "answers": [f"{piece['searched']} [{piece['page']}]" for piece in best],
        "prompt_tokens": 0,
        "new_tokens": 0,
        "seconds": retrieved.seconds["a search"] * len(questions),
    }


def main_table(found: Mapping[tuple[str, str], Asked]) -> pd.DataFrame:
    """One row per arm and state: the columns of COLUMNS with intervals, tokens and seconds of a call.

    With several seeds a cell is the mean over them; its interval is over the questions.
    """
    rows = {}
    for key, asked in found.items():
        rows[key] = {  # in the order of a manager's questions: right, usable, checkable, honest, dear
            COLUMNS["right"]: share(asked.per_question("right")),
            COLUMNS["formatted"]: share(asked.per_question("formatted", "all")),
            COLUMNS["cites"]: citation(asked),
            COLUMNS["declined"]: share(asked.per_question("declined", "unanswerable")),
            COLUMNS["lost"]: share(asked.per_question("declined")),
            "tokens in": round(asked.tokens_in),
            "tokens out": round(asked.tokens_out),
            "seconds, together": round(asked.seconds, 2),
            "seeds": len(asked.tables),
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=["arm", "state"]) if rows else table.index
    return table


def citations(asked: Asked, seed: int) -> np.ndarray:
    """For each right answer of one seed to an answerable question, whether the model wrote a right page."""
    table = asked.tables[seed]
    return table.loc[table["answerable"] & table["right"], "cites"].to_numpy(float)


def citation(asked: Asked, column: str = "cites") -> str:
    """Of the right answers to answerable questions, the share that cites a right page: one number a question, over the
    seeds that were right.

    ``column``: ``cites`` (what the model wrote) or ``traced`` (what the program adds by itself).
    """
    per_question = _of([table["right"] for table in asked.tables], asked, column)
    return f"{share(per_question)} of {len(per_question)}" if len(per_question) else "no right answer"


def cited_of_answered(asked: Asked) -> np.ndarray:
    """For each answerable question that some seed did not decline: the share of these seeds that cite a right page."""
    return _of([~table["declined"] for table in asked.tables], asked, "cites")


def _of(among: Sequence[pd.Series], asked: Asked, column: str) -> np.ndarray:
    """One number an answerable question: of the seeds that are ``among``, the share whose ``column`` is true."""
    counted = np.array([table["answerable"] & each for table, each in zip(asked.tables, among, strict=True)])
    true = np.array([table[column] for table in asked.tables]) & counted
    some = counted.any(axis=0)
    return true.sum(axis=0)[some] / counted.sum(axis=0)[some]


def share(values: np.ndarray) -> str:
    """``86% [80, 91]``; where seeds agree on everything the values are all 0 or 1, and otherwise fractions."""
    return percent(*share_interval(values))


def share_interval(values: np.ndarray) -> Interval:
    """Mean with interval of values from 0 to 1, one a question; fractions that are all the same have no spread to show,
    so theirs is Wilson's for the rounded number of questions."""
    if len(set(values.tolist())) == 1 and values[0] not in (0, 1):
        right = np.zeros(len(values))
        right[: round(values.sum())] = 1
        return interval(right)
    return interval(values)


def difference(found: Mapping, a: tuple[str, str], b: tuple[str, str], which: str = "answerable") -> Interval:
    """Right answers of ``a`` minus those of ``b``, paired over the questions, seeds averaged first."""
    return paired_difference(found[a].per_question("right", which), found[b].per_question("right", which))


def changed(questions: Sequence[KbQuestion]) -> np.ndarray:
    """True for the questions that version 2 answers otherwise than version 1 and that both answer."""
    return np.array([each.kind == "changed in v2" and bool(each.gold["v2"].pages) for each in questions])


def outdated(questions: Sequence[KbQuestion]) -> np.ndarray:
    """True for the questions whose answer in version 1 is none in version 2: another one is, or there is none."""
    gold = [each.gold for each in questions]
    return np.array([bool(each["v1"].pages) and each["v1"].accept != each["v2"].accept for each in gold])


def gives(asked: Asked, questions: Sequence[KbQuestion], version: str) -> np.ndarray:
    """Whether an arm gives the right answer of ``version`` to the ``outdated`` questions, shape (seeds, questions)."""
    marked = outdated(questions)
    return np.array(
        [
            [is_right(text, each, version) for text, each, use in zip(answers, questions, marked, strict=True) if use]
            for answers in asked.answers
        ]
    )


def update_minutes(retrieved: Retrieved, facts: Mapping[str, Any] | None) -> dict[str, float]:
    """Minutes to bring each way of keeping facts from version 1 to version 2: the index, and the weights in two ways
    (minutes of one core, mean over seeds, without choosing settings and without loading). Only what is recorded is
    there."""
    found = {"rows of the search index replaced": retrieved.seconds["update"] / 60}
    for way, told in {"short": "LoRA on facts, short update", "anew": "LoRA on facts, trained anew"}.items():
        runs = [run for run in (facts or {}).get("runs", []) if run["part"] == "update" and run["way"] == way]
        if runs:
            found[told] = float(np.mean([run["train_cpu_seconds"] for run in runs])) / 60
    return found


def _by_seed(record: Mapping[str, Any] | None, part: str) -> list[dict[str, Any]]:
    """A part's runs, seed by seed: several processes may have written them in any order."""
    runs = [run for run in (record or {}).get("runs", []) if run["part"] == part]
    return sorted(runs, key=lambda run: run.get("seed") or 0)


def _asked(
    runs: Sequence[tuple[str, dict]], way: Arm, questions, retrieved: Retrieved, count: Callable[[str], int], room: int
) -> Asked:
    tables = [scored(run, way, questions, retrieved, version, count, room) for version, run in runs]
    per_call = {
        name: float(np.mean([run[name] / len(questions) for _, run in runs]))
        for name in ("prompt_tokens", "new_tokens", "seconds")
    }
    return Asked(
        tables,
        [run["answers"] for _, run in runs],
        per_call["prompt_tokens"],
        per_call["new_tokens"],
        per_call["seconds"],
    )
