"""The exercise checks of notebook 10: a verdict from an interval, seeds and questions, stale facts, rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .checking import WrongAnswer, ask, check, passed, refuse, require, require_close

_LEVELS = ("holds", "fails here", "not decided")


@check("10.2")
def verdict(answer: Callable[..., Any]) -> None:
    """Check of exercise 10.2: ``answer(mean, low, high, line)`` judges 'at least the line' by an interval."""

    def said(mean: float, low: float, high: float, line: float) -> str:
        found = ask(answer, mean, low, high, line)
        require(
            isinstance(found, str) and found in _LEVELS,
            f"Return one of the three texts {', '.join(map(repr, _LEVELS))}; your code returned {found!r}.",
        )
        return found

    require(
        said(0.93, 0.86, 0.97, 0.9) != "holds",
        "A mean of 93% is above the line of 90%, but its interval begins at 86%: the test cannot tell. Did you look at "
        "the mean? The *whole* interval has to be on one side.",
    )
    require(
        said(0.93, 0.86, 0.97, 0.9) == "not decided",
        "The line of 90% lies inside [86%, 97%]: that is 'not decided', not a failure. An interval that reaches below "
        "the line is no proof that the claim is wrong.",
    )
    require(
        said(0.88, 0.81, 0.92, 0.9) == "not decided",
        "The mean is below the line and the interval reaches above it: the line lies inside, so nothing is decided.",
    )
    require(said(0.97, 0.93, 0.99, 0.9) == "holds", "The whole interval [93%, 99%] is above the line of 90%: it holds.")
    require(
        said(0.4, 0.33, 0.47, 0.9) == "fails here",
        "The whole interval [33%, 47%] is below the line: it fails here. Did you turn low and high round?",
    )
    require(
        said(0.95, 0.9, 0.99, 0.9) == "holds",
        "The claim says *at least* 90%: an interval that begins at exactly 90% is on the right side.",
    )
    require(
        said(0.1, 0.02, 0.18, 0.0) == "holds" and said(-0.1, -0.2, -0.02, 0.0) == "fails here",
        "The line may also be 0, for a difference: use the line that is given.",
    )
    passed("the whole interval decides, and 'not decided' is a result: it asks for more questions, not for courage.")


@check("10.1")
def per_question(answer: Callable[..., Any]) -> None:
    """Check of exercise 10.1: ``answer(seeds, other)`` gives one difference a question from several seeds' outcomes.

    ``seeds`` has the shape (seeds, questions), ``other`` (questions,), both 0 or 1.
    """
    seeds = np.array([[0, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 0]])
    other = np.array([0, 1, 0, 1])
    found = np.asarray(ask(answer, seeds, other), dtype=float)
    require(
        found.shape != (12,) and found.shape != (3, 4),
        "Those are 12 differences, one for each seed *and* question. Three seeds answer the same four questions: taken "
        "as twelve questions, the interval would come out too narrow. Average over the seeds first.",
    )
    require(
        found.shape != (3,),
        "That is one number a seed: the mean over questions. An interval that speaks of questions the test did not ask "
        "has to be drawn over the questions, so keep them apart.",
    )
    require(
        found.shape != (), "That is one number. Return one difference for each question; the bootstrap averages them."
    )
    require(found.shape == (4,), f"Expected 4 differences, one a question; your code returned the shape {found.shape}.")
    expected = seeds.mean(axis=0) - other
    require(
        not np.allclose(found, -expected),
        "The sign is turned round: the difference is the trained model's minus the other's.",
    )
    require(
        not np.allclose(found, seeds[0] - other),
        "Did you take the first seed alone? That is one draw of the training's luck; average over all of them.",
    )
    require(
        not np.allclose(found, (seeds.mean(axis=0) >= 0.5).astype(float) - other),
        "Did you round the mean over the seeds to right or wrong? What one seed of three gets right counts ⅓.",
    )
    require(
        not np.allclose(found, seeds.max(axis=0) - other),
        "Did you count a question as right when any seed got it? That flatters: a customer meets one model.",
    )
    require(
        np.allclose(found, expected), f"Expected {expected.round(2).tolist()}; your code returned {found.tolist()}."
    )
    one = np.asarray(ask(answer, seeds[:1], other[::-1]), dtype=float)
    own = "With a single seed the differences are that seed's own, from the `other` that is given."
    require(np.allclose(one, seeds[0] - other[::-1]), own)
    passed("seeds are averaged, questions are drawn: three runs are not three times as many questions.")


@check("10.3")
def stale_share(answer: Callable[..., Any]) -> None:
    """Check of exercise 10.3: ``answer(before, after, old, new)``: the share of facts that stayed as they were.

    Lists of texts, one a changed question: the answers before and after the change, the old and the new fact. Counted
    are the questions that were answered with the old fact before.
    """
    old, new = ["60 days", "340 dollars", "Monday", "9 am"], ["45 days", "365 dollars", "Thursday", "10 am"]
    before = ["60 days", "340 dollars", "Tuesday", "9 am"]
    after = ["60 days", "365 dollars", "Monday", "11 am"]
    share = ask(answer, before, after, old, new)
    refuse(
        share,
        (0.5, "Did you divide the two answers that name an old fact by all four? Only three questions were right "
              "before, and one of the two (Monday) was not among them."),
        (0.25, "You divided by all changed questions. What was never known cannot go stale: divide by the three that "
               "were right before."),
        (2 / 3, "Did you count every answer that is not the new fact as the old one? '11 am' is neither; it is wrong, "
                "but not stale. Or did you count Monday, which was wrong before?"),
        (3 / 4, "Did you count every answer that is not the new fact? 'Not new' is not the same as 'old'."),
        (1.0, "Did you compare the answers before with the old facts? What counts is what is said *after* the change."),
        (1, "Return a share, and not a number of questions."),
        (33.33333333, "That is a percentage: return a share between 0 and 1."),
    )  # fmt: skip
    require_close(share, 1 / 3, "Three were right before; after the change one of them still gets the old fact.")
    require_close(
        ask(answer, ["a", "b"], ["a", "b"], ["a", "b"], ["c", "d"]), 1, "Where nothing moved, everything is stale."
    )
    require_close(
        ask(answer, ["x"], ["a"], ["a"], ["c"]),
        0,
        "Where nothing was known before, return 0: there is nothing to divide.",
    )
    passed("only what was known can go stale, and a wrong answer is not an old one.")


@check("10.4")
def speaks(answer: Callable[..., Any]) -> None:
    """Check of exercise 10.4: ``answer(rule, situation)`` says whether all conditions of a rule are met.

    A condition is a dictionary with ``of`` (a question's name) and ``is`` (a list), ``at_least`` or ``below``, or both.
    """

    def said(when: list[dict], **situation: Any) -> bool:
        found = ask(answer, {"id": "r", "when": when}, situation)
        if not isinstance(found, (bool, np.bool_)):
            raise WrongAnswer(f"Return True or False; your code returned {found!r}.")
        return bool(found)

    enough = [{"of": "examples", "at_least": 500}]
    require(
        said(enough, examples=900) and not said(enough, examples=20), "900 examples are at least 500, and 20 are not."
    )
    require(said(enough, examples=500), "'At least 500' is met by exactly 500: compare with >=.")
    few = [{"of": "examples", "below": 100}]
    require(said(few, examples=99) and not said(few, examples=100), "'Below 100' is met by 99 and not by 100.")
    between = [{"of": "examples", "at_least": 100, "below": 500}]
    require(
        said(between, examples=300) and not said(between, examples=900) and not said(between, examples=50),
        "One condition may hold both bounds: at least 100 *and* below 500. Did you stop after the first?",
    )
    zero = [{"of": "calls", "at_least": 0}]
    require(said(zero, calls=0), "A bound of 0 is a bound, too: ask whether the key is there, not whether it is true.")
    options = [{"of": "task", "is": ["a record", "a style"]}]
    require(said(options, task="a style") and not said(options, task="a poem"), "`is` lists the answers that will do.")
    require(
        not said([{"of": "task", "is": ["a record or a label"]}], task="a record"),
        "'a record' is only a part of the option 'a record or a label'. Did you look inside a text, or join the list?",
    )
    both = options + enough
    require(
        not said(both, task="a style", examples=20),
        "One of two conditions is met, and your rule speaks. *All* of them have to be: use all, not any.",
    )
    require(
        not said(enough + options, task="a poem", examples=900),
        "The first condition is met and the second is not. Did you return after the first one?",
    )
    require(said(both, task="a style", examples=500), "Both conditions are met, and your rule does not speak.")
    passed("a rule speaks when all its conditions are met; nothing is weighed, so everybody can check it.")
