"""Every solution notebook is executed again by nbval, and its marked cells give the same output.

nbval has two ways not to compare a marked cell in silence: a cell without a stored execution count and outputs is never
compared, and pictures are never compared. So a quick test asserts that each marked cell has a count and a text, and
the tests of the test show that a tampered output fails.
"""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import notebook_rules
import pytest
from fresh_cache import fresh_cache
from nbval.plugin import find_comment_markers, find_metadata_tags

from finetune_course.build_notebooks import CHOICES_OF_A_READER
from finetune_course.notebook_build.execute import headless_environment
from finetune_course.notebook_build.outputs import WIDGET_VIEW
from finetune_course.notebook_build.student import as_text

CELL_TIMEOUT = 900
each_notebook = pytest.mark.parametrize("edition", notebook_rules.course(), ids=lambda edition: edition.name)


@pytest.fixture(autouse=True)
def new_machine(tmp_path_factory, monkeypatch):
    """No adapter or model of the learner's own is taken or overwritten."""
    monkeypatch.setenv("FINETUNE_COURSE_CACHE", str(fresh_cache(tmp_path_factory.mktemp("cache"))))


def nbval(path):
    """The finished nbval process: a pytest of its own, without this one's settings."""
    pytest_variables = tuple(name for name in os.environ if name.startswith("PYTEST_"))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        path.parent,
    ]
    command += ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={CELL_TIMEOUT}", path]
    environment = headless_environment(forget=CHOICES_OF_A_READER + pytest_variables)
    return subprocess.run(
        command, cwd=path.parent, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def marked(cell):
    """Whether nbval itself takes the cell for one to compare."""
    options = dict(find_metadata_tags(cell.metadata)) | dict(find_comment_markers(cell.source))
    return bool(options.get("check"))


def not_compared(notebook):
    """One phrase for each marked cell whose output nbval would not compare, and one when no cell is marked."""
    offences, count = [], 0
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or not marked(cell):
            continue
        count += 1
        if not cell.execution_count:
            offences.append(f"cell {index + 1} is marked and has no execution count")
        keys = [key for output in cell.outputs for key in (output.get("data") or {"text": output.get("text", "")})]
        if not any(not key.startswith("image/") for key in keys):
            offences.append(f"cell {index + 1} is marked and has no text to compare")
        if WIDGET_VIEW in keys or any(key.startswith("image/") for key in keys):
            offences.append(f"cell {index + 1} is marked and shows what nbval never compares")
    return offences if count else ["no cell is marked for comparison"]


@pytest.mark.nbval
@each_notebook
def test_nbval(edition):
    done = nbval(edition.solution)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@each_notebook
def test_marked_cells_have_something_to_compare(edition):
    assert not_compared(nbformat.read(edition.solution, as_version=4)) == []


def one_cell(text="2\n", count=1, tags=("nbval-check-output",), source="print(1 + 1)"):
    outputs = [nbformat.v4.new_output("stream", text=text)] if text else []
    cell = nbformat.v4.new_code_cell(source, outputs=outputs, execution_count=count, metadata={"tags": list(tags)})
    return nbformat.v4.new_notebook(cells=[cell])


def write(folder, notebook) -> Path:
    path = folder / "tiny.ipynb"
    path.write_text(as_text(notebook), encoding="utf-8")
    return path


@pytest.mark.nbval
def test_a_tampered_output_of_a_marked_cell_fails(tmp_path):
    assert nbval(write(tmp_path, one_cell())).returncode == 0
    done = nbval(write(tmp_path, one_cell("3\n")))
    assert done.returncode == 1 and "mismatch" in done.stdout, done.stdout


@pytest.mark.nbval
def test_a_comment_marks_a_cell_as_a_tag_does_and_an_unmarked_cell_is_not_compared(tmp_path):
    by_comment = one_cell("3\n", tags=(), source="# NBVAL_CHECK_OUTPUT\nprint(1 + 1)")
    assert marked(by_comment.cells[0]) and nbval(write(tmp_path, by_comment)).returncode == 1
    unmarked = one_cell("3\n", tags=())
    assert not marked(unmarked.cells[0]) and nbval(write(tmp_path, unmarked)).returncode == 0
    assert not_compared(unmarked) == ["no cell is marked for comparison"]


@pytest.mark.nbval
def test_what_nbval_lets_pass_our_own_check_does_not(tmp_path):
    """Neither count nor output is stored: nbval compares nothing and is content, although the cell prints."""
    empty = one_cell(text="", count=None)
    assert nbval(write(tmp_path, empty)).returncode == 0
    assert len(not_compared(empty)) == 2


def test_marked_cells_that_would_not_be_compared_are_named():
    assert not_compared(one_cell()) == []
    assert not_compared(one_cell(count=None)) == ["cell 1 is marked and has no execution count"]
    assert not_compared(one_cell(text="")) == ["cell 1 is marked and has no text to compare"]
    picture = one_cell()
    picture.cells[0].outputs = [nbformat.v4.new_output("display_data", data={"image/png": "aGk=", "text/plain": "alt"})]
    assert not_compared(picture) == ["cell 1 is marked and shows what nbval never compares"]
