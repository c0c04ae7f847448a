"""The builder and its ``--check`` on a small fixture notebook, executed in a real kernel."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest

from finetune_course import build_notebooks
from finetune_course.notebook_build import freshness, outputs, source, student
from finetune_course.notebook_build.execute import execute, headless_environment

FIXTURE = Path(__file__).parent / "fixtures" / "solutions" / "90_tiny.py"


def new_root(folder, text=None):
    """A course root with the fixture (or ``text``) as its only source, and the one data file that it reads."""
    (folder / "solutions").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "data" / "words.txt").write_text("one two three\n", encoding="utf-8")
    (folder / "solutions" / FIXTURE.name).write_text(text or FIXTURE.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The fixture notebook, built once, as a course root that tests copy before they change it."""
    root = new_root(tmp_path_factory.mktemp("built") / "course")
    assert build_notebooks.main([], root) == 0
    return root


@pytest.fixture(autouse=True)
def fonts_are_known(monkeypatch):
    """Matplotlib's font cache is filled by the first build (``built``); the others need not ask for it."""
    monkeypatch.setattr(build_notebooks, "warm_font_cache", lambda: None)


@pytest.fixture
def root(built, tmp_path):
    return Path(shutil.copytree(built, tmp_path / "course"))


def check(root, capsys):
    """Exit code and lines of ``--check``."""
    capsys.readouterr()
    code = build_notebooks.main(["--check"], root)
    return code, capsys.readouterr().out.splitlines()


def edit(path, change):
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    path.write_text(student.as_text(notebook), encoding="utf-8", newline="\n")


def edit_source(root, old, new):
    path = root / "solutions" / FIXTURE.name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def solution(root):
    return root / "solutions" / "90_tiny.ipynb"


def students(root):
    return root / "notebooks" / "90_tiny.ipynb"


def test_the_executed_solution_has_the_outputs_of_a_real_run(built):
    notebook = nbformat.read(solution(built), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4, 5, 6]
    assert code[1].outputs[0].text == "2 of 3 rows are hits\n"
    assert code[2].outputs[0].metadata["image/png"]["alt"].startswith("Hits")
    assert code[5].outputs[0].text == "✓ two of four rows are hits.\n"
    assert set(notebook.metadata) == {"kernelspec", "language_info", "finetune_course"}
    assert "version" not in notebook.metadata.language_info
    assert list(notebook.metadata.finetune_course.data) == ["data/words.txt"]
    assert all(set(cell.metadata) <= {"tags", "nbgrader"} for cell in notebook.cells)


def test_ids_come_from_the_grade_id_or_the_text_and_repeats_are_counted(tmp_path):
    path = tmp_path / "91_ids.py"
    path.write_text("# %%\n1 + 1\n\n# %%\n1 + 1\n\n# %% [markdown]\n# 1 + 1\n", encoding="utf-8")
    first, second, text = (cell.id for cell in source.read_source(path).cells)
    assert second == f"{first}-2" and text not in (first, second)
    assert [cell.id for cell in source.read_source(FIXTURE).cells if source.grading(cell)] == [
        "ex-90-1",
        "ex-90-1-test",
    ]
    assert source.read_source(FIXTURE) == source.read_source(FIXTURE)


