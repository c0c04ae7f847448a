"""A course of one small notebook with three exercises, submissions to it, and how they are graded in a second each."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import nbformat
import pandas as pd

from finetune_course.grading import command
from finetune_course.grading.limits import Limits
from finetune_course.notebook_build.source import grading, read_source
from finetune_course.notebook_build.student import student_edition

FOLDER = Path(__file__).parent / "fixtures" / "grading"
SOURCE = FOLDER / "solutions" / "91_grading.py"
SHARE = 'def share_of_hits(rows):\n    """Share of rows that are 1."""\n    return sum(rows) / len(rows)\n'
LONGEST = """def longest(words):
    best = words[0]
    for word in words[1:]:
        if len(word) > len(best):
            best = word
    return best
"""
TALLY = """class Tally:
    def __init__(self):
        self.total = 0

    def add(self, number):
        self.total = self.total + number
"""
FULL = 6.0
SHARE_POINTS, LONGEST_POINTS, TALLY_POINTS = 2.0, 3.0, 1.0
LIMITS = Limits(
    seconds=1.0,
    wall=60.0,
    memory=400_000_000,
    output=2_000_000,
    processes=12,
    file=2_000_000,
    disk=5_000_000,
    reply=2_000_000,
    notebook=1_000_000,
)


def notebook(share=SHARE, longest=LONGEST, tally=TALLY):
    """The student edition with these answers in it (None: the placeholder stays)."""
    edition = student_edition(read_source(SOURCE))
    answers = {"ex-91-1": share, "ex-91-2": longest, "ex-91-3": tally}
    for cell in edition.cells:
        if answers.get(grading(cell).get("grade_id")) is not None:
            cell.source = answers[grading(cell)["grade_id"]]
    return edition


def text(edition):
    """The bytes of a notebook file."""
    return (nbformat.writes(edition, version=nbformat.NO_CONVERT) + "\n").encode()


def course(folder):
    """A course folder that holds nothing but the one source."""
    shutil.copytree(FOLDER / "solutions", folder / "solutions")
    return folder


def grade(root, submissions, out, *words, limits=LIMITS):
    """Run the command; (exit code, what it printed on both streams)."""
    printed, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
        code = command.main(["grade", str(submissions), "--out", str(out), *words], root, limits)
    return code, printed.getvalue() + told.getvalue()


def rows(out):
    """grades.csv as a dictionary by file name."""
    table = pd.read_csv(out / "grades.csv", keep_default_na=False)
    return {row["file"]: row for row in table.to_dict("records")}


def verdicts(out):
    """exercises.csv as a dictionary: (file, exercise) → (verdict, message)."""
    table = pd.read_csv(out / "exercises.csv", keep_default_na=False)
    return {(row["file"], row["exercise"]): (row["verdict"], row["message"]) for row in table.to_dict("records")}


def saved(out):
    """The stored results: name → (when written, contents)."""
    files = (out / "results").glob("[0-9a-f]*.json")
    return {path.name: (path.stat().st_mtime_ns, json.loads(path.read_text("utf-8"))) for path in files}
