"""Variants of the exercises: every option of every exercise, the sheets that describe them, and grading by seed."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
import zipfile

import nbformat
import notebook_rules
import numpy as np
import pandas as pd
import pytest
import tiny_grading as tiny

from finetune_course.checking import NotDoneYet, WrongAnswer, ask, check, passed, require_close
from finetune_course.checks_variant import given, variant_check
from finetune_course.grading import command, variants
from finetune_course.grading.transplant import pristine
from finetune_course.grading.variants import Variant, read_variants, source_of, with_options
from finetune_course.notebook_build.source import Edition, SourceError, editions, grading, read_source
from finetune_course.notebook_build.student import student_edition
from finetune_course.paths import course_root

MARK = "finetune-course variant 0123456789ab"
CANNOT_VARY: dict[str, str] = {}
"""Exercises that no honest change fits, each with its reason; solutions/README.md lists them too. There are none."""
FEWEST_OPTIONS = 3
TINY = Edition(tiny.FOLDER, "91_grading")
each_notebook = pytest.mark.parametrize("edition", notebook_rules.course(), ids=lambda edition: edition.name)


def every_option(edition):
    """The notebook once for each number of an option (an exercise with fewer keeps its last): (chosen, pristine)."""
    entries = read_variants(edition)
    for number in range(max(len(entry["vary"]) for entry in entries.values())):
        chosen = {name: entry["vary"][min(number, len(entry["vary"]) - 1)] for name, entry in entries.items()}
        yield chosen, pristine(edition.name, with_options(read_source(edition.source), entries, chosen, MARK))


def run(space, *cells):
    """Run cells as a grader does, in a copy of the set-up's names; they raise what they raise."""
    names = dict(space)
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in cells:
            exec(compile(cell, "a cell of a variant", "exec"), names)


def passes(space, *cells):
    try:
        run(space, *cells)
    except Exception:
        return False
    return True


def offences(edition):
    """All that is wrong with a notebook's variants, one phrase each."""
    public = {exercise.id: exercise for exercise in pristine(edition.name, read_source(edition.source)).exercises}
    made = list(every_option(edition))
    space, found = {"__name__": "__main__"}, []
    width = "display.max_colwidth"
    with pd.option_context(width, pd.get_option(width)), contextlib.redirect_stdout(io.StringIO()):
        for cell in made[0][1].setup:
            exec(compile(cell, "set-up", "exec"), space)
    for chosen, notebook in made:
        for at, exercise in enumerate(notebook.exercises):
            where = f"{exercise.id} with {chosen[exercise.id]}"
            for part in ("visible", "hidden"):
                try:
                    run(space, exercise.solution, getattr(exercise, part))
                except Exception as error:
                    found.append(f"{where}: its own solution fails the {part} test: {error!r}")
                if passes(space, public[exercise.id].solution, getattr(exercise, part)):
                    found.append(f"{where}: the public solution passes the {part} test")
            for other, theirs in made:
                if other[exercise.id] != chosen[exercise.id]:
                    if passes(space, theirs.exercises[at].solution, exercise.visible, exercise.hidden):
                        found.append(f"{where}: the solution for {other[exercise.id]} passes")
            try:
                run(space, exercise.stub, exercise.visible)
                found.append(f"{where}: the placeholder passes")
            except NotDoneYet as told:
                number = exercise.id.removeprefix("ex-").replace("-", ".")
                if not str(told).startswith(f"Exercise {number} is not done yet: replace the line"):
                    found.append(f"{where}: the placeholder is told: {told}")
            except Exception as error:
                found.append(f"{where}: the placeholder is told {error!r}")
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@each_notebook
def test_each_option_accepts_its_own_solution_alone_and_calls_the_placeholder_not_done(edition):
    assert offences(edition) == []


@each_notebook
def test_every_exercise_varies_and_names_each_change_in_the_task(edition):
    entries = read_variants(edition)
    source = read_source(edition.source)
    names = {grading(cell)["grade_id"] for cell in source.cells if grading(cell).get("solution")}
    assert set(entries) == names - set(CANNOT_VARY)
    assert [name for name, entry in entries.items() if len(entry["vary"]) < FEWEST_OPTIONS] == []
    readme = (course_root() / "solutions" / "README.md").read_text(encoding="utf-8")
    assert all(name in readme for name in CANNOT_VARY)


