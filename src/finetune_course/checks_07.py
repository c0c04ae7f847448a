"""The exercise checks of notebook 07: choosing and reporting, Cohen's kappa, kinds of errors, messages for a claim."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from scipy.stats import norm

from .checking import WrongAnswer, ask, check, passed, refuse, require, require_close

_WINNER_ON_TEST = (
    "You took the setting that is best on the test set. Then the test has done the choosing, and its number is "
    "flattered by the choice: choose on validation, whatever the test says."
)
_BOTH_SETS = (
    "Did you choose by both sets together? What has helped to choose cannot judge: validation alone decides, the test "
    "is for the report."
)
_ACCURACY = "That is the share of equal answers: take off what chance alone gives, divide by what is left."
_EVEN_CHANCE = (
    "Did you say that chance is one half, or one in the number of classes? Two people who both say `in` nine "
    "times out of ten agree by chance far more often: use the shares that each of the two really gives."
)
_ONE_SIDE = (
    "Did you square one side's shares? Chance agreement multiplies the share of the one with the share of the other."
)
_NO_REST = "You left the division out: agreement - chance is compared with the most that is possible, 1 - chance."
_OWN_GUESS = (
    "You sorted by the category that the model gave. Where that is wrong you would fetch rows of the wrong kind: sort "
    "by the true one."
)
_MESSAGES = "Did you count messages? One message with two wrong fields is an error of two kinds."
_RIGHT_ONES = "You counted the fields that are right: an error is a field that differs from the truth."
_UNPARSABLE = "The third answer is None, no record at all: it is wrong in every field, and it must not be passed over."
_ALL_ONE_WAY = "Where all differing messages favour one model (0.05 and 0.05) there is still an answer."
_STANDARD, _ONE_SIDED = norm.ppf(0.975) + norm.ppf(0.8), norm.ppf(0.95) + norm.ppf(0.8)
_SQUARED_APART = norm.ppf(0.975) ** 2 + norm.ppf(0.8) ** 2


@check("7.2")
def choose_and_report(answer: Callable[[dict, dict], Any]) -> None:
    """Check of exercise 7.2: ``answer(validation, test)``, settings to lists of 0 and 1, gives (name, test share)."""
    validation = {"a": [1, 0, 0, 0], "b": [1, 1, 1, 0], "c": [1, 1, 0, 0]}
    test = {"a": [1, 1, 1, 1, 1, 0, 0, 0, 0, 0], "b": [1, 0, 0, 0, 0, 0, 1, 0, 0, 1], "c": [1] * 9 + [0]}
    name, share = _pair(ask(answer, validation, test))
    require(name != "c" or share not in (0.9, 0.5), _WINNER_ON_TEST)
    require(name != "a", "You took the setting with the fewest right: the values are messages right, not a loss.")
    require(name != "c", "The largest share of right validation messages has 'b': 3 of 4.")
    require(name == "b", f"Return the setting's name first, 'b'; yours is {name!r}.")
    refuse(
        share,
        (0.75, "That is its validation share, which was the largest of three and so is flattered: report the test's."),
        (0.9, "You report the best share on test, which belongs to another setting than the one chosen."),
        (3, "That is the number of right messages: divide by their number."),
        (30, "That is a percentage: return a share between 0 and 1."),
        (6 / 14, "You mixed validation and test messages in the report: the test's alone, 3 of 10."),
    )
    require_close(share, 0.3, "The chosen setting has 3 of 10 test messages right.")
    even = {"x": [1, 0, 1, 0], "y": [0, 1, 1, 0]}
    name, _ = _pair(ask(answer, even, {"x": [0, 0], "y": [1, 1]}))
    require(name == "x", "Both have 2 of 4 on validation: take the first. The test may not even break a tie.")
    longer = {"x": [1, 1, 0, 0, 0, 0], "y": [1]}
    name, _ = _pair(ask(answer, longer, {"x": [1, 0], "y": [0, 1]}))
    require(name == "y", "Compare shares, not counts: 1 of 1 is more than 2 of 6.")
    far = {"x": [0] * 6 + [1] * 4, "y": [1] * 5 + [0] * 5}
    name, share = _pair(ask(answer, far, {"x": [1] * 10, "y": [0] * 10}))
    require(name == "y", _BOTH_SETS)
    require_close(share, 0.0, "The chosen setting has no test message right: report the zero.")
    passed("chosen with 75% on validation, reported with 30% on test: the number that chose is not the one you report.")


def _pair(value: Any) -> tuple[Any, Any]:
    require(
        isinstance(value, (tuple, list)) and len(value) == 2,
        "Return two things: the setting's name and its test share.",
    )
    require(not isinstance(value[1], (list, tuple, dict)), "The second is one number: the mean over the test messages.")
    return value[0], value[1]


@check("7.4")
def cohens_kappa(answer: Callable[[list, list], Any]) -> None:
    """Check of exercise 7.4: ``answer(reader, scorer)``, two lists of labels, gives Cohen's kappa without weights."""
    reader = ["in"] * 6 + ["not"] * 4
    scorer = ["in"] * 5 + ["not"] + ["in"] * 3 + ["not"]
    agreed, chance = 0.6, 0.6 * 0.8 + 0.4 * 0.2
    right = (agreed - chance) / (1 - chance)
    found = ask(answer, reader, scorer)
    refuse(
        found,
        (agreed, _ACCURACY),
        (chance, "That is the agreement by chance: the first of the two numbers that kappa is made of."),
        ((agreed - 0.5) / 0.5, _EVEN_CHANCE),
        ((agreed - (0.36 + 0.16)) / (1 - (0.36 + 0.16)), _ONE_SIDE),
        ((agreed - (0.64 + 0.04)) / (1 - (0.64 + 0.04)), _ONE_SIDE),
        (agreed - chance, _NO_REST),
        ((agreed - chance) / chance, "You divided by the chance; divide by what is left above it, 1 - chance."),
        ((agreed - chance) / agreed, "You divided by the agreement; divide by what is left above chance, 1 - chance."),
        ((agreed - 0.48) / (1 - 0.48), "Chance agreement adds up over all classes: both may say `not`, too."),
        (6, "That is the number of equal answers: begin with their share."),
    )
    require_close(found, right, "Agreement 0.6, chance 0.6 · 0.8 + 0.4 · 0.2 = 0.56: kappa is 0.04 / 0.44.")
    three = ask(answer, ["in", "in", "partly", "not"], ["in", "partly", "partly", "not"])
    require_close(
        three, (0.75 - 0.3125) / 0.6875, "There may be more than two labels: chance adds up over all of them."
    )
    only = ask(answer, ["in", "in", "not", "not"], ["in", "in", "partly", "partly"])
    require_close(only, (0.5 - 0.25) / 0.75, "A label that only one side uses has a share of 0 on the other, no error.")
    require_close(
        ask(answer, ["a", "b"], ["b", "a"]), -1.0, "Two sides that always disagree are worse than chance: -1."
    )
    passed("60% of the labels are equal, and kappa is 0.09: one who nearly always says `in` agrees without looking.")


