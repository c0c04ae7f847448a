"""From verdicts to tables: a row for each submission, a row for each exercise, and the class in figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

from finetune_course.grading.checker import MISSING, NOT_DONE, RIGHT, Verdict
from finetune_course.grading.submissions import Submission
from finetune_course.grading.transplant import Pristine

HISTOGRAM_BINS = 10
MOST_MESSAGES = 10


@dataclass
class Graded:
    """One submission with what became of it. ``notebook`` is None, and ``reason`` set, where it could not be graded."""

    submission: Submission
    notebook: Pristine | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    answers: dict[str, str | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reason: str = ""

    @property
    def points(self) -> float | None:
        """The points; None where the file could not be graded, which is not the same as 0."""
        if self.notebook is None:
            return None
        right = {verdict.exercise for verdict in self.verdicts if verdict.kind == RIGHT}
        return sum(exercise.points for exercise in self.notebook.exercises if exercise.id in right)


def grades(graded: list[Graded]) -> pd.DataFrame:
    """grades.csv: student, file, notebook, points, of, percent, reason, then the points of each exercise by its id.

    Points stay empty where a file could not be graded. Text that a spreadsheet would take for a formula is quoted.
    """
    rows = []
    for one in graded:
        row = {"student": one.submission.student, "file": one.submission.file, "notebook": "", "reason": one.reason}
        if one.notebook is not None:
            of = one.notebook.points
            row |= {"notebook": one.notebook.name, "points": one.points, "of": of}
            row["percent"] = round(100 * one.points / of, 1) if of else 0.0
            kinds = {verdict.exercise: verdict.kind for verdict in one.verdicts}
            row |= {e.id: e.points if kinds.get(e.id) == RIGHT else 0.0 for e in one.notebook.exercises}
        rows.append({key: _harmless(value) for key, value in row.items()})
    first = ["student", "file", "notebook", "points", "of", "percent", "reason"]
    table = pd.DataFrame(rows).reindex(columns=[*first, *sorted({key for row in rows for key in row} - {*first})])
    return table


def by_exercise(graded: list[Graded]) -> pd.DataFrame:
    """A row for each submission and exercise: student, file, exercise, verdict (one of five words) and its sentence."""
    rows = [
        {"student": one.submission.student, "file": one.submission.file, "exercise": verdict.exercise}
        | {"verdict": verdict.kind, "message": verdict.message}
        for one in graded
        for verdict in one.verdicts
    ]
    columns = ["student", "file", "exercise", "verdict", "message"]
    return pd.DataFrame([{key: _harmless(value) for key, value in row.items()} for row in rows], columns=columns)


@dataclass
class ClassSummary:
    """A class in figures. ``rates``: exercise, right, tried, graded; ``bins``: share of points → submissions."""

    graded: int
    not_graded: list[Graded]
    rates: list[dict]
    bins: list[tuple[str, int]]
    messages: list[tuple[str, str, int]]
    same: list[list[str]]
    together: list[str]


def summary(graded: list[Graded]) -> ClassSummary:
    """Pass rate of each exercise, histogram of points, the most frequent sentences, and identical files."""
    done = [one for one in graded if one.notebook is not None]
    rates: dict[str, dict] = {}
    messages: Counter[tuple[str, str]] = Counter()
    files: dict[str, list[str]] = {}
    counts = [0] * HISTOGRAM_BINS
    together = set()
    for one in done:
        together |= {exercise.id for exercise in one.notebook.exercises if exercise.together}
        files.setdefault(one.submission.digest, []).append(one.submission.file)
        share = one.points / one.notebook.points if one.notebook.points else 0.0
        counts[min(int(share * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
        for verdict in one.verdicts:
            row = rates.setdefault(
                verdict.exercise, {"exercise": verdict.exercise, "right": 0, "tried": 0, "graded": 0}
            )
            row["graded"] += 1
            row["right"] += verdict.kind == RIGHT
            row["tried"] += verdict.kind not in (NOT_DONE, MISSING)
            if verdict.kind != RIGHT:
                messages[verdict.exercise, verdict.message] += 1
    width = 100 // HISTOGRAM_BINS
    bins = [
        (f"{at * width} to {'100' if at == HISTOGRAM_BINS - 1 else f'under {(at + 1) * width}'} %", count)
        for at, count in enumerate(counts)
    ]
    common = sorted(messages.items(), key=lambda item: (-item[1], item[0]))[:MOST_MESSAGES]
    return ClassSummary(
        len(done),
        [one for one in graded if one.notebook is None],
        sorted(rates.values(), key=lambda row: _natural(row["exercise"])),
        bins,
        [(exercise, message, count) for (exercise, message), count in common],
        sorted(names for names in files.values() if len(names) > 1),
        sorted(together, key=_natural),
    )


def _natural(name: str) -> list:
    """``ex-3-10`` after ``ex-3-9``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in name.split("-")]


def _harmless(value: object) -> object:
    """Text that begins like a spreadsheet formula gets an apostrophe: a file name is the student's to choose."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value
