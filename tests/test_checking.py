"""The guards behind every exercise check: a placeholder, a wrong answer and a crash each give one plain sentence."""

import subprocess
import sys

import numpy as np
import pytest

from finetune_course import keynumbers
from finetune_course.checking import STUB, NotDoneYet, WrongAnswer, ask, check, passed, require, require_close


@check("3.1")
def mean_check(answer):
    """A check as the exercise modules write them: two questions, one of them an edge case."""
    require_close(ask(answer, [1.0, 3.0]), 2.0, "Did you forget to divide by the count?")
    require(ask(answer, []) == 0, "An empty list has mean 0 here.")
    passed("the mean of nothing is 0 by our convention.")


def mean(values):
    return sum(values) / len(values) if values else 0


def stub(values):
    exec(STUB)


def test_a_right_answer_prints_a_tick_and_what_it_learnt(capsys):
    mean_check(mean)
    assert capsys.readouterr().out == "✓ the mean of nothing is 0 by our convention.\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (stub, "replace the line `raise NotImplementedError(…)`"),
        (..., "still the placeholder"),
        (None, "still the placeholder"),
        (lambda values: ..., "still returns the placeholder"),
        (lambda values: None, "Is a `return` missing?"),
        (lambda values: your_code, "the name `your_code`, which is not defined"),  # noqa: F821
    ],
)
def test_an_unwritten_answer_is_not_done_yet(answer, words):
    with pytest.raises(NotDoneYet, match=r"^Exercise 3\.1 is not done yet: ") as caught:
        mean_check(answer)
    assert words in str(caught.value)


def test_an_empty_call_counts_as_a_placeholder():
    with pytest.raises(NotDoneYet):
        mean_check()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (sum, "Expected 2, and your code returned 4. Did you forget to divide by the count?"),
        (lambda values: 2.0, "An empty list has mean 0 here."),
        (
            lambda values: sum(values) / len(values),
            "stopped with ZeroDivisionError: division by zero when it was given []",
        ),
        (lambda values: [2.0], "should be one number; your code returned [2.0], a list"),
        (lambda values: True, "should be one number; your code returned True, a bool"),
        (lambda values: "2.0", "should be one number; your code returned '2.0', a str"),
        (lambda values: float("nan"), "returned nan"),
        (lambda values: np.array([2.0, 2.0]), "a ndarray"),
        (2.0, "Leave the brackets after its name away"),
    ],
)
def test_a_wrong_answer_gets_one_sentence_with_its_misconception(answer, words):
    with pytest.raises(WrongAnswer, match=r"^Exercise 3\.1 is not right yet\. ") as caught:
        mean_check(answer)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_answer_that_breaks_the_comparison_is_a_wrong_answer_too():
    @check("6.2")
    def compares(answer):
        require(ask(answer, 1) > 0, "The count is positive.")

    with pytest.raises(WrongAnswer, match="could not be compared with the expected value .TypeError"):
        compares(lambda value: "one")


def test_numpy_and_torch_scalars_are_numbers():
    require_close(np.float64(0.5), 0.5, "")
    require_close(np.int64(3), 3, "")
    torch = pytest.importorskip("torch")
    require_close(torch.tensor(0.5), 0.5, "")
    with pytest.raises(WrongAnswer, match="a Tensor"):
        require_close(torch.tensor([0.5, 0.5]), 0.5, "")


CHANGES = [
    (lambda rows: rows.append(1) or 1, [3], "the list"),
    (lambda rows: rows[0].sort() or 1, [[3, 1]], "the list"),
    (lambda rows: rows.__setitem__(0, "3") or 1, [3], "the list"),
    (lambda rows: rows[0].pop("a"), [{"a": 1}], "the list"),
    (lambda row: row.update(a=None) or 1, {"a": 1}, "the dictionary"),
    (lambda values: values.__imul__(2)[0], np.array([1.0, np.nan]), "the array"),
]


@pytest.mark.parametrize(("answer", "given", "words"), CHANGES)
def test_an_input_changed_in_place_is_told_and_disturbs_no_other_question(answer, given, words):
    before = repr(given)
    with pytest.raises(WrongAnswer, match=f"changed {words} that it was given"):
        ask(answer, given)
    with pytest.raises(WrongAnswer, match=f"changed {words} that it was given"):
        ask(lambda *, named: answer(named), named=given)
    assert repr(given) == before


def test_an_input_that_is_only_read_is_the_same_afterwards():
    given = [[3, float("nan")], {"a": None}, (1, "b"), np.array([1.0, np.nan]), len]
    assert ask(lambda values: len(values), given) == 5


def test_what_a_library_has_not_implemented_is_no_placeholder():
    def answer(value):
        raise NotImplementedError("the sum is not implemented for 'Long'")

    with pytest.raises(WrongAnswer, match="stopped with NotImplementedError: the sum is not implemented"):
        ask(answer, 1)


def test_exit_in_an_answer_ends_the_question_and_not_the_run():
    with pytest.raises(WrongAnswer, match="stopped with SystemExit: 3 when it was given 1"):
        ask(lambda value: sys.exit(3), 1)


def test_none_may_be_a_right_answer_where_the_check_says_so():
    assert ask(lambda text: None, "not JSON", allow_none=True) is None


def test_named_inputs_stand_in_the_sentence():
    with pytest.raises(WrongAnswer, match=r"given 'a', top=2\."):
        ask(lambda text, top: text / top, "a", top=2)


def test_jupyter_shows_the_sentence_and_no_traceback():
    """IPython itself runs the cell, as a kernel does."""
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S\n"
        "shell = S.instance(); shell.run_cell('from finetune_course.checking import *')\n"
        "shell.run_cell('def mean(v): raise NotImplementedError')\n"
        "result = shell.run_cell('check(\"3.1\")(lambda a: ask(a, 1))(mean)')\n"
        "assert type(result.error_in_exec).__name__ == 'NotDoneYet'\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert shown.startswith("Exercise 3.1 is not done yet: replace the line") and "Traceback" not in shown
    assert len(shown.strip().splitlines()) == 1


def test_key_numbers_carry_their_json_and_read_as_one_line(monkeypatch):
    bundles = []
    collect_bundle = lambda data, raw: bundles.append({"output_type": "display_data", "data": data})  # noqa: E731
    monkeypatch.setattr("IPython.display.display", collect_bundle)
    keynumbers.publish("exact match, LoRA", 0.9137, interval=(0.86, 0.95))
    keynumbers.publish("training", 71.34, unit="s")
    assert [bundle["data"]["text/plain"] for bundle in bundles] == [
        "exact match, LoRA: 0.914 (0.86 to 0.95)",
        "training: 71.3 s",
    ]
    stream = {"output_type": "stream", "name": "stdout", "text": "noise"}
    assert [number.value for number in keynumbers.collect([stream, *bundles])] == [0.9137, 71.34]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("", 1.0), "needs a name"),
        (("loss", float("nan")), "not finite"),
        (("loss", 1.0, "", (0.9, float("inf"))), "not finite"),
        (("loss", 1.0, "", (1.2, 0.9)), "the wrong way round"),
    ],
)
def test_a_misleading_key_number_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        keynumbers.publish(*arguments)