@check("7.3")
def errors_by_kind(answer: Callable[[list, list], Any]) -> None:
    """Check of exercise 7.3: ``answer(truth, answers)`` counts errors by (true category, wrong field).

    Both are lists of records with the keys category and mood; an answer that is no record is None.
    """
    truth = [
        {"category": "return", "mood": "upset"},
        {"category": "return", "mood": "neutral"},
        {"category": "stock", "mood": "neutral"},
        {"category": "stock", "mood": "happy"},
    ]
    answers = [{"category": "faulty", "mood": "neutral"}, {"category": "return", "mood": "happy"}, None, dict(truth[3])]
    found = ask(answer, truth, answers)
    require(isinstance(found, dict), f"Return a dictionary of counts; your code returned a {type(found).__name__}.")
    counts = {key: value for key, value in found.items() if value}
    right = {("return", "category"): 1, ("return", "mood"): 2, ("stock", "category"): 1, ("stock", "mood"): 1}
    require(not any("faulty" in str(key) for key in counts), _OWN_GUESS)
    require(all(isinstance(key, tuple) and len(key) == 2 for key in counts), "Use pairs as keys: (category, field).")
    require(
        not any(first in ("category", "mood") for first, _ in counts),
        "The pair is (category, field), not the reverse.",
    )
    require(counts != {("return", "category"): 1, ("return", "mood"): 2}, _UNPARSABLE)
    require(("stock", "category") in counts and ("stock", "mood") in counts, _UNPARSABLE)
    turned = {("return", "category"): 1, ("stock", "category"): 2, ("stock", "mood"): 2}
    require(counts not in (turned, {**turned, ("stock", "category"): 1, ("stock", "mood"): 1}), _RIGHT_ONES)
    require(counts.get(("stock", "mood")) != 2, "The last answer is right in both fields: it is no error.")
    require(counts.get(("return", "mood")) != 1, _MESSAGES)
    require(counts == right, f"Expected {right}; yours is {counts}.")
    require(len(found) == len(counts), "Leave out the kinds that did not occur: a count of 0 is no error.")
    require(
        ask(answer, truth[3:], answers[3:]) == {}, "Without errors the dictionary is empty: a count of 0 is no error."
    )
    with_urgency = {"category": "store", "mood": "happy", "urgency": "low"}
    one = ask(answer, [with_urgency], [with_urgency | {"urgency": "high"}])
    require(one == {("store", "urgency"): 1}, "Go through the fields that the true record has, whatever their names.")
    passed("4 of the 5 errors concern the mood of returns or the answer that is no record: that is what to mend first.")


