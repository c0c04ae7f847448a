"""Time the grading of a class: copies of one notebook's solution, every third with one answer missing.

    python benchmarks/measure_grading.py [--notebook 06] [--submissions 30] [--jobs 2]

Every copy differs by a comment, so that each is graded. Prints the seconds of the whole command (the course's own
solution, which is graded first, included) and writes them, with the cores it had and
whether bubblewrap was used, to benchmarks/results/grading.json.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from datetime import date
from pathlib import Path

import pandas as pd

from finetune_course.grading import command
from finetune_course.grading.sandbox import find_sandbox
from finetune_course.notebook_build.source import editions, grading, read_source
from finetune_course.notebook_build.student import as_text, student_edition
from finetune_course.paths import course_root


def main() -> None:
    """Make the class, grade it, write what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--notebook", default="06", help="its number (06)")
    parser.add_argument("--submissions", type=int, default=30, help="how many (30)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (2)")
    options = parser.parse_args()
    (edition,) = editions(course_root(), [options.notebook])
    with tempfile.TemporaryDirectory() as folder:
        handed_in, out = Path(folder) / "submissions", Path(folder) / "out"
        handed_in.mkdir()
        for number in range(options.submissions):
            (handed_in / f"student-{number:02d}.ipynb").write_text(submission(edition, number), encoding="utf-8")
        start = time.perf_counter()
        words = ["grade", str(handed_in), "--out", str(out), "--jobs", str(options.jobs)]
        code = command.main(words)
        seconds = time.perf_counter() - start
        if code:
            raise SystemExit(code)
        table = pd.read_csv(out / "grades.csv")
    full = int((table["percent"] == 100).sum())
    result = {
        "notebook": edition.name,
        "submissions": options.submissions,
        "with full marks": full,
        "jobs": options.jobs,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "sandbox": find_sandbox().works,
        "seconds": round(seconds, 1),
        "date": date.today().isoformat(),
    }
    target = course_root() / "benchmarks" / "results" / "grading.json"
    target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


def submission(edition, number: int) -> str:
    """The student edition with the solution's answers; every third has a placeholder in its first exercise."""
    source = read_source(edition.source)
    answers = {grading(cell)["grade_id"]: cell.source for cell in source.cells if grading(cell).get("solution")}
    student = student_edition(source)
    wrong = number % 3 == 2
    for cell in student.cells:
        name = grading(cell).get("grade_id")
        if name in answers and not wrong:
            cell.source = f"{answers[name]}\n# copy {number}"
        wrong = wrong and name not in answers  # the first answer cell keeps its placeholder
    return as_text(student)


if __name__ == "__main__":
    main()
