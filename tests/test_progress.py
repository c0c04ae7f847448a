"""Passed checks are kept across notebooks, nobody else's are, and the panel shows what is done and what is next."""

import json
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from finetune_course import progress
from finetune_course.checking import NotDoneYet, WrongAnswer, check, passed, require
from finetune_course.checks_variant import given, variant_check
from finetune_course.paths import course_root
from finetune_course.progress import passed_checks
from finetune_course.progress_panel import Progress, Stop, course_progress


@check("3.1")
def doubled(answer):
    """A check for these tests."""
    require(answer(2) == 4, "Double it.")
    passed("2 doubled is 4.")


@check("3.2")
def asks_another(answer):
    """A check that calls another one."""
    doubled(lambda number: 2 * number)
    require(answer(1) == 5, "Five.")


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The file of a learner who sits in front of a notebook."""
    monkeypatch.setenv("FINETUNE_COURSE_PROGRESS", str(tmp_path / "progress"))
    for name in ("COURSE_HEADLESS", "NBGRADER_EXECUTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(progress, "_in_a_notebook", lambda: True)
    return tmp_path / "progress" / "checks.json"


def test_a_passed_check_is_kept_once_and_a_failed_one_is_not(file):
    for answer, problem in ((lambda number: 5, WrongAnswer), (..., NotDoneYet)):
        with pytest.raises(problem):
            doubled(answer)
    assert passed_checks() == {} and not file.exists()
    doubled(lambda number: 2 * number)
    first = file.read_bytes()
    assert list(passed_checks()) == ["3.1"]
    doubled(lambda number: number + number)
    assert file.read_bytes() == first
    with pytest.raises(WrongAnswer):
        doubled(lambda number: 0)
    assert list(passed_checks()) == ["3.1"], "a later experiment takes nothing away"
    assert [path.name for path in file.parent.iterdir()] == ["checks.json"]


def test_a_check_that_another_one_asks_is_not_the_learners(file):
    with pytest.raises(WrongAnswer):
        asks_another(lambda number: 0)
    assert passed_checks() == {}
    asks_another(lambda number: 5)
    assert list(passed_checks()) == ["3.2"]


def test_in_a_variant_the_public_answer_passes_nothing(file):
    examples = [(given(2), 40)]
    with pytest.raises(WrongAnswer, match="It does what the public edition asks for"):
        variant_check(doubled, lambda number: 2 * number, examples)
    assert passed_checks() == {}
    variant_check(doubled, lambda number: 20 * number, examples, as_public=lambda number: 2 * number)
    assert list(passed_checks()) == ["3.1"]


@pytest.mark.parametrize("name", ["COURSE_HEADLESS", "NBGRADER_EXECUTION"])
def test_a_run_without_a_learner_keeps_nothing(file, name, monkeypatch):
    monkeypatch.setenv(name, "1")
    doubled(lambda number: 2 * number)
    assert not file.exists()


def test_outside_a_notebook_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNE_COURSE_PROGRESS", str(tmp_path))
    monkeypatch.delenv("COURSE_HEADLESS", raising=False)
    code = "from finetune_course.checks_00 import weights_gb as w; w(lambda parameters, bits: parameters * bits / 8e9)"
    assert "0.54 GB" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"format": 9, "passed": {}}', b'{"format": 1}'])
def test_a_damaged_file_is_kept_aside_and_said_in_one_sentence(file, content, capsys):
    file.parent.mkdir()
    file.write_bytes(content)
    doubled(lambda number: 2 * number)
    out = capsys.readouterr().out
    assert "Your file of passed checks was damaged: it is kept as checks.damaged-1.json" in out
    assert (file.parent / "checks.damaged-1.json").read_bytes() == content
    assert list(passed_checks()) == ["3.1"]


def test_strange_entries_are_left_out(file):
    file.parent.mkdir()
    file.write_text(json.dumps({"format": 1, "passed": {"3.1": "x", "<b>": "x", "3": 1}}), encoding="utf-8")
    assert passed_checks() == {"3.1": "x"}


def test_where_nothing_can_be_written_the_check_passes_and_says_so(file, tmp_path, capsys):
    (tmp_path / "progress").write_text("a file in the folder's place")
    doubled(lambda number: 2 * number)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ 2 doubled is 4." and len(lines) == 2
    assert lines[1].startswith("(Passed, but that could not be noted: ") and "FINETUNE_COURSE_PROGRESS" in lines[1]


STOPS = (
    Stop("00", "Start here", "00_start.ipynb", {"0.1": "memory", "0.2": "softmax <b>"}),
    Stop("01", "Pre-training", "01_pre.ipynb", {"1.1": "merge"}),
    Stop("03", "Prompting", "03_prompting.ipynb", {"3.1": "exact", "3.10": "paired"}),
)


@pytest.mark.parametrize(
    ("done", "after"),
    [
        ([], "0.1"),
        (["0.1"], "0.2"),
        (["0.1", "3.1"], "3.10"),  # went on to 03: the next one is there, not the one that was left out
        (["3.1", "3.10"], "0.1"),  # at the end the first open one
        (["3.10", "0.1"], "0.2"),
        (["0.1", "9.9"], "0.2"),  # an exercise that is no longer there
        (["0.1", "0.2", "1.1", "3.1", "3.10"], None),
    ],
)
def test_the_next_exercise_follows_the_last_passed(done, after):
    found = Progress(STOPS, tuple(done)).next
    assert (found and found[1]) == after


def test_the_panel_says_what_is_done_and_links_what_is_next():
    panel = Progress(STOPS, ("0.1", "3.1"))
    text, page = repr(panel), panel._repr_html_()
    assert text.splitlines()[0] == "2 of 5 exercises passed. Next: exercise 3.10, paired, in 03 Prompting."
    assert text.splitlines()[1] == "00 Start here: ✓ 0.1 ○ 0.2"
    assert "2 of 5 exercises passed. Next: <a href='03_prompting.ipynb'>exercise 3.10, paired" in page
    assert "<progress value='1' max='2' aria-label='1 of 2 passed'></progress> 1 of 2" in page
    assert "softmax &lt;b&gt;" in page and "<b>" not in page
    assert "Nothing is left to do." in repr(Progress(STOPS[1:2], ("1.1",)))
    assert "No exercises were found" in repr(Progress((), ()))


def test_the_courses_own_panel_knows_every_exercise(file):
    found = course_progress()
    numbers = [number for stop in found.stops for number in stop.exercises]
    assert len(numbers) >= 30 and len(set(numbers)) == len(numbers)
    text = "".join(path.read_text("utf-8") for path in (course_root() / "notebooks").glob("*.ipynb"))
    assert len(numbers) == text.count('"grade": true')
    assert all((course_root() / "notebooks" / stop.file).is_file() for stop in found.stops)


def test_a_damaged_notebook_costs_its_own_row_only(tmp_path, file):
    (tmp_path / "notebooks").mkdir()
    cell = {"cell_type": "markdown", "source": ["### Exercise 1.1 — merge\n", "text"]}
    (tmp_path / "notebooks" / "01_a.ipynb").write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    (tmp_path / "notebooks" / "02_b.ipynb").write_text("{", encoding="utf-8")
    assert {stop.file: stop.exercises for stop in course_progress(tmp_path).stops} == {
        "01_a.ipynb": {"1.1": "merge"},
        "02_b.ipynb": {},
    }


@pytest.mark.slow
def test_a_check_passed_in_one_notebook_is_seen_in_another(tmp_path, monkeypatch):
    """Two real kernels, one after the other."""
    monkeypatch.setenv("FINETUNE_COURSE_PROGRESS", str(tmp_path))
    monkeypatch.delenv("COURSE_HEADLESS", raising=False)
    weights = (
        "from finetune_course import checks_00\nchecks_00.weights_gb(lambda parameters, bits: parameters * bits / 8e9)"
    )
    panel = "from finetune_course.progress_panel import course_progress\ncourse_progress()"
    outputs = []
    for code in (weights, panel):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        NotebookClient(notebook, timeout=120).execute()
        outputs.append(notebook.cells[0].outputs[-1])
    assert outputs[0]["text"].startswith("✓ ")
    assert "✓ 0.1" in outputs[1]["data"]["text/html"] and "Next: exercise 0.2" in outputs[1]["data"]["text/plain"]