@check("7.1")
def messages_needed(answer: Callable[[float, float], Any]) -> None:
    """Check of exercise 7.1: ``answer(discordant, difference)`` messages for a paired difference, power 80%, 95%."""
    found = ask(answer, 0.15, 0.05)
    exact = _STANDARD**2 * (0.15 - 0.0025) / 0.0025
    whole = "That is the right number before rounding up: half a message cannot be asked."
    squared = "Did you forget a square? The sum of both quantiles is squared, and so is the difference below."
    unsubtracted = "The variance is discordant - difference²: you left the second part out."
    of_a_share = "p · (1 - p) is a share's variance. Here each message gives +1, 0 or -1."
    one_side = "1.64 belongs to a one-sided test: 95% in the middle leaves 2.5% on each side."
    by_half = "With 1.96 alone the power is only one half: add the 0.84 for 80%."
    for wrong, sentence in (
        (_STANDARD * 0.1475 / 0.0025, squared),
        (_STANDARD**2 * 0.1475 / 0.05, squared),
        (_STANDARD**2 * 0.15 / 0.0025, unsubtracted),
        (_STANDARD**2 * 0.10 / 0.0025, "The difference is squared before it is taken away."),
        (_STANDARD**2 * 0.1275 / 0.0025, of_a_share),
        (_ONE_SIDED**2 * 0.1475 / 0.0025, one_side),
        (norm.ppf(0.975) ** 2 * 0.1475 / 0.0025, by_half),
        (_SQUARED_APART * 0.1475 / 0.0025, "Add the two quantiles first, and then square the sum."),
        (2 * math.ceil(exact), "Both models answer the same messages: do not double the number."),
    ):
        refuse(found, (math.ceil(wrong), sentence), (wrong, sentence))
    refuse(
        found,
        (exact, whole),
        (
            math.floor(exact),
            "You rounded down, or took 1.96 and 0.84 for the quantiles: take norm.ppf's, and round up.",
        ),
    )
    require_close(found, 464, "(norm.ppf(0.975) + norm.ppf(0.8))² · (0.15 - 0.05²) / 0.05², rounded up, is 464.")
    half = math.ceil(_STANDARD**2 * (0.15 - 0.025**2) / 0.025**2)
    require_close(ask(answer, 0.15, 0.025), half, "Half the difference takes about four times as many.")
    require_close(ask(answer, 0.15, -0.05), 464, "A loss of 5 points takes as many messages as a gain of 5.")
    try:
        one_way = ask(answer, 0.05, 0.05)
    except WrongAnswer:
        raise WrongAnswer(_ALL_ONE_WAY) from None
    require_close(one_way, math.ceil(_STANDARD**2 * 0.0475 / 0.0025), _ALL_ONE_WAY)
    passed("464 messages for 5 points when the models differ on 15% of them; our test set has 200.")