@pytest.mark.slow
@each_notebook
def test_a_seed_gives_the_same_notebook_each_time_and_marks_it(edition):
    one, again = (source_of(edition, Variant("autumn-4711")) for _ in range(2))
    assert one == again
    mark = Variant("autumn-4711").mark
    assert mark in one.cells[0].source
    assert all(mark in cell.source for cell in one.cells if grading(cell).get("grade"))
    nbformat.validate(one)
    public = read_source(edition.source)
    changed = [old.id for old, new in zip(public.cells, one.cells, strict=True) if old.source != new.source]
    exercises = sum(bool(grading(cell).get("grade")) for cell in public.cells)
    assert len(changed) == 3 * exercises + 2, "task, answer and test of each exercise, the title and one set-up cell"
    student = student_edition(one)
    assert not any("BEGIN" in cell.source and "###" in cell.source for cell in student.cells if grading(cell))
    assert not any("public_tests" in cell.source for cell in student.cells)


@pytest.mark.slow
def test_the_fixture_is_without_offence_and_offences_are_found(tmp_path):
    assert offences(TINY) == []
    shutil.copytree(tiny.FOLDER / "solutions", tmp_path / "solutions")
    edition = Edition(tmp_path, "91_grading")
    text = variants.sheet(edition).read_text("utf-8")

    def with_text(old, new):
        assert old in text
        variants.sheet(edition).write_text(text.replace(old, new), encoding="utf-8")
        return " | ".join(offences(edition))

    assert "the public solution passes the visible test" in with_text(
        "self.total = «start»", "self.total = 0  # «start»"
    )
    assert "its own solution fails the hidden test" in with_text("«start - 7»", "«start - 8»")
    assert "the public solution passes the hidden test" in with_text('== "«hidden»"', '!= "«hidden»"')
    assert "the solution for {'whole': 10" in with_text("{whole: 100}", "{whole: 10, other: 1}")


def test_every_option_is_taken_by_some_seed_and_always_the_same():
    options = [{"at": at} for at in range(4)]
    taken = [Variant(f"seed-{number}").option("ex-3-1", options)["at"] for number in range(80)]
    assert set(taken) == {0, 1, 2, 3}
    assert taken[:6] == [Variant(f"seed-{number}").option("ex-3-1", options)["at"] for number in range(6)]
    assert taken != [Variant(f"seed-{number}").option("ex-3-2", options)["at"] for number in range(80)]
    assert len({Variant(str(number)).mark for number in range(50)}) == 50 and "4711" not in Variant("4711").mark


