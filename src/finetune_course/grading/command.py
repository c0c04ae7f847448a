"""The command line: ``grade`` a folder of submissions, or ``release`` the student edition as a zip."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from finetune_course.grading import report, results
from finetune_course.grading.checker import Verdict
from finetune_course.grading.limits import Limits
from finetune_course.grading.release import instructors, release
from finetune_course.grading.results import Graded
from finetune_course.grading.runner import Grader, NotGradable
from finetune_course.grading.sandbox import find_sandbox
from finetune_course.grading.store import Store, grader_version, write_whole
from finetune_course.grading.submissions import Submission, read_submissions
from finetune_course.grading.transplant import (
    NO_EXERCISE,
    Pristine,
    belongs_to,
    defined_elsewhere,
    pristine,
    transplant,
)
from finetune_course.grading.variants import MARK, Variant, source_of, stranger
from finetune_course.notebook_build.source import SourceError, editions
from finetune_course.paths import course_root


def main(arguments: Sequence[str] | None = None, root: Path | None = None, limits: Limits | None = None) -> int:
    """The command. ``root`` stands in for the course's folder, ``limits`` for the defaults (tests). The exit code."""
    options = _parser(limits or Limits()).parse_args(arguments)
    try:
        root = root or course_root()
        if options.command == "release":
            return _release(root, options.out, options.variant)
        return _grade(root, options, limits or Limits())
    except (SourceError, FileNotFoundError, FileExistsError, NotADirectoryError, NotGradable) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. Start the same command again to go on where it was.", file=sys.stderr)
        return 130


def _parser(limits: Limits) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m finetune_course.grading", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    grade = commands.add_parser("grade", help="grade submitted notebooks")
    grade.add_argument("submissions", type=Path, help="folder of notebooks, or of students' folders or zips")
    grade.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for grades.csv and feedback")
    grade.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="submissions at a time (default: cores)")
    grade.add_argument("--seconds", type=float, default=limits.seconds, help="computing time of one exercise")
    grade.add_argument("--memory-gb", type=float, default=limits.memory / 1e9, help="memory of one submission")
    alone = grade.add_mutually_exclusive_group()
    alone.add_argument("--require-sandbox", action="store_true", help="grade nothing without a working bubblewrap")
    alone.add_argument("--no-sandbox", action="store_true", help="do not use bubblewrap")
    give = commands.add_parser("release", help="make a zip of the student edition")
    give.add_argument("--out", type=Path, required=True, metavar="FILE.zip", help="the zip to write")
    for command, words in ((give, "change numbers and names in"), (grade, "grade the variant that release made of")):
        command.add_argument("--variant", metavar="SEED", help=f"{words} every exercise")
    return parser


def _release(root: Path, out: Path, seed: str | None) -> int:
    variant = None if seed is None else Variant(seed)
    names = release(root, out, variant)
    print(f"{out.name}: {len(names)} files, {out.stat().st_size / 1e6:.1f} MB, without solutions and hidden tests.")
    if variant:
        print(f"{instructors(out).name}: solutions, hidden tests and the changes of this variant; not for students.")
        print(f"It is the {variant.mark}. Grade it with the same --variant, and from the same state of the course.")
    return 0


def _grade(root: Path, options: argparse.Namespace, limits: Limits) -> int:
    variant = None if options.variant is None else Variant(options.variant)
    limits = Limits(**asdict(limits) | {"seconds": options.seconds, "memory": round(options.memory_gb * 1e9)})
    terminal = sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=not terminal, width=None if terminal else 120)
    sandbox = find_sandbox(not options.no_sandbox)
    print(sandbox.note)
    if options.require_sandbox and not sandbox.works:
        print("Nothing was graded: --require-sandbox was given.", file=sys.stderr)
        return 1
    submissions = read_submissions(options.submissions, limits)
    _refuse_mixing(options.submissions, options.out)
    if variant:
        print(f"Graded is the variant {variant.mark.removeprefix(MARK).strip()}; what belongs to another is refused.")
    course = {edition.name: edition for edition in editions(root)}
    notebooks = [pristine(name, source_of(edition, None)) for name, edition in course.items()]
    grader, store = Grader(limits, sandbox), Store(options.out / "results", limits, grader_version())
    assigned = [_assign(submission, notebooks, variant) for submission in submissions]
    handed_in = sorted({notebook.name for _, notebook in assigned if notebook})
    ready = {name: _calibrated(pristine(name, source_of(course[name], variant)), grader, store) for name in handed_in}
    with ThreadPoolExecutor(max(1, options.jobs)) as pool, _Progress(console, len(assigned)) as progress:
        waiting = {}
        for at, (submission, notebook) in enumerate(assigned):
            notebook = notebook and ready[notebook.name]
            waiting[pool.submit(_graded, submission, notebook, grader, store)] = at
        graded: list[Graded] = [None] * len(assigned)
        try:
            for future in as_completed(waiting):
                graded[waiting[future]] = future.result()
                progress.step()
        except BaseException:
            grader.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _write(graded, options.out, sandbox.note)
    not_graded = sum(one.notebook is None for one in graded)
    print(f"{len(graded) - not_graded} graded, {not_graded} not graded; see grades.csv and summary.html there.")
    return 0


