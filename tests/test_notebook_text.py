"""Every notebook is written by the rules, saved clean, and current; and each rule is shown to fail when broken."""

import functools
from pathlib import Path

import nbformat
import notebook_rules
import pytest

from finetune_course import build_notebooks
from finetune_course.notebook_build.outputs import WIDGET_VIEW, output_problems
from finetune_course.notebook_build.source import read_source

read_once = functools.cache(read_source)  # for all rules, none of which changes the notebook
FIXTURE = Path(__file__).parent / "fixtures" / "solutions" / "90_tiny.py"
LARGEST_FILE = 1_000_000
each_notebook = pytest.mark.parametrize("edition", notebook_rules.course(), ids=lambda edition: edition.name)


def test_the_notebooks_of_the_spine_are_there():
    assert {"00", "03", "06"} <= {edition.name[:2] for edition in notebook_rules.course()}


@each_notebook
@pytest.mark.parametrize("rule", notebook_rules.ALL, ids=lambda rule: rule.__name__)
def test_written_by_the_rules(edition, rule):
    assert rule(read_once(edition.source), int(edition.name[:2])) == []


@each_notebook
@pytest.mark.parametrize("kind", ["solution", "student"])
def test_saved_clean(edition, kind):
    path = getattr(edition, kind)
    assert path.stat().st_size < LARGEST_FILE
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5) and "widgets" not in notebook.metadata
    assert output_problems(notebook) == []
    rules = [
        rule for rule in notebook_rules.SAVED if kind == "solution" or rule.__name__ != "widgets_have_a_static_twin"
    ]
    assert [offence for rule in rules for offence in rule(notebook)] == []


@each_notebook
def test_both_editions_have_the_same_ids(edition):
    """So that a learner's answers find their place in a newer edition, and a comment on GitHub its cell."""
    saved = [nbformat.read(path, as_version=nbformat.NO_CONVERT) for path in (edition.solution, edition.student)]
    assert [cell.id for cell in saved[0].cells] == [cell.id for cell in saved[1].cells]


def test_everything_built_is_current_and_nothing_hidden_is_shown(capsys):
    assert build_notebooks.main(["--check"]) == 0, "".join(capsys.readouterr())


@pytest.fixture
def broken(tmp_path):
    """What a rule says of the fixture with another text (percent format) in place of its own."""

    def offences(text, rule):
        path = tmp_path / FIXTURE.name
        path.write_text(text, encoding="utf-8")
        return rule(read_source(path), 90)

    return offences


@pytest.mark.parametrize("rule", notebook_rules.ALL, ids=lambda rule: rule.__name__)
def test_the_fixture_keeps_every_rule_but_the_number_of_exercises(rule):
    offences = rule(read_once(FIXTURE), 90)
    if rule is notebook_rules.enough_exercises:
        assert offences == ["1 exercises, fewer than 3"]
    else:
        assert offences == []


BREAKS = [
    ("headings_in_order", "# # 90 A tiny", "# ## 90 A tiny", "does not begin with a # heading"),
    ("headings_in_order", "# ## A toy case", "# # A toy case", "a second # heading"),
    ("headings_in_order", "# ## A toy case", "# #### A toy case", "skips a level"),
    ("sections_there", "# ## Before you start", "# ## Prerequisites", "the first sections are"),
    ("sections_there", "# ## In a nutshell", "# ## Recap", "the last sections are"),
    ("sections_there", "1 minute and", "a moment and", "minutes and memory"),
    ("text_before_code", "# %% [markdown]\n# ## A toy case\n#\n# Three rows, by hand.\n", "", "cell 3 has no text"),
    ("short_cells", "rows = [1, 0, 1]\n", "rows = [1, 0, 1]\n" + "rows.append(0)\n" * 30, "cell 4 has 32 lines"),
    ("short_cells", "from finetune_course", "1\n" * 9 + "from finetune_course", "half of the code cells"),
    ("no_absolute_path", 'Path("../data', 'Path("/home/ada/data', "cell 8 holds an absolute path: /home/ada"),
    ("exercises_well_formed", "### Exercise 90.1 —", "### Exercise 90.2 —", "does not begin with '### Exercise 90.1"),
    ("exercises_well_formed", "about 2 minutes", "about two minutes", "no line 'Difficulty"),
    ("exercises_well_formed", "**Expected output**", "Expected", "no **Expected output**"),
    ("exercises_well_formed", "Hint 2", "Hint 3", "not three folding hints"),
    ("exercises_well_formed", '"ex-90-1-test"', '"ex-90-2-test"', "have the grade ids"),
    ("exercises_well_formed", '"points": 2', '"points": 0', "not graded, locked and worth points"),
    ("exercises_well_formed", "\nshare_check(", "\nx = share_check(", "does not begin with the visible check"),
    (
        "exercises_well_formed",
        "### BEGIN HIDDEN TESTS\nassert",
        "### BEGIN HIDDEN TESTS\nprint",
        "no hidden tests with",
    ),
    ("exercises_well_formed", "# ### Exercise 90.1", "# ### Task 90.1", "1 graded cells for 0 exercise headings"),
    ("pictures_in_text_have_alternatives", "Three rows,", "![](x.png) Three rows,", "without alternative text"),
    ("pictures_in_text_have_alternatives", "Three rows,", '<img src="x.png"> Three', "without alternative text"),
    ("colours_of_the_palette", "rows = [1, 0, 1]\n", 'draw(color="red")\nrows = [1, 0, 1]\n', "draws in 'red'"),
    ("colours_of_the_palette", "rows = [1, 0, 1]\n", 'draw(cmap="jet")\nrows = [1, 0, 1]\n', "colour map 'jet'"),
    ("answers_are_functions", "def share_of_hits(rows):\n", "if True:\n", "does not stand inside a function"),
    ("tags_known", "nbval-check-output", "nbval_check", "unknown tag 'nbval_check'"),
    (
        "tags_known",
        "from finetune_course.checking",
        "AutoModel.from_pretrained(1)\nfrom x",
        "yet heavy: from_pretrained",
    ),
]


