"""What the banks of answers must hold, and what every exercise's tests must see through, for all notebooks together.

The banks themselves are in test_checks_NN.py. Here: every exercise of every notebook in solutions/ has enough wrong and
right answers, and the mistakes that are possible in any exercise (spoilt_answers.py) are refused in each of them.
"""

import importlib
import inspect
from collections import Counter
from pathlib import Path

import exercise_bank
import pytest
import spoilt_answers

from finetune_course.checking import NotDoneYet, WrongAnswer
from finetune_course.notebook_build.source import editions
from finetune_course.paths import course_root

WRONG_EACH, RIGHT_EACH, WRONG_IN_ALL, RIGHT_IN_ALL = 4, 2, 150, 60
HIDDEN_SHARE = 2 / 3  # of an exercise's wrong answers, refused by the hidden tests alone
SYMMETRIC = {"0.1", "1.5", "3.1", "4.2", "7.4"}  # products, and comparisons in which both sides count alike
NOT_NEEDED = {("10.2", "mean"), ("10.3", "new")}  # given, and a right answer does well not to look at it
# Mistakes that one exercise or a few can hold, and words that each is told with; those possible everywhere (an answer
# that is hard-coded, an argument ignored, an input changed, the first two swapped) spoilt_answers makes by machine.
NAMED = {
    "a mask that is one off": ("01", "sees the next token too"),
    "labels that are one off": ("06", "Is the shift missing"),
    "a forgotten no_grad": ("05", "inside `with torch.no_grad():`"),
    "a detach too many": ("05", "No gradient reaches `A`"),
    "micro in place of macro": ("03", "That is the accuracy"),
    "weighted in place of macro": ("03", "same weight"),
    "the wrong dtype": ("01", "keep their type"),
    "the wrong device": ("01", "keep their device"),
    "swapped arguments": ("01", "changed places"),
    "an input changed in place": ("05", "changed the tensor"),
}
NOTEBOOKS = [edition.name[:2] for edition in editions(course_root())]
BANKS = {
    path.stem[-2:]: importlib.import_module(path.stem)
    for path in sorted(Path(__file__).parent.glob("test_checks_*.py"))
}
FUNCTIONS = [
    pytest.param(check, next(answer for of, answer in bank.RIGHT if of is check), id=check.exercise)
    for bank in BANKS.values()
    for check in bank.CHECKS
    if not inspect.isclass(next(answer for of, answer in bank.RIGHT if of is check))
]


@pytest.fixture(scope="module")
def recording():
    """Recordings of the visible checks' questions, each made once."""
    made = {}

    def of(check, answer):
        if check not in made:
            exercise = exercise_bank.exercise_of(check)
            right = exercise.solution if exercise else answer
            made[check] = spoilt_answers.Recording(check, right, inspect.signature(right))
        return made[check]

    return of


def told(check, answer):
    """The check's sentence about a wrong answer, and its kind; ("", None) where the answer passes."""
    try:
        check(answer)
    except (WrongAnswer, NotDoneYet) as problem:
        return str(problem), type(problem)
    return "", None


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_exercise_has_enough_wrong_and_right_answers(notebook):
    assert notebook in BANKS, f"notebook {notebook} has no test_checks_{notebook}.py"
    bank, exercises = BANKS[notebook], exercise_bank.exercises(notebook)
    assert {check.exercise for check in bank.CHECKS} == set(exercises)
    wrong = Counter(check.exercise for check, answer, words in set(bank.WRONG))
    right = Counter(
        check.exercise
        for check, answer in set(bank.RIGHT)
        if written(answer) != written(exercises[check.exercise].solution)
    )
    few = {
        number: f"{wrong[number]} wrong, {right[number]} right"
        for number in exercises
        if wrong[number] < WRONG_EACH or right[number] < RIGHT_EACH
    }
    assert not few


def written(answer):
    """The instructions of an answer, the same for one that differs in names alone."""
    parts = [answer] if inspect.isfunction(answer) else [answer.__init__, answer.forward]
    return [part.__code__.co_code for part in parts]


def test_the_banks_together_hold_enough():
    wrong = {case for notebook in NOTEBOOKS for case in BANKS[notebook].WRONG}
    right = {case for notebook in NOTEBOOKS for case in BANKS[notebook].RIGHT}
    assert len(wrong) >= WRONG_IN_ALL and len(right) >= RIGHT_IN_ALL


@pytest.mark.parametrize(("notebook", "words"), NAMED.values(), ids=NAMED)
def test_the_misconceptions_that_this_field_is_known_for_are_in_a_bank(notebook, words):
    assert [answer for _, answer, told_with in BANKS[notebook].WRONG if told_with == words]


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:overflow encountered")
@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_hidden_tests_refuse_most_wrong_answers_without_the_visible_check(notebook):
    """Who knows the visible check's questions may answer these alone rightly; the hidden tests stand behind."""
    refused, asked = Counter(), Counter()
    for check, answer, words in BANKS[notebook].WRONG:
        if words == exercise_bank.NOTHING_RETURNED:
            continue
        asked[check.exercise] += 1
        try:
            exercise_bank.exercise_of(check).grade(exercise_bank.fresh(answer))
        except (Exception, SystemExit):
            refused[check.exercise] += 1
    few = {
        number: f"{refused[number]} of {asked[number]}"
        for number in asked
        if refused[number] < HIDDEN_SHARE * asked[number]
    }
    assert not few


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("check", "answer"), FUNCTIONS)
def test_mistakes_that_are_possible_everywhere_are_refused(check, answer, recording):
    asked = recording(check, answer)
    passing = {kind for kind, wrong in spoilt_answers.refused(asked) if told(check, wrong)[1] is not WrongAnswer}
    passing -= {f"ignores {name}" for number, name in NOT_NEEDED if number == check.exercise}
    if check.exercise not in SYMMETRIC and len(asked.parameters) > 1:
        if not told(check, spoilt_answers.swapped(asked))[0]:
            passing.add("swaps its first two arguments")
    assert not passing


@pytest.mark.parametrize(("check", "answer"), FUNCTIONS)
def test_a_mistake_in_the_answer_is_told_in_one_line_and_nothing_returned_is_not_done_yet(check, answer, recording):
    kinds = dict(spoilt_answers.refused(recording(check, answer)))
    sentence, _ = told(check, kinds["stops with an exception"])
    assert "stopped with ValueError: a mistake of its own when it was given" in sentence and "\n" not in sentence
    assert "stopped with SystemExit" in told(check, kinds["leaves the program"])[0]
    ((_, prints),) = spoilt_answers.unfinished(recording(check, answer))
    sentence, kind = told(check, prints)
    # Where None can be a right result the check asks for the number that is missing instead.
    assert (kind is NotDoneYet and "Is a `return` missing?" in sentence) or check.exercise == "2.1"


@pytest.mark.parametrize(
    ("check", "answer"), [case for case in FUNCTIONS if case.id.split(".")[0].zfill(2) in NOTEBOOKS]
)
def test_hidden_tests_refuse_an_answer_that_knows_the_visible_questions_by_heart(check, answer, recording):
    by_heart = spoilt_answers.memoriser(recording(check, answer))
    check(by_heart)
    exercise = exercise_bank.exercise_of(check)
    exercise.grade(exercise.solution)
    with pytest.raises((AssertionError, RuntimeError)):  # RuntimeError: a tensor of another shape than asked for
        exercise.grade(by_heart)