def _refuse_mixing(submissions: Path, out: Path) -> None:
    """Results inside the submissions would be read as submissions the next time."""
    if submissions.resolve() in (out.resolve(), *out.resolve().parents):
        raise FileExistsError("Choose an --out folder outside of the submissions.")
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"--out {out.name} is a file: give a folder.")


def _assign(
    submission: Submission, notebooks: list[Pristine], variant: Variant | None
) -> tuple[Submission, Pristine | None]:
    """The submission and its notebook; None, and a reason, for another variant's or for none of the course."""
    notebook = None if submission.reason else belongs_to(submission, notebooks)
    if notebook is None and not submission.reason:
        submission.reason = NO_EXERCISE
    if notebook and (reason := stranger((cell.source for cell in submission.cells), variant)):
        submission.reason, notebook = reason, None
    return submission, notebook


def _calibrated(notebook: Pristine, grader: Grader, store: Store) -> Pristine:
    """The notebook with its exercises marked as graded apart or together; remembered from one run to the next."""
    key = "solution-" + store.key(f"the solution, {grader.sandbox.works}", notebook)
    saved = store.get(key)
    if saved is None:
        print(f"{notebook.name}: grading the course's own solution first …")
        calibrated = grader.calibrated(notebook)
        store.put(key, [{"exercise": exercise.id, "together": exercise.together} for exercise in calibrated.exercises])
        return calibrated
    marks = {row["exercise"]: row["together"] for row in saved}
    for exercise in notebook.exercises:
        exercise.together = marks[exercise.id]
    return notebook


def _graded(submission: Submission, notebook: Pristine | None, grader: Grader, store: Store) -> Graded:
    """Grade one submission, or take what an earlier run has found."""
    if notebook is None:
        return Graded(submission, reason=submission.reason)
    taken = transplant(submission, notebook)
    key = store.key(submission.digest, notebook)
    saved = store.get(key)
    if saved is None:
        saved = [asdict(verdict) for verdict in grader.grade(notebook, taken.answers)]
        store.put(key, saved)
    verdicts = [Verdict(**verdict) for verdict in saved]
    return Graded(submission, notebook, verdicts, taken.answers, taken.notes + _helpers(submission, verdicts))


def _helpers(submission: Submission, verdicts: list[Verdict]) -> list[str]:
    """A hint for each name that an answer misses and another cell of the notebook defines."""
    missing = [(v.exercise, found[1]) for v in verdicts if (found := re.search(r"name `(\w+)`", v.message))]
    return [
        f"{exercise}: `{name}` is defined in another cell, and only answer cells are graded: move it into the answer."
        for exercise, name in missing
        if defined_elsewhere(submission, name)
    ]


def _write(graded: list[Graded], out: Path, note: str) -> None:
    """All tables and pages, each written whole."""
    for name, table in (("grades.csv", results.grades(graded)), ("exercises.csv", results.by_exercise(graded))):
        write_whole(out / name, table.to_csv(index=False, lineterminator="\n"))
    for one in graded:
        write_whole(out / "feedback" / one.page, report.feedback(one))
    write_whole(out / "summary.html", report.class_page(results.summary(graded), note))


class _Progress:
    """A bar in a terminal; elsewhere a line for every tenth submission."""

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total, self.done, self.bar = console, total, 0, None

    def __enter__(self) -> _Progress:
        if self.console.is_terminal:
            columns = (TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self.bar = Progress(*columns, console=self.console)
            self.task = self.bar.add_task("grading", total=self.total)
            self.bar.start()
        return self

    def step(self) -> None:
        """One more submission is done."""
        self.done += 1
        if self.bar:
            self.bar.advance(self.task)
        elif self.done % 10 == 0 or self.done == self.total:
            self.console.print(f"{self.done} of {self.total} submissions")

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()
