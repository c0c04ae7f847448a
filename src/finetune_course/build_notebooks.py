"""Build both editions of every notebook from its one source: ``python -m finetune_course.build_notebooks [06 …]``.

``solutions/NN_name.py`` gives ``solutions/NN_name.ipynb``, executed in a real kernel, and ``notebooks/NN_name.ipynb``,
the student edition. ``--no-execute`` refreshes texts and the student edition and keeps stored outputs where no code
cell has changed. ``--check`` executes nothing and proves that all is current; it exits with 1 when something is not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from finetune_course.notebook_build import freshness
from finetune_course.notebook_build.bootstrap import is_bootstrap, run_alone
from finetune_course.notebook_build.execute import (
    CellProgress,
    cell_name,
    execute,
    headless_environment,
    warm_font_cache,
)
from finetune_course.notebook_build.outputs import drop_widget_views, output_problems
from finetune_course.notebook_build.source import Edition, SourceError, editions, grading, read_source, visible_lines
from finetune_course.notebook_build.student import as_text, student_edition
from finetune_course.paths import course_root
from finetune_course.publication import PublicationError

CHOICES_OF_A_READER = ("COURSE_MODEL", "COURSE_PROFILE")
"""Variables that change a notebook's numbers; a build forgets them, so that what is saved is the default course."""


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """The command. ``root`` stands in for the course's folder in tests. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m finetune_course.build_notebooks", description=__doc__)
    parser.add_argument("numbers", nargs="*", metavar="NN", help="notebooks by number, such as 06; all by default")
    parser.add_argument("--check", action="store_true", help="execute nothing; exit with 1 when anything is stale")
    parser.add_argument(
        "--no-execute",
        action="store_true",
        help="keep stored outputs where no code cell has changed, but for hidden tests",
    )
    options = parser.parse_args(arguments)
    try:
        root = root or course_root()
        chosen = editions(root, options.numbers)
        if options.check:
            return _check(root, chosen)
        if not options.no_execute:
            warm_font_cache()
        # Every source is built even after one failed: an author mends all of them in one go.
        return max(_build(edition, run=not options.no_execute) for edition in chosen)
    except (SourceError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the notebook that was running is as it was before.", file=sys.stderr)
        return 130


def executed_solution(edition: Edition, source: NotebookNode, report=lambda progress: None) -> NotebookNode:
    """``source`` with the outputs of a run in a fresh kernel. Raises ``SourceError`` for a failing cell or an output
    that may not be saved."""
    with tempfile.TemporaryDirectory() as folder:
        result = execute(
            source,
            edition.source.parent,
            headless_environment({"FINETUNE_COURSE_OWN_MODELS": folder}, forget=CHOICES_OF_A_READER),
            on_cell=report,
            record=(Path(folder) / "reads.txt", edition.root),
        )
    if result.failure:
        where = cell_name(source, result.failed_cell) if result.failed_cell is not None else "its start"
        raise SourceError(f"{edition.name} stopped at {where}: {result.failure}")
    executed = result.notebook
    if dropped := drop_widget_views(executed):
        print(f"{edition.name}: {dropped} live widget view(s) left out of the saved outputs")
    if found := output_problems(executed):
        raise SourceError("\n".join(f"{edition.name}, {problem}." for problem in found))
    executed.metadata = nbformat.from_dict(source.metadata)
    executed.metadata["finetune_course"] = {"data": freshness.data_hashes(edition.root, result.read_data)}
    return executed


def with_stored_outputs(source: NotebookNode, stored: NotebookNode) -> NotebookNode | None:
    """``source`` with the outputs of an earlier run, or None when any code cell differs from what was run.

    Two things may differ. Hidden tests print nothing, and the tests run every exercise with its solution. The generated
    cell for Colab and Kaggle does nothing elsewhere: where it is new or has another address or tag, it alone is run.
    """
    now = nbformat.from_dict(source)
    code, ran = ([cell for cell in notebook.cells if cell.cell_type == "code"] for notebook in (now, stored))
    generated, before = ([cell for cell in cells if is_bootstrap(cell)] for cells in (code, ran))
    changed = [cell.source for cell in generated] != [cell.source for cell in before]
    kept, olds = ([cell for cell in cells if not (changed and is_bootstrap(cell))] for cells in (code, ran))
    if [_shown(cell) for cell in kept] != [_shown(cell) for cell in olds]:
        return None
    for cell, old in zip(kept, olds, strict=True):
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    if changed:
        for cell in generated:
            cell.outputs = run_alone(cell)
        _count_anew(code, len(generated) - len(before))
    if "finetune_course" in stored.metadata:
        now.metadata["finetune_course"] = stored.metadata["finetune_course"]
    return now


def _shown(cell: NotebookNode) -> list[str]:
    """A code cell's lines as far as they can print: a graded cell's without its hidden tests."""
    return visible_lines(cell) if grading(cell).get("grade") else cell.source.split("\n")


def _count_anew(code: list[NotebookNode], more: int) -> None:
    """Execution counts after the generated cell came, went or changed: it takes its place, the others move by it."""
    for place, cell in enumerate(code, 1):
        if is_bootstrap(cell):
            cell.execution_count = place
        elif cell.execution_count is not None:
            cell.execution_count += more
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = cell.execution_count


def _build(edition: Edition, run: bool) -> int:
    """Build one notebook's two editions and say what was written. Nothing is written for an edition that fails."""
    try:
        source = read_source(edition.source)
        _write(edition.student, as_text(student_edition(source)))
        print(f"notebooks/{edition.student.name} written")
        if run:
            solution = executed_solution(edition, source, _reporter(edition.name))
        elif edition.solution.exists():
            solution = with_stored_outputs(source, nbformat.read(edition.solution, as_version=nbformat.NO_CONVERT))
        else:
            solution = None
    except (SourceError, PublicationError) as error:
        print(error, file=sys.stderr)
        return 1
    if solution is None:
        print(f"solutions/{edition.solution.name} is stale: run {freshness.COMMAND} {edition.name[:2]} to execute it")
        return 0
    _write(edition.solution, as_text(solution))
    print(f"solutions/{edition.solution.name} written")
    return 0


def _check(root: Path, chosen: list[Edition]) -> int:
    found = [problem for edition in chosen for problem in freshness.problems(edition)]
    found += freshness.leaks(root) + freshness.orphans(root)
    for problem in found:
        print(problem)
    if not found:
        print(f"{len(chosen)} notebooks: solutions and student editions are current, and nothing hidden is shown")
    return 1 if found else 0


def _reporter(name: str):
    def report(progress: CellProgress) -> None:
        end = "\n" if not sys.stdout.isatty() or progress.code_cell == progress.code_cells else "\r"
        print(f"{name}: cell {progress.code_cell} of {progress.code_cells}", end=end, flush=True)

    return report if sys.stdout.isatty() else lambda progress: None


def _write(path: Path, text: str) -> None:
    """Write under another name and rename, so that a kill leaves the old file or the new one, never half of one."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)


if __name__ == "__main__":
    sys.exit(main())
