"""What a learner meets: an unmodified student notebook stops at its first exercise, with the intended sentence.

Two ways of running are used here.

* The whole notebook, from the top, as a learner would: it must stop at the check of the first exercise.
* The exercises alone: the cells that an author has tagged ``exercise-setup`` (imports, small given data; no weights, no
  training) and the graded cells, past every error. So all checks of a notebook are seen in seconds: each says that
  its exercise is not done yet, no other cell fails, and with the solutions in place all of them pass. That these cells
  are enough is thereby proven too, which is what lets an instructor grade a submission without training anything.
"""

import json
import re
from pathlib import Path

import nbformat
import notebook_rules
import pytest
from fresh_cache import fresh_cache

from finetune_course import build_notebooks
from finetune_course.build_notebooks import CHOICES_OF_A_READER
from finetune_course.checking import STUB
from finetune_course.notebook_build.execute import cell_name, execute, headless_environment
from finetune_course.notebook_build.source import editions, exercise_cells, grading, read_source

FIXTURE = Path(__file__).parent / "fixtures" / "solutions" / "90_tiny.py"
GRADED_CELL_TIMEOUT = 60  # seconds; nbgrader's own default is 30 and a setup cell may import torch
each_notebook = pytest.mark.parametrize("edition", notebook_rules.course(), ids=lambda edition: edition.name)


@pytest.fixture(autouse=True)
def new_machine(tmp_path_factory, monkeypatch):
    """No adapter or model of the learner's own is taken or overwritten."""
    monkeypatch.setenv("FINETUNE_COURSE_CACHE", str(fresh_cache(tmp_path_factory.mktemp("cache"))))


def run(notebook, folder, **options):
    return execute(notebook, folder, headless_environment(forget=CHOICES_OF_A_READER), **options)


def students(edition):
    return nbformat.read(edition.student, as_version=4)


def errors(cell):
    return [output for output in cell.get("outputs", []) if output.output_type == "error"]


def stderr(cell):
    return [output.text for output in cell.get("outputs", []) if output.get("name") == "stderr"]


def exercise_number(cell):
    """``3.1`` for the grade id ``ex-3-1-test``."""
    return ".".join(re.findall(r"\d+", grading(cell)["grade_id"]))


def unintended(cut, folder):
    """Run a student's exercise cells past all errors; one phrase for everything but the intended sentences."""
    result = run(cut, folder, allow_errors=True, cell_timeout=GRADED_CELL_TIMEOUT)
    offences = [result.failure] if result.failure else []
    for index, cell in enumerate(result.notebook.cells):
        offences += [f"{cell_name(cut, index)} writes to stderr: {text}" for text in stderr(cell)]
        found = [(error.ename, error.evalue, error.traceback) for error in errors(cell)]
        if not grading(cell).get("grade"):
            offences += [f"cell {cell.id} fails: {name}: {value}" for name, value, _ in found]
            continue
        sentence = f"Exercise {exercise_number(cell)} is not done yet: "
        if [name for name, _, _ in found] != ["NotDoneYet"] or not found[0][1].startswith(sentence):
            offences.append(f"cell {cell.id} does not say {sentence!r}: {found}")
        elif found[0][2] != [found[0][1]]:
            offences.append(f"cell {cell.id} shows a traceback beside the sentence")
    return offences


def failing(cut, folder):
    """Run exercise cells that should all pass; one phrase for each that does not, or passes without a word."""
    result = run(cut, folder, allow_errors=True, cell_timeout=GRADED_CELL_TIMEOUT)
    offences = [result.failure] if result.failure else []
    for cell in result.notebook.cells:
        offences += [f"cell {cell.id}: {error.ename}: {error.evalue}" for error in errors(cell)]
        offences += [f"cell {cell.id} writes to stderr: {text}" for text in stderr(cell)]
        if grading(cell).get("grade") and "✓" not in json.dumps(cell.outputs, ensure_ascii=False):
            offences.append(f"cell {cell.id} passes without saying what was learnt")
    return offences