def test_the_student_edition_is_what_a_learner_should_get(built):
    notebook = nbformat.read(students(built), as_version=4)
    by_id = {cell.id: cell for cell in notebook.cells}
    assert by_id["ex-90-1"].source == (
        'def share_of_hits(rows):\n    """Share of rows that are 1."""\n'
        '    raise NotImplementedError("Exercise not done yet: replace this line with your code.")'
    )
    assert by_id["ex-90-1-test"].source == "share_check(share_of_hits)"
    assert by_id["ex-90-1-test"].metadata.editable is False and by_id["ex-90-1-test"].metadata.deletable is False
    assert by_id["ex-90-1"].metadata.nbgrader.checksum and by_id["ex-90-1"].metadata.deletable is False
    assert all(cell.execution_count is None and not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    executed = nbformat.read(solution(built), as_version=4)
    assert [cell.id for cell in executed.cells] == [cell.id for cell in notebook.cells]


@pytest.mark.slow
def test_the_student_edition_equals_that_of_nbgrader_generate_assignment(tmp_path):
    """Stock nbgrader, with its database and command, on the same unexecuted notebook with the same stub."""
    notebook = source.read_source(FIXTURE)
    assignment = tmp_path / "source" / "ps1"
    assignment.mkdir(parents=True)
    (assignment / "90_tiny.ipynb").write_text(student.as_text(notebook), encoding="utf-8")
    stub = f"c.ClearSolutions.code_stub = {{'python': {student.STUB!r}}}"
    (tmp_path / "nbgrader_config.py").write_text(f"c = get_config()\nc.CourseDirectory.course_id = 'c'\n{stub}\n")
    # nbgrader calls alembic by its bare name.
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", "ps1"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr
    released = nbformat.read(tmp_path / "release" / "ps1" / "90_tiny.ipynb", as_version=nbformat.NO_CONVERT)
    assert released.cells == student.student_edition(notebook).cells


def test_a_second_build_of_the_student_edition_is_the_same_to_the_byte(root):
    before = students(root).read_bytes()
    students(root).unlink()
    assert build_notebooks.main(["--no-execute"], root) == 0
    assert students(root).read_bytes() == before


def test_a_fresh_build_is_current(root, capsys):
    code, lines = check(root, capsys)
    assert code == 0 and "nothing hidden is shown" in lines[0]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("# Three rows, by hand.", "# Three rows by hand.", "differs from its source: cell 3 has another source"),
        ("rows = [1, 0, 1]", "rows = [1, 1, 1]", "differs from its source: cell 4 has another source"),
        ('# %% tags=["nbval-check-output"]', "# %%", "differs from its source: cell 4 has another metadata"),
        ('"points": 2', '"points": 3', "differs from its source: cell 11 has another metadata"),
        ("# ## In a nutshell", "# ## The end", "differs from its source: cell 12 has another source"),
    ],
)
def test_check_names_what_the_source_changed_and_the_command(root, capsys, old, new, sentence):
    edit_source(root, old, new)
    code, lines = check(root, capsys)
    assert code == 1
    found = [line for line in lines if sentence in line]
    assert found and found[0].endswith("Run: python -m finetune_course.build_notebooks 90")


def test_check_notices_a_cell_added_or_moved(root, capsys):
    edit(solution(root), lambda notebook: notebook.cells.append(nbformat.v4.new_markdown_cell("more", id="more")))
    assert "it has 13 cells and the source 12" in check(root, capsys)[1][0]
    edit(solution(root), lambda notebook: notebook.cells.insert(2, notebook.cells.pop()))
    assert check(root, capsys)[0] == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda code: code[3].update(execution_count=None), "was not executed at cell 8"),
        (lambda code: code[3].update(execution_count=9), "not executed from top to bottom"),
        (lambda code: code[1].outputs[0].update(name="stderr"), "cell 4 writes to stderr: 2 of 3"),
        (lambda code: code[2].outputs[0].update(metadata={}), "cell 6 shows a picture without alt text"),
        (lambda code: code[1].update(id="another"), "cell 4 has another id"),
    ],
)
def test_check_notices_a_tampered_solution(root, capsys, change, sentence):
    edit(solution(root), lambda notebook: change([cell for cell in notebook.cells if cell.cell_type == "code"]))
    code, lines = check(root, capsys)
    assert code == 1 and sentence in lines[0], lines


def test_check_notices_data_that_changed_since_the_run(root, capsys):
    (root / "data" / "words.txt").write_text("one two three\r\n", encoding="utf-8", newline="")
    assert check(root, capsys)[0] == 0, "another line end is the same data"
    (root / "data" / "words.txt").write_text("one two\n", encoding="utf-8")
    code, lines = check(root, capsys)
    assert code == 1 and "was executed with other contents of data/words.txt" in lines[0]
    (root / "data" / "words.txt").unlink()
    assert check(root, capsys)[0] == 1


def test_check_notices_missing_and_orphan_notebooks(root, capsys):
    shutil.copy(students(root), root / "notebooks" / "91_gone.ipynb")
    solution(root).unlink()
    students(root).unlink()
    code, lines = check(root, capsys)
    assert code == 1 and len(lines) == 3
    assert all(word in line for word, line in zip(("solutions/90", "notebooks/90", "91_gone"), lines, strict=True))


def test_check_notices_one_changed_byte_in_the_student_edition(root, capsys):
    students(root).write_bytes(students(root).read_bytes().replace(b"A share", b"a share", 1))
    code, lines = check(root, capsys)
    assert code == 1 and "notebooks/90_tiny.ipynb differs from what its source gives" in lines[0]