@pytest.mark.parametrize("seed", ["", "-x", "a b", "../x", "ä", "a" * 65])
def test_a_seed_that_could_be_mistyped_is_refused(seed):
    with pytest.raises(SourceError, match="is not a seed: give letters, digits"):
        Variant(seed)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  vary: [{whole", "  varied: [{whole", "ex-91-1 has the unknown key 'varied'"),
        ("  change: return the share of «whole».\n", "", "ex-91-1 has no 'change'"),
        ("self.total = 0", "self.total = 1", "the text 'self.total = 1' is not in the cell"),
        ("of «whole»", "of «hole»", "'hole' is undefined"),
        ("longest([", "shortest([", "the example shortest.* does not work"),
        ("ex-91-3:", "ex-91-4:", "ex-91-3 stands either in the notebook or in its variants.yaml"),
        ("ex-91-1:", "ex-91-1: {", "is not valid YAML"),
        ('  as_public: "lambda rows: share_of_hits(rows) / «whole»"', "", "ex-91-1 needs 'as_public' or 'hidden'"),
        ('  view: "lambda tally: tally.total"\n', "", "returns a Tally, which cannot be written down"),
    ],
)
def test_a_sheet_that_does_not_fit_is_told_in_one_sentence(old, new, words, tmp_path):
    shutil.copytree(tiny.FOLDER / "solutions", tmp_path / "solutions")
    edition = Edition(tmp_path, "91_grading")
    text = variants.sheet(edition).read_text("utf-8")
    assert old in text
    variants.sheet(edition).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SourceError, match=words) as caught:
        source_of(edition, Variant("s"))
    assert "\n" not in str(caught.value)


def test_a_notebook_without_its_sheet_or_its_block_is_told(tmp_path):
    root = tiny.course(tmp_path / "course")
    edition = editions(root)[0]
    edition.source.write_text(
        edition.source.read_text("utf-8").replace("**Expected output**", "Output"), encoding="utf-8"
    )
    with pytest.raises(SourceError, match="ex-91-1: its task has no "):
        source_of(edition, Variant("s"))
    variants.sheet(edition).unlink()
    assert source_of(edition, None) == read_source(edition.source)
    with pytest.raises(SourceError, match="There is no 91_grading.variants.yaml beside 91_grading.py"):
        source_of(edition, Variant("s"))


@check("91.7")
def public_check(answer):
    """A check as the public edition has it: half of a number."""
    found = ask(answer, 8)
    if found == 16:
        raise WrongAnswer("You doubled: halve it.")
    require_close(found, 4, "Halve it.")
    passed("half of 8 is 4.")


EXAMPLES = [(given(10), 50.0), (given(0), 0.0)]


def told(answer, **named):
    with pytest.raises((WrongAnswer, NotDoneYet)) as caught:
        named = {"as_public": lambda number: answer(number) / 10} | named
        variant_check(public_check, answer, EXAMPLES, **named)
    return str(caught.value)


def test_a_variants_check_says_what_is_wrong_and_why(capsys):
    variant_check(public_check, lambda number: number * 5, EXAMPLES, as_public=lambda number: number / 2)
    assert capsys.readouterr().out == "✓ right for this variant of exercise 91.7.\n"
    public = told(lambda number: number / 2)
    assert public.startswith(
        "Exercise 91.7 is not right yet. This variant expects 50.0 for (10), and your code returned 5.0."
    )
    assert public.endswith("It does what the public edition asks for; read in the task what **this variant** asks for.")
    doubled = told(lambda number: number * 20)
    assert "into which your answer was translated: You doubled: halve it." in doubled and doubled.count("91.7") == 1
    learnt = told({10: 50, 0: 0, 8: 1}.get)
    assert learnt.endswith("was translated: Expected 4, and your code returned 0.1. Halve it.")
    assert told(lambda number: None).startswith("Exercise 91.7 is not done yet: your function returned None.")
    assert told(...).startswith("Exercise 91.7 is not done yet: the answer is still the placeholder")
    assert told(lambda number: 1, as_public=None).endswith("and your code returned 1.")


@pytest.mark.parametrize(
    ("found", "expected", "same"),
    [
        (np.array([1, 2.0000001]), [1, 2], True),
        ((1, [2, "x"]), [1, (2, "x")], True),
        ({"a": 1.0}, {"a": 1}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        (True, 1, False),
        (1, True, False),
        (np.bool_(True), True, True),
        ("1", 1, False),
        (math.inf, math.inf, True),
        (math.nan, 1.0, False),
        ([1], [1, 1], False),
        (None, None, True),
        (0, None, False),
        (1.001, 1.0, False),
    ],
)
def test_results_are_compared_by_value_and_kind(found, expected, same):
    examples = [(given(), expected)]
    problem = contextlib.nullcontext() if same else pytest.raises(WrongAnswer)
    with problem:
        variant_check(public_check, lambda: found, examples)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A course of one notebook, released as a variant, and a class of five that hands in five kinds of notebook."""
    folder = tmp_path_factory.mktemp("variant")
    root = tiny.course(folder / "course")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert command.main(["release", "--out", str(folder / "student.zip"), "--variant", "autumn-4711"], root) == 0
    edition, handed_in = editions(root)[0], folder / "submissions"
    own, other = (pristine("91_grading", source_of(edition, Variant(seed))) for seed in ("autumn-4711", "other"))
    handed_in.mkdir()
    with zipfile.ZipFile(folder / "student.zip") as archive:
        student = archive.read("finetune-course/notebooks/91_grading.ipynb").decode()

    def hand_in(name, text, solutions):
        notebook = nbformat.reads(text, as_version=4)
        for cell in notebook.cells:
            if grading(cell).get("grade_id") in solutions:
                cell.source = solutions[grading(cell)["grade_id"]]
        (handed_in / f"{name}.ipynb").write_bytes(tiny.text(notebook))

    public = {e.id: e.solution for e in pristine("91_grading", read_source(edition.source)).exercises}
    hand_in("right", student, {e.id: e.solution for e in own.exercises})
    hand_in("copied", student, public)
    hand_in("untouched", student, {})
    hand_in("public", nbformat.writes(student_edition(read_source(edition.source))), public)
    theirs = student_edition(source_of(edition, Variant("other")))
    hand_in("theirs", nbformat.writes(theirs), {e.id: e.solution for e in other.exercises})
    return folder, root, printed.getvalue()


def test_a_variant_is_released_with_the_instructors_edition_beside_it(place):
    folder, root, printed = place
    with zipfile.ZipFile(folder / "student.zip") as archive:
        student = {name: archive.read(name).decode() for name in archive.namelist()}
    with zipfile.ZipFile(folder / "student-instructor.zip") as archive:
        kept = {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist()}
    assert list(student) == ["finetune-course/data/key_numbers.json", "finetune-course/notebooks/91_grading.ipynb"]
    text = student["finetune-course/notebooks/91_grading.ipynb"]
    mark = Variant("autumn-4711").mark
    assert mark in text and "In this variant" in text and "autumn" not in text
    assert not any(word in text for word in ("SOLUTION", "HIDDEN", "hidden", "public_tests"))
    assert set(kept) == {"VARIANT.md", "solutions/91_grading.ipynb", "solutions/91_grading.py"}
    assert "autumn-4711" in kept["VARIANT.md"] and kept["VARIANT.md"].count("| ex-91-") == 3
    assert "### BEGIN SOLUTION" in kept["solutions/91_grading.py"] and "«" not in "".join(kept.values())
    assert mark in printed and "not for students" in printed
    again = ["release", "--out", str(folder / "again.zip"), "--variant", "autumn-4711"]
    assert command.main(again, root) == 0
    for one, two in (("student", "again"), ("student-instructor", "again-instructor")):
        assert (folder / f"{one}.zip").read_bytes() == (folder / f"{two}.zip").read_bytes()
    assert command.main([*again[:-1], "no seed"], root) == 1


@pytest.mark.slow
def test_a_class_is_graded_by_its_seed_and_others_are_refused(place):
    folder, root, _ = place
    code, printed = tiny.grade(root, folder / "submissions", folder / "out", "--variant", "autumn-4711")
    assert code == 0 and "Graded is the variant" in printed, printed
    rows = tiny.rows(folder / "out")
    points = {name.removesuffix(".ipynb"): row["points"] for name, row in rows.items()}
    assert points == {"right": "6.0", "copied": "0.0", "untouched": "0.0", "public": "", "theirs": ""}
    own, other = (Variant(seed).mark.split()[-1] for seed in ("autumn-4711", "other"))
    assert rows["public.ipynb"]["reason"].startswith(f"It belongs to the public edition, and variant {own} is graded")
    assert rows["theirs.ipynb"]["reason"] == f"It belongs to variant {other}, and variant {own} is graded here."
    verdicts = tiny.verdicts(folder / "out")
    assert {verdicts["copied.ipynb", f"ex-91-{at}"][0] for at in (1, 2, 3)} == {"wrong"}
    assert "It does what the public edition asks for" in verdicts["copied.ipynb", "ex-91-1"][1]
    assert {verdicts["untouched.ipynb", f"ex-91-{at}"][0] for at in (1, 2, 3)} == {"not done"}
    pages = "".join(path.read_text("utf-8") for path in (folder / "out" / "feedback").iterdir())
    assert "autumn-4711" not in pages and "was changed" not in pages


@pytest.mark.slow
def test_without_the_seed_only_the_public_edition_is_graded(place):
    folder, root, _ = place
    assert tiny.grade(root, folder / "submissions", folder / "plain")[0] == 0
    rows = tiny.rows(folder / "plain")
    assert rows["public.ipynb"]["points"] == "6.0"
    own = Variant("autumn-4711").mark.split()[-1]
    sentence = f"It belongs to variant {own} of the course: grade it with the --variant that it was released with."
    assert [rows[f"{name}.ipynb"]["reason"] for name in ("right", "copied", "untouched")] == [sentence] * 3
