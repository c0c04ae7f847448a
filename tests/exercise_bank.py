"""The tests that every exercise's bank of answers goes through, made from a list of right and a list of wrong answers.

    test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)

RIGHT holds pairs (check, answer), WRONG triples (check, answer, words that name the misconception). A right answer
passes however it is written, the hidden tests of the notebook's source too; a wrong one is refused in one line by the
visible check; an untouched stub is "not done yet". What all banks together must hold is in ``test_banks.py``.
"""

import ast
import contextlib
import copy
import functools
import io
import types
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from finetune_course.checking import STUB, NotDoneYet, WrongAnswer
from finetune_course.notebook_build.source import editions, exercise_cells, grading, hidden_regions, read_source
from finetune_course.paths import course_root

NOTHING_RETURNED = "returned None"  # not a wrong answer but one that is not written yet


@dataclass(frozen=True)
class Exercise:
    """One exercise of a notebook's source: the name that the learner defines, the solution, the hidden tests' text."""

    name: str
    solution: Any
    hidden: str
    setup: dict[str, Any]

    def grade(self, answer) -> None:
        """Run the hidden tests on an answer, as a grader does after the visible check; they raise for a wrong one."""
        exec(compile(self.hidden, f"hidden tests of {self.name}", "exec"), {**self.setup, self.name: answer})


@functools.cache
def exercises(notebook: str) -> dict[str, Exercise]:
    """The exercises of a notebook (``"06"``) by number (``"6.1"``); none while its source is not in solutions/."""
    found, space, answers = {}, {}, {}
    for edition in editions(course_root()):
        if edition.name[:2] != notebook:
            continue
        for cell in exercise_cells(read_source(edition.source)).cells:
            number = ".".join(grading(cell).get("grade_id", "").split("-")[1:3])
            if not number:
                _run_quietly(cell.source, space)
            elif grading(cell).get("solution"):
                name = [part.name for part in ast.parse(cell.source).body if hasattr(part, "name")][-1]
                answers[number] = name, _run_quietly(cell.source, {**space})[name]
            else:
                hidden = "\n".join(line for region in hidden_regions(cell) for line in region)
                found[number] = Exercise(*answers[number], hidden, space)
    return found


def exercise_of(check) -> Exercise | None:
    """The exercise that a check belongs to; None while its notebook's source is not in solutions/."""
    return exercises(check.exercise.split(".")[0].zfill(2)).get(check.exercise)


def _run_quietly(code: str, space: dict) -> dict:
    """Run a cell without its output, and without its changes to pandas' options."""
    width = "display.max_colwidth"
    with contextlib.redirect_stdout(io.StringIO()), pd.option_context(width, pd.get_option(width)):
        exec(compile(code, "a cell of a source", "exec"), space)
    return space


def fresh(answer):
    """A copy with default values of its own: what an answer keeps in them ends with the test."""
    if not isinstance(answer, types.FunctionType) or not answer.__defaults__:
        return answer
    defaults = copy.deepcopy(answer.__defaults__)
    again = types.FunctionType(answer.__code__, answer.__globals__, answer.__name__, defaults, answer.__closure__)
    return functools.wraps(answer)(again)


def named(value):
    return value if isinstance(value, str) else getattr(value, "__name__", None)


def tests(checks, right, wrong, stubs=None):
    """Three test functions; ``stubs``: the checks whose exercise is a function (default: all of ``checks``)."""

    @pytest.mark.parametrize(("check", "answer"), right, ids=named)
    def test_a_right_answer_passes_however_it_is_written(check, answer, capsys):
        check(fresh(answer))
        assert capsys.readouterr().out.startswith("✓ ")
        if exercise := exercise_of(check):
            exercise.grade(fresh(answer))

    @pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value")
    @pytest.mark.parametrize(("check", "answer", "words"), wrong, ids=named)
    def test_a_wrong_answer_is_told_its_misconception(check, answer, words):
        with pytest.raises(NotDoneYet if words == NOTHING_RETURNED else WrongAnswer) as caught:
            check(fresh(answer))
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("check", checks if stubs is None else stubs, ids=named)
    def test_the_untouched_stub_is_not_done_yet(check):
        space = {}
        exec(f"def answer(*inputs, **named):\n    {STUB}", space)
        with pytest.raises(NotDoneYet, match=f"Exercise {check.exercise} is not done yet"):
            check(space["answer"])

    assert {check for check, *_ in right} == set(checks) == {check for check, *_ in wrong}, "a check without answers"
    return (
        test_a_right_answer_passes_however_it_is_written,
        test_a_wrong_answer_is_told_its_misconception,
        test_the_untouched_stub_is_not_done_yet,
    )
