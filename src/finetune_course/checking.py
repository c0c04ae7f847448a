"""What every exercise check stands on: two exceptions that read as one plain sentence, and guards that raise them.

A check is written like this (see ``checks_03.py`` for real ones)::

    @check("3.1")
    def exact_match(answer):
        share = ask(answer, [{"a": 1}, None], [{"a": 1}, {"a": 2}])
        require_close(share, 0.5, "Did you divide by the valid records only? An unparsable answer is a wrong one.")
        passed("1 of 2 is right, and the unparsable answer counts as wrong.")

A learner sees the sentence alone. For nbgrader, nbclient and nbval the exceptions are ordinary ones: the cell fails.
"""

from __future__ import annotations

import contextvars
import copy
import functools
import math
import numbers
import reprlib
from collections.abc import Callable
from typing import Any

from . import progress

STUB = 'raise NotImplementedError("Exercise not done yet: replace this line with your code.")'
"""The line that stands in the student edition where the solution was (``build_notebooks`` writes it)."""


class CheckProblem(Exception):
    """Base of both exceptions: Jupyter shows ``str(problem)`` and no traceback.

    ``args[0]`` is the sentence. Python's own handling (``try``/``except``, pytest, nbclient) is unchanged.
    """

    def _render_traceback_(self) -> list[str]:
        """The lines IPython prints in place of a traceback (an IPython protocol, used by IPython.parallel too)."""
        return [str(self)]


class NotDoneYet(CheckProblem):
    """The exercise still holds its placeholder."""


class WrongAnswer(CheckProblem):
    """The exercise was attempted; the sentence names the likely misconception."""


_running: contextvars.ContextVar[str | None] = contextvars.ContextVar("check", default=None)
"""The number of the check that is at work."""


def passed(lesson: str) -> None:
    """Print the line of success: a tick and something the right answer has shown."""
    print(f"✓ {lesson}")


