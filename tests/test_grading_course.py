"""Every notebook of the course can be graded: its own solution gets full marks from the cells that exercises need."""

from __future__ import annotations

import notebook_rules
import pytest

from finetune_course.grading.limits import Limits
from finetune_course.grading.runner import Grader
from finetune_course.grading.sandbox import find_sandbox
from finetune_course.grading.transplant import pristine
from finetune_course.grading.variants import Variant, source_of
from finetune_course.notebook_build.source import read_source

BESIDE_ITS_TEST = {"ex-5-1"}
"""Classes, which cannot be called from another process; solutions/README.md names them."""


@pytest.mark.slow
@pytest.mark.parametrize("edition", notebook_rules.course(), ids=lambda edition: edition.name)
def test_the_solution_of_a_notebook_gets_full_marks_and_the_placeholders_none(edition):
    grader = Grader(Limits(), find_sandbox())
    notebook = grader.calibrated(pristine(edition.name, read_source(edition.source)))
    assert notebook.points > 0
    together = {exercise.id for exercise in notebook.exercises if exercise.together}
    assert together == BESIDE_ITS_TEST & {exercise.id for exercise in notebook.exercises}
    verdicts = grader.grade(notebook, {exercise.id: exercise.stub for exercise in notebook.exercises})
    assert {verdict.kind for verdict in verdicts} == {"not done"}, verdicts
    assert all("is not done yet" in verdict.message for verdict in verdicts)


@pytest.mark.slow
@pytest.mark.parametrize("edition", notebook_rules.course(), ids=lambda edition: edition.name)
def test_of_a_variant_its_own_solution_gets_full_marks_and_the_public_one_none(edition):
    grader = Grader(Limits(), find_sandbox())
    notebook = grader.calibrated(pristine(edition.name, source_of(edition, Variant("autumn-4711"))))
    together = {exercise.id for exercise in notebook.exercises if exercise.together}
    assert together == BESIDE_ITS_TEST & {exercise.id for exercise in notebook.exercises}
    public = pristine(edition.name, read_source(edition.source))
    verdicts = grader.grade(notebook, {exercise.id: exercise.solution for exercise in public.exercises})
    assert {verdict.kind for verdict in verdicts} == {"wrong"}, verdicts
