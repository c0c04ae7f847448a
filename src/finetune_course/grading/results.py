"""From verdicts to tables: a row for each submission, a row for each exercise, and the class in figures."""

from __future__ import annotations

import hashlib
import re
import statistics
from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

from finetune_course.grading.checker import MISSING, NOT_DONE, RIGHT, Verdict
from finetune_course.grading.guard import FILES, NETWORK, PROCESSES
from finetune_course.grading.remote import DISTURBED
from finetune_course.grading.submissions import Submission
from finetune_course.grading.transplant import Pristine

HISTOGRAM_BINS = 10
MOST_MESSAGES = 10
FORBIDDEN = (*(sentence.rstrip(".") for sentence in (NETWORK, PROCESSES, FILES)), DISTURBED)
"""What a verdict says of an answer that wanted something it has no business with."""


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
    def page(self) -> str:
        """A name for the feedback page that is safe on every system and different for every submitted file."""
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", self.submission.student).strip("-")[:40] or "student"
        return f"{plain}-{hashlib.sha256(self.submission.file.encode(errors='replace')).hexdigest()[:8]}.html"

    @property
    def percent(self) -> float | None:
        """Points of the most that there are, in per cent to a tenth; None where the file could not be graded."""
        if self.notebook is None:
            return None
        return round(100 * self.points / self.notebook.points, 1) if self.notebook.points else 0.0

    @property
    def points(self) -> float | None:
        """The points; None where the file could not be graded, which is not the same as 0."""
        if self.notebook is None:
            return None
        right = {verdict.exercise for verdict in self.verdicts if verdict.kind == RIGHT}
        return sum(exercise.points for exercise in self.notebook.exercises if exercise.id in right)


def grades(graded: list[Graded]) -> pd.DataFrame:
    """grades.csv: student, file, notebook, points, of, percent, reason, feedback, then the points of each exercise.

    Points stay empty where a file could not be graded. Text that a spreadsheet would take for a formula is quoted.
    """
    rows = []
    for one in graded:
        row = {"student": one.submission.student, "file": one.submission.file, "notebook": "", "reason": one.reason}
        row["feedback"] = f"feedback/{one.page}"
        if one.notebook is not None:
            row |= {"notebook": one.notebook.name, "points": one.points, "of": one.notebook.points}
            row["percent"] = one.percent
            kinds = {verdict.exercise: verdict.kind for verdict in one.verdicts}
            row |= {e.id: e.points if kinds.get(e.id) == RIGHT else 0.0 for e in one.notebook.exercises}
        rows.append({key: _harmless(value) for key, value in row.items()})
    first = ["student", "file", "notebook", "points", "of", "percent", "reason", "feedback"]
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
    """A class in figures. ``rates``: exercise, title, right, tried, graded; ``bins``: share of points → submissions.

    ``median`` is of the submissions' per cent, None where nothing was graded; ``everyone`` all of them by student;
    ``touched`` a submission and an exercise whose answer wanted files, network or processes, or its own grader.
    """

    graded: int
    median: float | None
    everyone: list[Graded]
    not_graded: list[Graded]
    rates: list[dict]
    bins: list[tuple[str, int]]
    messages: list[tuple[str, str, int]]
    same: list[list[str]]
    together: list[str]
    touched: list[tuple[Graded, str]]


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
        titles = {exercise.id: exercise.title for exercise in one.notebook.exercises}
        files.setdefault(one.submission.digest, []).append(one.submission.file)
        share = one.points / one.notebook.points if one.notebook.points else 0.0
        counts[min(int(share * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
        for verdict in one.verdicts:
            row = rates.setdefault(verdict.exercise, {"exercise": verdict.exercise, "title": titles[verdict.exercise]})
            for count in ("right", "tried", "graded"):
                row.setdefault(count, 0)
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
    common = sorted(messages.items(), key=lambda item: (-item[1], _natural(item[0][0]), item[0][1]))[:MOST_MESSAGES]
    return ClassSummary(
        len(done),
        statistics.median(one.percent for one in done) if done else None,
        sorted(graded, key=lambda one: (one.submission.student, one.notebook.name if one.notebook else "")),
        [one for one in graded if one.notebook is None],
        sorted(rates.values(), key=lambda row: _natural(row["exercise"])),
        bins,
        [(exercise, message, count) for (exercise, message), count in common],
        sorted(names for names in files.values() if len(names) > 1),
        sorted(together, key=_natural),
        [
            (one, verdict.exercise)
            for one in done
            for verdict in one.verdicts
            if any(words in verdict.message for words in FORBIDDEN)
        ],
    )


def _natural(name: str) -> list:
    """``ex-3-10`` after ``ex-3-9``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in name.split("-")]


def _harmless(value: object) -> object:
    """Text that begins like a spreadsheet formula gets an apostrophe: a file name is the student's to choose."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value