def check(number: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator of a check function: every problem leaves it with the exercise's number, none with a traceback.

    ``number`` is written as in the heading, for example ``"3.1"``. The decorated function's first argument is the
    learner's answer (a function). Raises ``NotDoneYet`` or ``WrongAnswer`` only, whatever happens inside. One that
    passes is noted for the learner (``progress``), unless another check has called it to learn its opinion.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def guarded(answer: Any = ..., *more: Any, **named: Any) -> None:
            outermost = _running.get() is None
            token = _running.set(number)
            try:
                _refuse_placeholder(answer)
                function(answer, *more, **named)
            except NotDoneYet as problem:
                raise NotDoneYet(f"Exercise {number} is not done yet: {problem}") from problem.__cause__
            except WrongAnswer as problem:
                raise WrongAnswer(f"Exercise {number} is not right yet. {problem}") from problem.__cause__
            except Exception as error:
                # What the answer returned was so unlike the expected value that comparing it failed.
                raise WrongAnswer(
                    f"Exercise {number} is not right yet. What your code returned could not be compared with the "
                    f"expected value ({_describe(error)}): look at the type and shape of the expected output."
                ) from error
            finally:
                _running.reset(token)
            if outermost:
                progress.keep(number)

        guarded.exercise = number
        return guarded

    return decorate


def ask(answer: Callable[..., Any], *inputs: Any, allow_none: bool = False, **named: Any) -> Any:
    """Call the learner's function on deep copies of ``inputs`` and return its result.

    Copies, so that an answer that changes its input in place cannot disturb the next question; it is told so.
    Raises ``NotDoneYet`` for a placeholder (``...``, ``None``, ``NotImplementedError``, an undefined name) and
    ``WrongAnswer`` for any other exception, naming it and the input, and for an input that was changed.
    ``allow_none=True`` where None can be a right result.
    """
    _refuse_placeholder(answer)
    given, given_named = copy.deepcopy(inputs), copy.deepcopy(named)
    try:
        result = answer(*given, **given_named)
    except CheckProblem:
        raise
    except NotImplementedError as error:
        if str(error) and str(error) not in STUB:  # torch raises it, too, for a type or device that it cannot compute
            raise WrongAnswer(_stopped(error, inputs, named)) from error
        raise NotDoneYet("replace the line `raise NotImplementedError(…)` in the cell above with your code.") from error
    except NameError as error:
        raise NotDoneYet(
            f"your code uses the name `{error.name}`, which is not defined. Is it a typo, or a cell above not yet run?"
        ) from error
    except (Exception, SystemExit) as error:  # exit() in an answer would end the whole run of a notebook
        raise WrongAnswer(_stopped(error, inputs, named)) from error
    if result is Ellipsis:
        raise NotDoneYet("your function still returns the placeholder `...`.")
    if result is None and not allow_none:
        raise NotDoneYet("your function returned None. Is a `return` missing?")
    for after, before in [*zip(given, inputs, strict=True), *((given_named[name], named[name]) for name in named)]:
        if not _same(after, before):
            kind = {"Tensor": "tensor", "ndarray": "array", "dict": "dictionary"}.get(type(before).__name__, "list")
            raise WrongAnswer(
                f"Your code changed the {kind} that it was given (append, sort, +=, del and `x[i] = …` do that), and "
                "others still need it: build a new one."
            )
    return result


def require(condition: Any, sentence: str) -> None:
    """Raise ``WrongAnswer(sentence)`` unless ``condition`` is true. The sentence names the likely misconception."""
    if not condition:
        raise WrongAnswer(sentence)


def require_close(value: Any, expected: float, sentence: str, tolerance: float = 1e-6) -> None:
    """Raise ``WrongAnswer`` unless ``value`` is one number within ``tolerance`` (absolute) of ``expected``.

    Takes Python numbers and anything with ``.item()`` that holds one (NumPy and torch scalars). Text, lists and
    booleans get a sentence of their own: a ``True`` that equals 1 is not a count.
    """
    found = _unwrapped(value)
    if isinstance(found, bool) or not isinstance(found, numbers.Real):
        raise WrongAnswer(
            f"The answer should be one number; your code returned {_short(value)}, a {type(value).__name__}."
        )
    if math.isnan(found) or abs(found - expected) > tolerance:
        raise WrongAnswer(f"Expected {expected:g}, and your code returned {found:g}. {sentence}")


def refuse(found: Any, *known: tuple[float, str]) -> None:
    """Raise ``WrongAnswer`` with its sentence where ``found`` is one of some well-known wrong numbers.

    ``known`` are pairs of a wrong number and the sentence that names how one comes to it. What is no number at all is
    let through: the comparison with the right value says so.
    """
    for wrong, sentence in known:
        try:
            met = math.isclose(float(found), float(wrong), rel_tol=1e-5, abs_tol=1e-12)
        except (TypeError, ValueError, RuntimeError):
            return
        require(not met, sentence)


def _unwrapped(value: Any) -> Any:
    """A NumPy or torch scalar as a Python number; anything else as it is."""
    try:
        return value.item()
    except (AttributeError, TypeError, ValueError, RuntimeError):  # no .item(), or more than one element
        return value


def _same(after: Any, before: Any) -> bool:
    """Whether an input is as it was: containers and arrays by their values (NaN equals NaN), other objects always."""
    if type(after) is not type(before):
        return False
    if isinstance(before, (list, tuple)):
        return len(after) == len(before) and all(map(_same, after, before))
    if isinstance(before, dict):
        return list(after) == list(before) and all(_same(after[key], before[key]) for key in before)
    if hasattr(before, "shape"):  # NumPy and torch
        return after.shape == before.shape and bool(((after == before) | ((after != after) & (before != before))).all())
    if isinstance(before, (str, numbers.Number)):
        return after == before or after != after
    return True


def _refuse_placeholder(answer: Any) -> None:
    if answer is Ellipsis or answer is None:
        raise NotDoneYet("the answer is still the placeholder; write your code in the cell above.")
    if not callable(answer):
        raise WrongAnswer(
            f"The check needs the function itself; it was given {_short(answer)}, a {type(answer).__name__}. "
            "Leave the brackets after its name away."
        )


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 4


def _short(value: Any) -> str:
    """A one-line ``repr`` that stays readable in a sentence."""
    return " ".join(_SHORT.repr(value).split())


def _stopped(error: BaseException, inputs: tuple, named: dict) -> str:
    return f"Your code stopped with {_describe(error).rstrip('.')} when it was given {_call_text(inputs, named)}."


def _call_text(inputs: tuple, named: dict) -> str:
    parts = [_short(value) for value in inputs] + [f"{name}={_short(value)}" for name, value in named.items()]
    return ", ".join(parts) or "no input"


def _describe(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
