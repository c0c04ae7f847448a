"""The student edition: nbgrader's own preprocessors, used as a library, without its database."""

from __future__ import annotations

import copy
import logging

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)

from finetune_course.checking import STUB
from finetune_course.notebook_build.source import SourceError


def student_edition(notebook: NotebookNode) -> NotebookNode:
    """The notebook as a learner gets it: stubs, no hidden tests, no outputs, nbgrader's locks and checksums.

    The order gives the same cells as ``nbgrader generate_assignment`` (a test compares the two). Raises
    ``SourceError`` with nbgrader's reason where it refuses the notebook.
    """
    student, resources = copy.deepcopy(notebook), {}
    # The executed edition's record of what it read says nothing about an edition without outputs.
    student.metadata.pop("finetune_course", None)
    steps = [
        CheckCellMetadata(),
        LockCells(),
        ClearSolutions(code_stub={"python": STUB}),
        ClearOutput(),
        CheckCellMetadata(),
        ClearHiddenTests(),
        ClearMarkScheme(),
        ComputeChecksums(),
        CheckCellMetadata(),
    ]
    for step in steps:
        step.log = logging.getLogger("finetune_course.quiet")  # the reason is in the exception; no second copy of it
        step.log.disabled = True
        try:
            student, resources = step.preprocess(student, resources)
        except Exception as error:  # nbgrader raises RuntimeError and ValidationError of several kinds
            raise SourceError(f"nbgrader's {type(step).__name__} refuses the notebook: {error}") from error
    return student


def as_text(notebook: NotebookNode) -> str:
    """The notebook file's exact text: sorted keys, one trailing newline, the same on every build."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"
