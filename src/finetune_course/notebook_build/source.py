"""Read a notebook's source (jupytext percent format) into a notebook with stable ids and minimal metadata."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from finetune_course.notebook_build.bootstrap import insert_bootstrap, is_bootstrap
from finetune_course.publication import PublicationError

NAME = re.compile(r"(\d\d)_[a-z0-9_]+")
KEPT_METADATA = {"tags", "nbgrader"}
_EXERCISE = re.compile(r"^### Exercise (\d{1,2}\.\d{1,2}) — (.+?)\s*$", re.MULTILINE)
REGIONS = ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME")
# No versions here: a saved notebook must not change because another Python executed it.
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


class SourceError(Exception):
    """A source that cannot be built; the message says which file and cell, what is wrong and what to do."""


@dataclass(frozen=True)
class Edition:
    """Where one notebook's source and its two built editions lie under a course root."""

    root: Path
    name: str

    @property
    def source(self) -> Path:
        return self.root / "solutions" / f"{self.name}.py"

    @property
    def solution(self) -> Path:
        return self.root / "solutions" / f"{self.name}.ipynb"

    @property
    def student(self) -> Path:
        return self.root / "notebooks" / f"{self.name}.ipynb"


def editions(root: Path, numbers: Sequence[str] = (), *, student: bool = False) -> list[Edition]:
    """The course's notebooks in order, or those with the given numbers ("6", "06" or "06_the_trl_run").

    ``student``: those of notebooks/, too, for a copy of the course that was handed out without solutions. Raises
    ``SourceError``, naming the numbers there are, for an unknown one.
    """
    files = [*(root / "solutions").glob("*.py"), *((root / "notebooks").glob("*.ipynb") if student else ())]
    names = sorted({path.stem for path in files if NAME.fullmatch(path.stem)})
    if not names and not student and (root / "notebooks").is_dir():
        raise SourceError("This copy of the course has no solutions: run your own notebooks with --student.")
    if not names:
        raise SourceError(f"There is no notebook source NN_name.py in {root.name}/solutions.")
    if not numbers:
        return [Edition(root, name) for name in names]
    chosen = []
    for number in numbers:
        found = [name for name in names if number == name or number.zfill(2) == name[:2]]
        if not found:
            raise SourceError(
                f"There is no notebook {number!r}; there are {', '.join(name[:2] for name in names)}. "
                "Give the number, such as 06."
            )
        chosen += [Edition(root, name) for name in found]
    return chosen


def read_source(path: Path) -> NotebookNode:
    """The source as an unexecuted notebook: ids from the grade id or the cell's text, tags and nbgrader metadata only.

    Raises ``SourceError`` for a file that is not valid percent format, metadata that would be lost, an unbalanced
    region, a solution cell without a region (nbgrader would replace it wholly, silently) or a repeated grade id.
    """
    try:
        notebook = jupytext.read(path, fmt="py:percent")
    except Exception as error:  # jupytext raises many kinds; each means that the file cannot be read as a notebook
        raise SourceError(f"{path.name} cannot be read as a percent-format notebook: {error}") from error
    try:
        insert_bootstrap(notebook, path)
    except PublicationError as error:
        raise SourceError(str(error)) from error
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    repeats: dict[str, int] = {}
    for index, cell in enumerate(notebook.cells):
        where = f"{path.name}, cell {index + 1}"
        cell.metadata.pop("lines_to_next_cell", None)
        lost = sorted(set(cell.metadata) - KEPT_METADATA)
        if lost and not is_bootstrap(cell):
            raise SourceError(f"{where} has metadata {lost}; only tags and nbgrader metadata are kept, so remove it.")
        _check_regions(cell, where)
        cell.id = _stable_id(cell, repeats, where)
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        raise SourceError(f"{path.name} is not a valid notebook: {str(error).splitlines()[0]}") from error
    return notebook


def hidden_regions(cell: NotebookNode) -> Iterator[list[str]]:
    """The lines of each region of a cell that a student must not see (without the BEGIN and END lines)."""
    region: list[str] | None = None
    for line in cell.source.split("\n"):
        if any(f"BEGIN {name}" in line for name in REGIONS):
            region = []
        elif any(f"END {name}" in line for name in REGIONS):
            if region is not None:
                yield region
            region = None
        elif region is not None:
            region.append(line)


def visible_lines(cell: NotebookNode) -> list[str]:
    """The lines of a cell that stand outside every hidden region."""
    lines, hidden = [], False
    for line in cell.source.split("\n"):
        if any(f"BEGIN {name}" in line for name in REGIONS):
            hidden = True
        elif any(f"END {name}" in line for name in REGIONS):
            hidden = False
        elif not hidden:
            lines.append(line)
    return lines


def exercise_titles(texts: Iterable[str]) -> dict[str, str]:
    """The exercises that text cells announce, number ("3.1") → title, in their order."""
    return {number: title for text in texts for number, title in _EXERCISE.findall(text)}


def grading(cell: NotebookNode) -> dict:
    """The cell's nbgrader metadata, empty for an ordinary cell."""
    return cell.metadata.get("nbgrader", {})


def exercise_cells(notebook: NotebookNode) -> NotebookNode:
    """A copy with only what the exercises need: code cells tagged ``exercise-setup``, and the graded cells.

    So exercises can be checked and graded in seconds, without weights or training.
    """
    kept = nbformat.from_dict(notebook)
    kept.cells = [
        cell
        for cell in kept.cells
        if cell.cell_type == "code" and (grading(cell) or "exercise-setup" in cell.metadata.get("tags", []))
    ]
    return kept


def _check_regions(cell: NotebookNode, where: str) -> None:
    open_region = None
    counts = dict.fromkeys(REGIONS, 0)
    for line in cell.source.split("\n"):
        for name in REGIONS:
            if f"BEGIN {name}" in line:
                if open_region:
                    raise SourceError(f"{where}: BEGIN {name} stands inside a {open_region} region; close that first.")
                open_region = name
                counts[name] += 1
            elif f"END {name}" in line:
                if open_region != name:
                    raise SourceError(f"{where}: END {name} has no BEGIN {name} before it.")
                open_region = None
    if open_region:
        raise SourceError(f"{where}: BEGIN {open_region} has no END {open_region} after it.")
    if grading(cell).get("solution") and not counts["SOLUTION"]:
        raise SourceError(
            f"{where} is a solution cell without a BEGIN SOLUTION region; nbgrader would blank it wholly."
        )
    if counts["SOLUTION"] and not grading(cell).get("solution"):
        raise SourceError(f"{where} has a SOLUTION region but no nbgrader metadata that makes it a solution cell.")
    if counts["HIDDEN TESTS"] and not grading(cell).get("grade"):
        raise SourceError(f"{where} has HIDDEN TESTS but no nbgrader metadata that makes it a graded cell.")


def _stable_id(cell: NotebookNode, repeats: dict[str, int], where: str) -> str:
    """The grade id, or a hash of kind and text with a counter for repeats: the same source gives the same ids."""
    grade_id = grading(cell).get("grade_id")
    if grade_id:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", grade_id):
            raise SourceError(
                f"{where}: the grade id {grade_id!r} may hold letters, digits, - and _ only (64 at most)."
            )
        if grade_id in repeats:
            raise SourceError(f"{where}: the grade id {grade_id!r} is used twice; each must be its own.")
        repeats[grade_id] = 1
        return grade_id
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
    repeats[digest] = repeats.get(digest, 0) + 1
    return digest if repeats[digest] == 1 else f"{digest}-{repeats[digest]}"
