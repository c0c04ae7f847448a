"""The exercise checks of a variant: ``release --variant SEED`` puts calls of ``variant_check`` in place of the checks.

A variant asks for something slightly different from the public edition. Its check has two halves: the examples of the
task, whose right results stand in the notebook, and the public check, which is given the answer translated back into
the public edition's terms, so that every misconception it knows is found here too.
"""

from __future__ import annotations

import contextlib
import io
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

from .checking import CheckProblem, NotDoneYet, WrongAnswer, _short, ask, check, passed

PUBLIC = "It does what the public edition asks for; read in the task what **this variant** asks for."
IN_PUBLIC_TERMS = "In the terms of the public edition, into which your answer was translated: "
RELATIVE, ABSOLUTE = 1e-4, 1e-6


def given(*inputs: Any, **named: Any) -> tuple[tuple, dict]:
    """The inputs of one example, as they are written in a call."""
    return inputs, named


def variant_check(
    public: Callable[..., None],
    answer: Callable[..., Any],
    examples: Sequence[tuple[tuple[tuple, dict], Any]] = (),
    as_public: Callable[..., Any] | None = None,
    view: Callable[[Any], Any] | None = None,
    tolerance: float = ABSOLUTE,
) -> None:
    """Check a variant's exercise: its ``examples``, pairs (``given(…)``, right result), then the ``public`` check.

    ``as_public`` is the answer in the public edition's terms (None: the public check does not fit this variant).
    ``view`` turns what the answer returned into what is compared; ``tolerance`` is how far a number may be off.
    Raises ``NotDoneYet`` or ``WrongAnswer`` with one sentence, as every check does.
    """

    @check(public.exercise)
    def own(answer: Callable[..., Any]) -> None:
        for (inputs, named), expected in examples:
            found = ask(answer, *inputs, allow_none=expected is None, **named)
            if not _agrees(view(found) if view else found, expected, tolerance):
                call = ", ".join([*map(_said, inputs), *(f"{name}={_said(value)}" for name, value in named.items())])
                compared = (
                    f"This variant expects {_short(expected)} for ({call}), and your code returned {_said(found)}."
                )
                raise WrongAnswer(f"{compared} {_hint(public, answer, as_public)}".rstrip())
        if as_public is not None:
            problem = _problem(public, as_public)
            if isinstance(problem, NotDoneYet):
                raise NotDoneYet(_without_number(problem))
            if problem is not None:
                raise WrongAnswer(_hint(public, answer, as_public))

    own(answer)
    passed(f"right for this variant of exercise {public.exercise}.")


def _hint(public: Callable[..., None], answer: Callable[..., Any], as_public: Callable[..., Any] | None) -> str:
    """What is behind a wrong answer: the public edition's task, or the misconception that the public check names."""
    if _problem(public, answer) is None:
        return PUBLIC
    problem = _problem(public, as_public) if as_public else None
    return IN_PUBLIC_TERMS + _without_number(problem) if isinstance(problem, WrongAnswer) else ""


def _said(value: Any) -> str:
    """A value in one line; a function without its address, which is another in every run."""
    return "a function" if callable(value) else _short(value)


def _problem(public: Callable[..., None], answer: Callable[..., Any]) -> CheckProblem | None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            public(answer)
    except CheckProblem as problem:
        return problem
    return None


def _without_number(problem: CheckProblem) -> str:
    """The sentence without its opening "Exercise 3.1 is not … yet", which ``check`` adds again."""
    return str(problem).partition(" yet: " if isinstance(problem, NotDoneYet) else " yet. ")[2]


def _agrees(found: Any, expected: Any, tolerance: float) -> bool:
    """Whether a result is the expected plain data. Arrays and tensors count as lists, tuples too; True is no 1."""
    if hasattr(found, "tolist"):
        found = found.tolist()
    if isinstance(expected, dict):
        same = isinstance(found, dict) and found.keys() == expected.keys()
        return same and all(_agrees(found[key], expected[key], tolerance) for key in expected)
    if isinstance(expected, (list, tuple)):
        same = isinstance(found, (list, tuple)) and len(found) == len(expected)
        return same and all(_agrees(one, other, tolerance) for one, other in zip(found, expected, strict=True))
    if isinstance(expected, bool) or isinstance(found, bool) or not isinstance(expected, numbers.Real):
        return type(found) is type(expected) and found == expected
    if not isinstance(found, numbers.Real):
        return False
    return math.isclose(found, expected, rel_tol=RELATIVE if tolerance == ABSOLUTE else 0.0, abs_tol=tolerance)