@pytest.mark.parametrize(
    "leaked",
    [
        "number_of_hits_in_all_rows = sum(rows)",
        "    return number_of_hits_in_all_rows / len(rows)",
        'assert share_of_hits([1, 1, 1, 0, 0, 0]) == 0.5, "six rows, three of them hits"',
        "### BEGIN SOLUTION",
    ],
)
def test_a_hidden_line_in_any_student_file_is_a_leak(root, leaked):
    assert freshness.leaks(root) == []
    edit(students(root), lambda notebook: notebook.cells[3].update(source=f"x = 1\n{leaked}"))
    assert any("notebooks/90_tiny.ipynb" in line and leaked.strip("# ") in line for line in freshness.leaks(root))
    shutil.copy(FIXTURE, students(root).with_name("solution.txt"))
    assert any("notebooks/solution.txt" in line for line in freshness.leaks(root))


def test_a_line_that_a_hint_shows_on_purpose_is_no_leak(root):
    hint = "number_of_hits_in_all_rows = sum(rows)"
    edit_source(root, "# Divide by `len(rows)`.", f"# Write `{hint}` first.")
    assert build_notebooks.main(["--no-execute"], root) == 0
    assert freshness.leaks(root) == []


def test_without_executing_texts_are_refreshed_and_stored_outputs_kept(root, capsys):
    edit_source(root, "# Three rows, by hand.", "# Three rows, by hand, again.")
    assert build_notebooks.main(["--no-execute"], root) == 0
    assert check(root, capsys)[0] == 0
    edit_source(root, "### END HIDDEN TESTS", "assert True  # one more\n### END HIDDEN TESTS")
    assert build_notebooks.main(["--no-execute"], root) == 0
    assert check(root, capsys)[0] == 0 and "one more" in solution(root).read_text("utf-8")
    edit_source(root, "rows = [1, 0, 1]", "rows = [1, 1, 1]")
    before = solution(root).read_bytes()
    assert build_notebooks.main(["--no-execute"], root) == 0
    assert "90_tiny.ipynb is stale" in capsys.readouterr().out
    assert solution(root).read_bytes() == before and check(root, capsys)[0] == 1


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "words = Path",
            "1 / 0; words = Path",
            "stopped at cell 8 (under “A key number”): ZeroDivisionError: division",
        ),
        ('print(f"{sum', 'import sys; print("late", file=sys.stderr); print(f"{sum', "cell 4 writes to stderr: late"),
    ],
)
@pytest.mark.slow
def test_a_failing_or_noisy_cell_fails_the_build_and_keeps_the_old_edition(root, capsys, old, new, sentence):
    before = solution(root).read_bytes()
    edit_source(root, old, new)
    assert build_notebooks.main(["90"], root) == 1
    assert sentence in capsys.readouterr().err
    assert solution(root).read_bytes() == before and not list(root.rglob("*.partial"))


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("saved to /home/ada/model", "shows an absolute path: /home/ada/model"),
        ("see file:///x/y", "shows an absolute path"),
        (r"C:\Users\ada\model", "shows an absolute path"),
        ("FutureWarning: use processing_class", "shows a warning: FutureWarning"),
        ("by ada-lovelace.", "shows the user, the host or a folder of this machine: 'ada-lovelace'"),
        ("<Figure at 0x7f01ab23cd10>", "shows a memory address"),
        ("10%\r20%", "redraws a progress line"),
    ],
)
def test_what_an_output_may_not_show(text, phrase):
    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("stream", text=text)])
    found = outputs.output_problems(nbformat.v4.new_notebook(cells=[cell]), private=["ada-lovelace"])
    assert len(found) == 1 and phrase in found[0]
    bundle = nbformat.v4.new_output("display_data", data={"text/html": f"<p>{text}</p>"})
    if "\r" not in text:
        cell = nbformat.v4.new_code_cell("x", outputs=[bundle])
        assert outputs.output_problems(nbformat.v4.new_notebook(cells=[cell]), private=["ada-lovelace"])


@pytest.mark.parametrize(
    "text",
    [
        "POST /v1/chat/completions",
        "https://example.org/home/page",
        "and/or 3/4",
        "Q:\\nA",
        "data/triage/test.jsonl",
        "root",
    ],
)
def test_what_looks_like_a_path_and_is_none_passes(text):
    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("stream", text=text)])
    assert outputs.output_problems(nbformat.v4.new_notebook(cells=[cell])) == []


def test_live_widget_views_are_left_out_and_counted():
    view = nbformat.v4.new_output(
        "display_data", data={outputs.WIDGET_VIEW: {"model_id": "1"}, "text/plain": "IntSlider()"}
    )
    line = nbformat.v4.new_output("stream", text="beside it")
    cell = nbformat.v4.new_code_cell("x", outputs=[view, line])
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}})
    assert len(outputs.output_problems(notebook)) == 2
    assert outputs.drop_widget_views(notebook) == 1
    assert notebook.cells[0].outputs == [line] and outputs.output_problems(notebook) == []