def toothless(source, folder):
    """Hidden tests, without the visible check, against answers of None: the test cells that pass all the same."""
    cut = exercise_cells(source)
    for cell in cut.cells:
        if grading(cell).get("solution"):
            cell.source = re.sub(
                r"^( *)### BEGIN SOLUTION.*?### END SOLUTION",
                r"\1return None",
                cell.source,
                flags=re.MULTILINE | re.DOTALL,
            )
        elif grading(cell).get("grade"):
            cell.source = cell.source.split("### BEGIN HIDDEN TESTS")[1]
    result = run(cut, folder, allow_errors=True, cell_timeout=GRADED_CELL_TIMEOUT)
    return [cell.id for cell in result.notebook.cells if grading(cell).get("grade") and not errors(cell)]


def where_it_stops(edition):
    """The cell at which the whole unmodified student notebook stops, and its sentence."""
    result = run(students(edition), edition.student.parent)
    if result.failed_cell is None:
        return None, result.failure or "it ran to its end"
    return result.notebook.cells[result.failed_cell], result.failure


@pytest.mark.nbval
@each_notebook
def test_an_unmodified_notebook_stops_at_its_first_exercise(edition):
    cell, sentence = where_it_stops(edition)
    number = int(edition.name[:2])
    assert cell is not None and cell.id == f"ex-{number}-1-test", sentence
    assert sentence.startswith(f"NotDoneYet: Exercise {number}.1 is not done yet: "), sentence


@pytest.mark.slow
@each_notebook
def test_every_unwritten_exercise_says_so_and_nothing_else_fails(edition):
    assert unintended(exercise_cells(students(edition)), edition.student.parent) == []


@pytest.mark.slow
@each_notebook
def test_the_solutions_pass_their_checks_and_hidden_tests_without_the_rest_of_the_notebook(edition):
    assert failing(exercise_cells(read_source(edition.source)), edition.student.parent) == []


@pytest.mark.slow
@each_notebook
def test_hidden_tests_fail_for_an_answer_of_none(edition):
    assert toothless(read_source(edition.source), edition.student.parent) == []


@pytest.fixture
def tiny(tmp_path):
    """Make the fixture notebook with some text replaced; returns its editions, the student's built."""
    (tmp_path / "solutions").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "words.txt").write_text("one\n", encoding="utf-8")

    def build(old="", new=""):
        text = FIXTURE.read_text(encoding="utf-8")
        assert old in text
        (tmp_path / "solutions" / FIXTURE.name).write_text(text.replace(old, new) if old else text, encoding="utf-8")
        assert build_notebooks.main(["--no-execute"], tmp_path) == 0
        return editions(tmp_path)[0]

    return build


@pytest.mark.slow
def test_the_fixture_stops_where_it_should(tiny):
    edition = tiny()
    assert STUB in edition.student.read_text(encoding="utf-8").replace('\\"', '"')
    cell, sentence = where_it_stops(edition)
    assert cell.id == "ex-90-1-test" and sentence.startswith("NotDoneYet: Exercise 90.1 is not done yet: replace")


@pytest.mark.slow
def test_the_fixture_passes_and_each_kind_of_offence_is_found(tiny):
    edition = tiny()
    assert unintended(exercise_cells(students(edition)), edition.student.parent) == []
    assert failing(exercise_cells(read_source(edition.source)), edition.student.parent) == []
    assert toothless(read_source(edition.source), edition.student.parent) == []
    unguarded = tiny('@check("90.1")\n', "")
    assert "does not say 'Exercise 90.1 is not done yet" in unintended(*cut_of(unguarded))[0]
    unset = tiny(' tags=["exercise-setup"]', "")
    assert "NameError" in unintended(*cut_of(unset))[0]
    noisy = tiny("\nshare_check(", "\nimport sys; print('late', file=sys.stderr)\nshare_check(")
    assert "writes to stderr: late" in unintended(*cut_of(noisy))[0]
    assert "writes to stderr: late" in failing(exercise_cells(read_source(noisy.source)), noisy.student.parent)[0]
    wrong = tiny("/ len(rows)\n    ###", "/ 2\n    ###")
    assert "WrongAnswer" in failing(exercise_cells(read_source(wrong.source)), wrong.student.parent)[0]
    vacuous = tiny("assert share_of_hits([1, 1, 1, 0, 0, 0]) == 0.5", "assert share_of_hits is not None")
    assert toothless(read_source(vacuous.source), vacuous.student.parent) == ["ex-90-1-test"]


def cut_of(edition):
    return exercise_cells(students(edition)), edition.student.parent
