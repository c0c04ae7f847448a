"""Execute the notebooks headless, one after another: ``python -m finetune_course.run_notebooks [06 …]``.

Ends with a table: notebook, minutes, peak memory of the kernel and its children, and the key numbers that the notebook
publishes. Nothing is written into solutions/ or notebooks/. ``--small`` is the small-memory profile on one core, under
a cap that kills; ``--student`` runs the learner's own notebooks; ``--json FILE`` saves the measured table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from finetune_course.keynumbers import KeyNumber, collect
from finetune_course.memory import MemoryWatch
from finetune_course.notebook_build.execute import (
    ONE_THREAD,
    CellProgress,
    Execution,
    cell_name,
    execute,
    headless_environment,
)
from finetune_course.notebook_build.source import Edition, SourceError, editions, read_source
from finetune_course.paths import course_root

GB = 1_000_000_000
SMALL_CAP = 1_800_000_000
"""Bytes. Binder gives 2 GB, and JupyterLab's server needs about 0.12 GB beside the kernel."""


@dataclass
class Measured:
    """One row of the table. ``failure`` is empty when all cells ran, otherwise one sentence: where it stopped, why."""

    notebook: str
    minutes: float
    peak_gb: float
    key_numbers: list[KeyNumber] = field(default_factory=list)
    failure: str = ""


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """The command. ``root`` stands in for the course's folder in tests. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m finetune_course.run_notebooks", description=__doc__)
    parser.add_argument("numbers", nargs="*", metavar="NN", help="notebooks by number, such as 06; all by default")
    parser.add_argument("--student", action="store_true", help="run notebooks/ instead of solutions/")
    parser.add_argument("--small", action="store_true", help="small profile, one core, killed above the cap")
    parser.add_argument("--cap-gb", type=float, metavar="GB", help="kill a kernel above this (1.8 with --small)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the measured table here")
    options = parser.parse_args(arguments)
    cap = round(options.cap_gb * GB) if options.cap_gb else SMALL_CAP if options.small else None
    environment = headless_environment({"COURSE_PROFILE": "small", **ONE_THREAD} if options.small else None)
    terminal = sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=not terminal, width=None if terminal else 120)
    measured: list[Measured] = []
    try:
        found = editions(root or course_root(), options.numbers, student=options.student)
        chosen = [(edition, _read(edition, options.student)) for edition in found]
        with _one_core() if options.small else contextlib.nullcontext():
            for edition, notebook in chosen:
                measured.append(_run(edition, notebook, environment, cap, options.student, console))
    except (SourceError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The rows below are the notebooks that were finished.", file=sys.stderr)
        _show(measured, console)
        return 130
    _show(measured, console)
    if options.json:
        _save(measured, options.json, "student" if options.student else "solution", options.small, cap)
    return 1 if any(row.failure for row in measured) else 0


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """What is started meanwhile has one core, however many threads it makes (on Linux; elsewhere one thread)."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _read(edition: Edition, student: bool) -> NotebookNode:
    """The notebook to run: the learner's file as it is now, or the solution straight from its source."""
    if not student:
        return read_source(edition.source)
    try:
        return nbformat.read(edition.student, as_version=4)
    except FileNotFoundError:
        raise SourceError(
            f"notebooks/{edition.student.name} does not exist; make it with "
            f"'python -m finetune_course.build_notebooks {edition.name[:2]} --no-execute'."
        ) from None
    except Exception as error:  # nbformat raises several kinds for text that is no notebook
        raise SourceError(f"notebooks/{edition.student.name} is not a readable notebook: {error}") from error


def _run(
    edition: Edition, notebook: NotebookNode, environment: dict, cap: int | None, student: bool, console: Console
) -> Measured:
    folder = (edition.student if student else edition.solution).parent
    watches: list[MemoryWatch] = []
    with _CellBar(edition.name, console) as bar:
        result = execute(
            notebook,
            folder,
            environment,
            on_cell=bar.cell,
            on_kernel=lambda pid: watches.append(MemoryWatch(pid, cap).start()),
        )
    peak = max((watch.stop() for watch in watches), default=0)
    outputs = [output for cell in result.notebook.cells for output in cell.get("outputs", [])]
    failure = ""
    if result.failure:
        killed = any(watch.killed for watch in watches)
        reason = f"killed above the cap of {cap / GB:.2g} GB" if killed else result.failure
        # A check's own exceptions are whole sentences already.
        reason = reason.removeprefix("NotDoneYet: ").removeprefix("WrongAnswer: ")
        failure = f"{edition.name} stopped at {_place(result)}: {reason}"
        console.print(failure, style="red")
    return Measured(edition.name, result.seconds / 60, peak / GB, collect(outputs), failure)


def _place(result: Execution) -> str:
    return "its start" if result.failed_cell is None else cell_name(result.notebook, result.failed_cell)


class _CellBar:
    """Progress over a notebook's cells: a bar in a terminal, a line a cell elsewhere (a log keeps every line)."""

    def __init__(self, name: str, console: Console) -> None:
        self.name, self.console, self.start = name, console, time.perf_counter()
        self.bar = self.task = None

    def __enter__(self) -> _CellBar:
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self.bar = Progress(*columns, console=self.console)
            self.task = self.bar.add_task(self.name, total=None)
            self.bar.start()
        return self

    def cell(self, progress: CellProgress) -> None:
        if self.bar:
            self.bar.update(self.task, total=progress.code_cells, completed=progress.code_cell - 1)
        else:
            seconds = time.perf_counter() - self.start
            print(f"{self.name}: cell {progress.code_cell} of {progress.code_cells}, {seconds:.0f} s", flush=True)

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self.bar:
            total = self.bar.tasks[0].total
            if kind is None and total:
                self.bar.update(self.task, completed=total)
            self.bar.stop()


def _show(measured: list[Measured], console: Console) -> None:
    table = Table(title="What the notebooks took and found")
    for heading, where in (("notebook", "left"), ("minutes", "right"), ("peak GB", "right"), ("key numbers", "left")):
        table.add_column(heading, justify=where, overflow="fold")
    for row in measured:
        lines = [str(number) for number in row.key_numbers] + ([f"failed: {row.failure}"] if row.failure else [])
        table.add_row(row.notebook, f"{row.minutes:.1f}", f"{row.peak_gb:.2f}", "\n".join(lines))
    table.add_section()
    total, peak = sum(row.minutes for row in measured), max((row.peak_gb for row in measured), default=0)
    table.add_row("together", f"{total:.1f}", f"{peak:.2f}", "")
    console.print(table)


def _save(measured: list[Measured], path: Path, edition: str, small: bool, cap: int | None) -> None:
    """The table as JSON, with what a reader needs to compare it: edition, profile, cores, system."""
    table = {
        "edition": edition,
        "profile": "small" if small else os.environ.get("COURSE_PROFILE", "default"),
        "cap_gb": None if cap is None else cap / GB,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "notebooks": [asdict(row) for row in measured],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