@pytest.mark.slow
def test_a_widget_with_an_output_inside_runs_headless(tmp_path):
    """``interactive`` prints into an output widget, whose state nbclient has to know; nothing of it is saved."""
    code = "import ipywidgets\nipywidgets.interactive(lambda x: print('x is', x), x=ipywidgets.IntSlider(3))"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell("print(1)")])
    result = execute(notebook, tmp_path, headless_environment(), cell_timeout=120)
    assert not result.failure and "widgets" not in result.notebook.metadata
    assert result.notebook.cells[1].outputs[0].text.strip() == "1"


ANSWER = (
    '# %% nbgrader={"grade": false, "grade_id": "a", "locked": false, "schema_version": 3, '
    '"solution": true, "task": false}\n'
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (ANSWER + "x = 1\n", "is a solution cell without a BEGIN SOLUTION region"),
        (ANSWER + "### BEGIN SOLUTION\nx = 1\n", "BEGIN SOLUTION has no END SOLUTION"),
        (ANSWER + "### END SOLUTION\nx = 1\n", "END SOLUTION has no BEGIN SOLUTION"),
        (ANSWER + "### BEGIN SOLUTION\n### BEGIN HIDDEN TESTS\n", "stands inside a SOLUTION region"),
        ("# %%\n### BEGIN SOLUTION\n### END SOLUTION\n", "no nbgrader metadata that makes it a solution cell"),
        ("# %%\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS\n", "no nbgrader metadata that makes it a graded cell"),
        (2 * (ANSWER + "### BEGIN SOLUTION\n### END SOLUTION\n"), "the grade id 'a' is used twice"),
        (ANSWER.replace('"a"', '"a b"') + "### BEGIN SOLUTION\n### END SOLUTION\n", "may hold letters, digits"),
        ("# %% collapsed=true\nx = 1\n", "has metadata ['collapsed']"),
        (
            ANSWER.replace(": 3", ": 2") + "### BEGIN SOLUTION\n### END SOLUTION\n",
            "CheckCellMetadata refuses the notebook",
        ),
    ],
)
def test_a_source_that_cannot_be_built_gets_one_sentence(tmp_path, capsys, text, sentence):
    root = new_root(tmp_path / "course", text)
    assert build_notebooks.main([], root) == 1
    shown = capsys.readouterr().err
    assert sentence in shown and len(shown.strip().splitlines()) == 1
    assert build_notebooks.main(["--check"], root) == 1


def test_a_broken_source_does_not_hide_what_else_is_stale(root, capsys):
    (root / "solutions" / "91_broken.py").write_text("# %%\n### BEGIN SOLUTION\n", encoding="utf-8")
    edit_source(root, "# Three rows, by hand.", "# Three rows by hand.")
    code, lines = check(root, capsys)
    assert code == 1 and any("90_tiny.ipynb differs" in line for line in lines)
    assert any("91_broken.py, cell 1: BEGIN SOLUTION has no END SOLUTION" in line for line in lines)


def test_what_its_author_once_trained_is_not_in_a_saved_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNE_COURSE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "models" / "small").mkdir(parents=True)
    code = "from finetune_course.small_model import own_small_model\n\nown_small_model().is_dir()"
    root = new_root(tmp_path / "course", f"# %% [markdown]\n# # 90 · Own\n\n# %%\n{code}\n")
    assert build_notebooks.main([], root) == 0
    notebook = nbformat.read(root / "solutions" / "90_tiny.ipynb", as_version=4)
    assert notebook.cells[1].outputs[0].data["text/plain"] == "False"


def test_an_unknown_number_gets_one_sentence(root, capsys):
    assert build_notebooks.main(["7"], root) == 1
    assert capsys.readouterr().err == "There is no notebook '7'; there are 90. Give the number, such as 06.\n"


def test_exercises_can_be_cut_out_of_a_notebook(built):
    cut = source.exercise_cells(nbformat.read(students(built), as_version=4))
    assert [cell.id for cell in cut.cells][1:] == ["ex-90-1", "ex-90-1-test"] and len(cut.cells) == 3


def test_the_saved_file_is_stable_json(built):
    text = solution(built).read_text(encoding="utf-8")
    assert text.endswith("}\n") and json.loads(text)["nbformat_minor"] == 5
