"""From a submission to a plan: the student's answers by id, everything else from the pristine notebook."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nbformat import NotebookNode

from finetune_course.grading.submissions import Submission, SubmittedCell
from finetune_course.notebook_build.source import (
    exercise_cells,
    exercise_titles,
    grading,
    hidden_regions,
    visible_lines,
)
from finetune_course.notebook_build.student import student_edition

NOT_THERE = "The answer cell of this exercise is not in the notebook: was it deleted, or lost its id?"
NO_EXERCISE = "It is none of the course's notebooks: no answer cell of any of them is in it."


@dataclass
class Exercise:
    """One exercise of the pristine notebook. ``names``: what its answer defines; ``stub``: its placeholder.

    ``title`` is the task's, empty where it has none.
    """

    id: str
    test_id: str
    points: float
    names: list[str]
    stub: str
    solution: str
    visible: str
    hidden: str
    title: str = ""
    together: bool = False


@dataclass
class Pristine:
    """What grading needs of one notebook: the set-up cells and the exercises, all from the instructor's source."""

    name: str
    setup: list[str] = field(default_factory=list)
    exercises: list[Exercise] = field(default_factory=list)

    @property
    def points(self) -> float:
        """The most points that the notebook gives."""
        return sum(exercise.points for exercise in self.exercises)


def pristine(name: str, source: NotebookNode) -> Pristine:
    """Read a source notebook (with solutions and hidden tests). A test cell belongs to the answer cell before it."""
    cells, stubs = exercise_cells(source), exercise_cells(student_edition(source))
    titles = exercise_titles(cell.source for cell in source.cells if cell.cell_type == "markdown")
    result, answer = Pristine(name), None
    for cell, stub in zip(cells.cells, stubs.cells, strict=True):
        about = grading(cell)
        if about.get("solution"):
            answer = (about["grade_id"], cell.source, stub.source)
        elif about.get("grade") and answer:
            hidden = "\n".join("\n".join(region) for region in hidden_regions(cell))
            names = re.findall(r"^(?:async\s+def|def|class)\s+(\w+)", answer[1], re.MULTILINE)
            result.exercises.append(
                Exercise(
                    answer[0],
                    about["grade_id"],
                    float(about["points"]),
                    names,
                    answer[2],
                    answer[1],
                    "\n".join(visible_lines(cell)),
                    hidden,
                    titles.get(".".join(answer[0].split("-")[1:]), ""),
                )
            )
        elif not about:
            result.setup.append(cell.source)
    return result


@dataclass
class Transplant:
    """A submission's answers (by exercise id; None where there is none) and what was noticed, one sentence each."""

    answers: dict[str, str | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def belongs_to(submission: Submission, notebooks: list[Pristine]) -> Pristine | None:
    """The notebook of which the submission holds most answers; by ids first, then by the functions it defines."""

    def found(notebook: Pristine) -> tuple[int, int]:
        by_id = sum(bool(_by_id(submission.cells, exercise.id)) for exercise in notebook.exercises)
        tests = sum(bool(_by_id(submission.cells, exercise.test_id)) for exercise in notebook.exercises)
        by_name = sum(bool(_by_name(submission.cells, exercise)) for exercise in notebook.exercises)
        return by_id + tests, by_name

    scored = [(found(notebook), notebook) for notebook in notebooks]
    best = max(scored, key=lambda pair: pair[0], default=((0, 0), None))
    return best[1] if any(best[0]) else None


def transplant(submission: Submission, notebook: Pristine) -> Transplant:
    """Take the answers out of a submission. Pieces of one answer (a split cell) are joined in the notebook's order."""
    result = Transplant()
    for exercise in notebook.exercises:
        pieces, how = _by_id(submission.cells, exercise.id), ""
        if not pieces:
            pieces = _by_name(submission.cells, exercise)
            how = f"{exercise.id}: the cell had lost its id and was found by the name it defines." if pieces else ""
        result.answers[exercise.id] = _joined(pieces, exercise)
        if len(pieces) > 1:
            how = f"{exercise.id}: its answer stands in {len(pieces)} cells (split or copied); they were read in order."
        tests = _by_id(submission.cells, exercise.test_id)
        if any(cell.source.strip() != exercise.visible.strip() for cell in tests):
            result.notes.append(f"{exercise.id}: the cell with its check was changed; the original was used.")
        if how:
            result.notes.append(how)
    return result


def defined_elsewhere(submission: Submission, name: str) -> bool:
    """Whether some cell of the submission defines ``name``, for the hint that only answer cells are graded."""
    pattern = re.compile(rf"^(?:def|class)\s+{re.escape(name)}\b|^{re.escape(name)}\s*=", re.MULTILINE)
    return any(cell.kind == "code" and pattern.search(cell.source) for cell in submission.cells)


def _by_id(cells: list[SubmittedCell], wanted: str) -> list[SubmittedCell]:
    """Code cells with this grade id; where metadata was lost, with this cell id."""
    code = [cell for cell in cells if cell.kind == "code"]
    return [cell for cell in code if cell.grade_id == wanted] or [
        cell for cell in code if not cell.grade_id and wanted in cell.ids
    ]


def _by_name(cells: list[SubmittedCell], exercise: Exercise) -> list[SubmittedCell]:
    """Code cells without any grade id that define the exercise's function at their top level."""
    names = "|".join(map(re.escape, exercise.names)) or r"(?!)"
    pattern = re.compile(rf"^(?:async\s+def|def|class)\s+(?:{names})\b", re.MULTILINE)
    return [cell for cell in cells if cell.kind == "code" and not cell.grade_id and pattern.search(cell.source)]


def _joined(pieces: list[SubmittedCell], exercise: Exercise) -> str | None:
    """One text of all pieces; untouched copies of the placeholder do not count where there is anything else."""
    texts = list(dict.fromkeys(piece.source for piece in pieces))
    written = [text for text in texts if text.strip() and text.strip() != exercise.stub.strip()]
    if not texts:
        return None
    return "\n".join(written) if written else texts[0]
