"""Stock nbgrader on the same source: released, handed in three times, graded and fed back with the expected scores."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig

import pandas as pd
import pytest
import tiny_grading as tiny

from finetune_course.checking import STUB
from finetune_course.notebook_build.source import exercise_cells, read_source
from finetune_course.notebook_build.student import as_text

pytestmark = pytest.mark.slow


def nbgrader(folder, *words):
    """Run one command of nbgrader's in ``folder``, which must succeed."""
    # nbgrader calls alembic by its bare name.
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stderr
    return done


def test_nbgrader_releases_grades_and_feeds_back(tmp_path):
    assignment = tmp_path / "source" / "ps1"
    assignment.mkdir(parents=True)
    # The cells that grading needs; the fixture's training cell would stop nbgrader, which runs every cell.
    source = exercise_cells(read_source(tiny.SOURCE))
    (assignment / "91_grading.ipynb").write_text(as_text(source), encoding="utf-8")
    stub = f"c.ClearSolutions.code_stub = {{'python': {STUB!r}}}"
    (tmp_path / "nbgrader_config.py").write_text(f"c = get_config()\nc.CourseDirectory.course_id = 'c'\n{stub}\n")
    nbgrader(tmp_path, "generate_assignment", "ps1")
    released = (tmp_path / "release" / "ps1" / "91_grading.ipynb").read_text("utf-8")
    assert "HIDDEN" not in released and "SOLUTION" not in released
    wrong = "def share_of_hits(rows):\n    return 0.5\n"  # passes what is visible, not what is hidden
    for student, answers in {
        "right": {},
        "half": {"share": wrong},
        "wrong": {"share": wrong, "longest": "longest = max\n", "tally": None},
    }.items():
        edition = exercise_cells(tiny.notebook(**answers))
        folder = tmp_path / "submitted" / student / "ps1"
        folder.mkdir(parents=True)
        (folder / "91_grading.ipynb").write_bytes(tiny.text(edition))
    nbgrader(tmp_path, "autograde", "ps1")
    nbgrader(tmp_path, "generate_feedback", "ps1")
    nbgrader(tmp_path, "export", "--to", "grades.csv")
    table = pd.read_csv(tmp_path / "grades.csv").set_index("student_id")
    assert table["raw_score"].to_dict() == {"right": 6.0, "half": 4.0, "wrong": 0.0}
    assert set(table["max_score"]) == {tiny.FULL}
    for student in table.index:
        page = (tmp_path / "feedback" / student / "ps1" / "91_grading.html").read_text("utf-8")
        assert "91_grading" in page and "Score" in page
    # The course's own grader reads nbgrader's tree and finds the same.
    code, printed = tiny.grade(tiny.course(tmp_path / "course"), tmp_path / "submitted", tmp_path / "out")
    assert code == 0, printed
    points = {row["student"]: row["points"] for row in tiny.rows(tmp_path / "out").values()}
    assert points == table["raw_score"].to_dict()
