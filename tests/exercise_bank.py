"""The tests that every exercise's bank of answers goes through, made from a list of right and a list of wrong answers.

    test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)

RIGHT holds pairs (check, answer), WRONG triples (check, answer, words that name the misconception). A right answer
passes however it is written; a wrong one is refused in one line; an untouched stub is "not done yet".
"""

import pytest

from finetune_course.checking import STUB, NotDoneYet, WrongAnswer

NOTHING_RETURNED = "returned None"  # not a wrong answer but one that is not written yet


def named(value):
    return value if isinstance(value, str) else getattr(value, "__name__", None)


def tests(checks, right, wrong, stubs=None):
    """Three test functions; ``stubs``: the checks whose exercise is a function (default: all of ``checks``)."""

    @pytest.mark.parametrize(("check", "answer"), right, ids=named)
    def test_a_right_answer_passes_however_it_is_written(check, answer, capsys):
        check(answer)
        assert capsys.readouterr().out.startswith("✓ ")

    @pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value")
    @pytest.mark.parametrize(("check", "answer", "words"), wrong, ids=named)
    def test_a_wrong_answer_is_told_its_misconception(check, answer, words):
        with pytest.raises(NotDoneYet if words == NOTHING_RETURNED else WrongAnswer) as caught:
            check(answer)
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