@pytest.mark.parametrize(("rule", "old", "new", "phrase"), BREAKS)
def test_each_rule_fails_on_a_notebook_that_breaks_it(broken, rule, old, new, phrase):
    text = FIXTURE.read_text(encoding="utf-8")
    assert old in text
    offences = broken(text.replace(old, new), getattr(notebook_rules, rule))
    assert any(phrase in offence for offence in offences), offences


def test_a_later_cell_that_needs_an_answer_is_found_and_one_that_imports_its_own_is_not(broken):
    text = FIXTURE.read_text(encoding="utf-8") + "\n# %%\nprint(share_of_hits(rows))\n"
    rule = notebook_rules.later_cells_do_not_need_answers
    assert broken(text, rule) == ["cell 13 uses 'share_of_hits', a learner's answer"]
    assert broken(text.replace("\nprint(", "\nfrom package import share_of_hits\nprint("), rule) == []


def test_every_rule_has_a_broken_notebook():
    tested = {rule for rule, *_ in BREAKS} | {"enough_exercises", "later_cells_do_not_need_answers"}
    assert tested == {rule.__name__ for rule in notebook_rules.ALL}


def saved_notebook():
    """A saved notebook that keeps every rule: text, a widget with its static twin, a picture with alternative text."""
    png = nbformat.v4.new_output("display_data", data={"image/png": "aGk="})
    png.metadata = {"image/png": {"alt": "Bars of three rates, one a row."}}
    cells = [
        nbformat.v4.new_markdown_cell("# x", id="a"),
        nbformat.v4.new_code_cell("interact(f)", id="b"),
        nbformat.v4.new_code_cell("plots.show(f)", id="c", outputs=[png]),
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "x"}, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def _picture(notebook):
    return notebook.cells[2].outputs[0]


SAVED_BREAKS = {
    "the id 'a' occurs twice": lambda notebook: notebook.cells[1].update(id="a"),
    "cell 1 has no valid id": lambda notebook: notebook.cells[0].update(id="a b"),
    "do not name the kernel": lambda notebook: notebook.metadata.kernelspec.update(name="my-venv"),
    "or name a version": lambda notebook: notebook.metadata.language_info.update(version="3.11.7"),
    "it holds widget state": lambda notebook: notebook.metadata.update(widgets={}),
    "cell 3 holds a live widget view": lambda notebook: _picture(notebook).data.update({WIDGET_VIEW: {}}),
    "cell 3 needs a script": lambda notebook: _picture(notebook).data.update({"text/html": "<script>x()</script>"}),
    "cell 3 shows a picture without": lambda notebook: _picture(notebook).metadata.clear(),
    "cell 3 has an alternative text of fewer": lambda notebook: (
        _picture(notebook).metadata["image/png"].update(alt="bars")
    ),
    "cell 2 has a widget and nothing": lambda notebook: notebook.cells[2].outputs.clear(),
}


@pytest.mark.parametrize("phrase", SAVED_BREAKS)
def test_each_rule_for_saved_notebooks_fails_on_one_that_breaks_it(phrase):
    notebook = saved_notebook()
    assert [offence for rule in notebook_rules.SAVED for offence in rule(notebook)] == []
    SAVED_BREAKS[phrase](notebook)
    offences = [offence for rule in notebook_rules.SAVED for offence in rule(notebook)]
    assert any(phrase in offence for offence in offences), offences


def test_a_picture_inside_html_needs_an_alternative_too():
    notebook = saved_notebook()
    _picture(notebook).data["text/html"] = "<p><img src='data:image/png;base64,aGk='></p>"
    assert notebook_rules.pictures_have_alternatives(notebook) == ["cell 3 shows a picture without alternative text"]
    _picture(notebook).data["text/html"] = "<p><img alt='two bars' src='data:image/png;base64,aGk='></p>"
    assert notebook_rules.pictures_have_alternatives(notebook) == []
