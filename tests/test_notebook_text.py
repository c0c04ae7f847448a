"""Every notebook is written by the rules, saved clean, and current; and each rule is shown to fail when broken."""

from pathlib import Path

import nbformat
import notebook_rules
import pytest

from finetune_course import build_notebooks
from finetune_course.notebook_build.outputs import output_problems
from finetune_course.notebook_build.source import read_source

FIXTURE = Path(__file__).parent / "fixtures" / "solutions" / "90_tiny.py"
LARGEST_FILE = 1_000_000
each_notebook = pytest.mark.parametrize("edition", notebook_rules.course(), ids=lambda edition: edition.name)


def test_the_notebooks_of_the_spine_are_there():
    assert {"00", "03", "06"} <= {edition.name[:2] for edition in notebook_rules.course()}


@each_notebook
@pytest.mark.parametrize("rule", notebook_rules.ALL, ids=lambda rule: rule.__name__)
def test_written_by_the_rules(edition, rule):
    assert rule(read_source(edition.source), int(edition.name[:2])) == []


@each_notebook
@pytest.mark.parametrize("kind", ["solution", "student"])
def test_saved_clean(edition, kind):
    path = getattr(edition, kind)
    assert path.stat().st_size < LARGEST_FILE
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5) and "widgets" not in notebook.metadata
    assert output_problems(notebook) == []


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
    offences = rule(read_source(FIXTURE), 90)
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
