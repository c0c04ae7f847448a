"""The exercise checks of notebook 03: exact match, macro F1, a few-shot chat, the paired bootstrap."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from .checking import WrongAnswer, ask, check, passed, require, require_close


@check("3.1")
def exact_match(answer: Callable[[list, list], float]) -> None:
    """Check of exercise 3.1: ``answer(predicted, truth)`` is the share of records right in every field.

    ``predicted`` holds records (dictionaries) or None for an unparsable answer, ``truth`` records.
    """
    tent, boots = {"category": "faulty", "product": "tent"}, {"category": "return", "product": "boots"}
    half_right = {"category": "faulty", "product": "hat"}
    share = ask(answer, [tent, None, half_right, boots], [tent, boots, tent, boots])
    require(
        not _equal(share, 2 / 3),
        "Did you divide by the number of records that parse? Divide by all messages: an unparsable answer is a "
        "wrong one, and a method must not look better because it fails more often.",
    )
    require(not _equal(share, 2), "That is the number of right records: divide it by the number of messages.")
    require(not _equal(share, 50), "That is a percentage: return a share between 0 and 1.")
    require(
        not _equal(share, 5 / 8) and not _equal(share, 5 / 6),
        "Did you count right fields? Exact match asks for every field of a record: one wrong field and it is wrong.",
    )
    require_close(share, 0.5, "2 of the 4 records are right in every field; None is an unparsable answer.")
    shuffled = {"product": "tent", "category": "faulty"}
    require_close(
        ask(answer, [shuffled], [tent]), 1.0, "The order of the fields does not matter: compare dictionaries."
    )
    require_close(
        ask(answer, [{"category": "faulty"}], [tent]), 0.0, "A field is missing there: that record is not right."
    )
    exchanged = {"category": "tent", "product": "faulty"}
    require_close(
        ask(answer, [exchanged], [tent]), 0.0, "The values stand in the wrong fields there: compare field by field."
    )
    require_close(ask(answer, [None, None], [tent, boots]), 0.0, "Nothing parses there, so nothing is right.")
    passed("2 of 4 records are right: the half-right one and the unparsable one both count as wrong.")


@check("3.2")
def macro_f1(answer: Callable[[list, list], float]) -> None:
    """Check of exercise 3.2: ``answer(predicted, truth)`` is the plain average of F1 over the classes in ``truth``.

    Both are lists of class names; ``predicted`` holds None for an unparsable answer.
    """
    truth = ["normal"] * 8 + ["high", "high"]
    lazy = ask(answer, ["normal"] * 10, truth)
    require(
        not _equal(lazy, 0.8),
        "That is the accuracy. F1 is worked out for each class by itself, and then the classes are averaged.",
    )
    require(
        not _equal(lazy, 8 / 9),
        "That is the F1 of one class alone. The class `high` is never found: its F1 of 0 counts in the average.",
    )
    require(
        not _equal(lazy, 0.8 * 8 / 9),
        "Did you weight the classes by how often they occur? Macro gives every class the same weight.",
    )
    require(
        not _equal(lazy, 0.5),
        "That is the average of the recalls, what was found of each class. F1 counts wrong calls of a class too.",
    )
    require(
        not _equal(lazy, 0.4),
        "That is the average of the precisions, how often a call was right. F1 counts what was never found, too.",
    )
    require_close(lazy, 4 / 9, "F1 of `normal` is 8/9 and of `high` 0, so the plain average is 4/9.")
    given = ["normal"] * 6 + [None, "high", "high", None]
    found = ask(answer, given, truth)
    expected = (2 * 6 / (6 + 8) + 2 * 1 / (2 + 2)) / 2
    require(
        not _equal(found, (2 * 6 / (6 + 7) + 2 * 1 / (2 + 1)) / 2),
        "Did you leave the unparsable answers out? A None misses its class, which was still there to be found.",
    )
    require(
        not _equal(found, 2 * 0.75 * 0.625 / (0.75 + 0.625)),
        "Did you average precision and recall over the classes first? Work out one F1 for each class, then average.",
    )
    require(
        not _equal(found, 2 / 3 * expected),
        "Did None become a class of the average? The classes are those that occur in the truth.",
    )
    require_close(found, expected, "Unparsable answers (None) miss their class and belong to no class themselves.")
    require_close(ask(answer, ["low", "low"], ["high", "high"]), 0.0, "Nothing is found there: F1 is 0, not an error.")
    require_close(
        ask(answer, ["a", "b", "c"], ["a", "b", "b"]),
        (1 + 2 / 3) / 2,
        "The classes of the average are those in the truth; a class that was only guessed is not one of them.",
    )
    passed("always answering `normal` is 80% accurate, and its macro F1 of 0.44 shows that it never finds `high`.")


@check("3.3")
def few_shot_chat(answer: Callable[[str, list, str], list]) -> None:
    """Check of exercise 3.3: ``answer(rules, examples, message)`` is a list of chat messages with the right roles.

    ``examples`` are pairs (message, record text). The result holds dictionaries with ``role`` and ``content``.
    """
    rules, question = "Sort the messages.", "Is the kayak back?"
    examples = [("My tent leaks.", '{"category":"faulty"}'), ("When do you open?", '{"category":"store"}')]
    chat = ask(answer, rules, examples, question)
    require(isinstance(chat, list), f"Return a list of messages; your code returned a {type(chat).__name__}.")
    for message in chat:
        require(
            isinstance(message, dict) and set(message) == {"role", "content"},
            "Every message is a dictionary with the two keys `role` and `content`.",
        )
    roles = [message["role"] for message in chat]
    require(roles and roles[0] == "system", "The rules come first, in a message with the role `system`.")
    require(
        roles.count("system") == 1,
        "There are several system messages: the rules stand once, at the top, and the examples are turns of the chat.",
    )
    require(
        roles[-1] == "user",
        "The last message must be the new question, from the user: there the model takes over. A chat that ends "
        "with an assistant's message has nothing left to answer.",
    )
    require(
        "assistant" in roles,
        "The examples' records are what the *model* should have said: give them the role `assistant`.",
    )
    expected = ["system", "user", "assistant", "user", "assistant", "user"]
    require(roles == expected, f"The roles should go {', '.join(expected)}; yours go {', '.join(roles)}.")
    contents = [message["content"] for message in chat]
    require(contents[-1] == question, "The last message should hold the new question, and nothing else.")
    require(contents[0] == rules, "The system message should hold the rules, and nothing else.")
    require(
        contents[1:5] == [part for pair in examples for part in pair],
        "The example turns should hold each message and then its own record, in the order given.",
    )
    require(
        [message["role"] for message in ask(answer, rules, [], question)] == ["system", "user"],
        "With no examples the chat is zero-shot: the rules and the question alone.",
    )
    other = [message["content"] for message in ask(answer, "Be brief.", examples[1:], "Do you mend zips?")]
    require(
        other == ["Be brief.", *examples[1], "Do you mend zips?"],
        "Another chat, with one example, came out wrong: use the rules, examples and message that were given, all of "
        "them and no others.",
    )
    passed("examples are turns of the chat: the user asks, the assistant answers, and the last turn is left open.")


@check("3.4")
def paired_interval(answer: Callable[..., Any]) -> None:
    """Check of exercise 3.4: ``answer(a, b, draws, seed)`` gives the ends of the 95% interval of the mean of a - b.

    ``a`` and ``b`` are lists of 0 and 1 for the same messages.
    """
    generator = np.random.default_rng(3)
    easy = generator.random(200) < 0.5  # the same messages are easy for both methods
    a, b = easy.astype(int), (easy & (generator.random(200) < 0.8)).astype(int)
    low, high = _ends(ask(answer, a.tolist(), b.tolist(), draws=2000, seed=1))
    expected = _bootstrap_ends(tuple(a - b))
    width, right_width = high - low, expected[1] - expected[0]
    require(
        width != 0,
        "Every draw gave the same mean. Draw with replacement: a message may come twice, and another not at all.",
    )
    require(low < high, "The lower end must come first, and be below the upper one.")
    require(
        not (abs(low + expected[1]) < 0.02 and abs(high + expected[0]) < 0.02),
        "The sign is turned round: the difference is a minus b.",
    )
    require(
        width < 1.7 * right_width,
        "Your interval is too wide. Did you draw other messages for b than for a? Draw one set of messages and "
        "use it for both: what makes a message easy for both then cancels out.",
    )
    require(
        width < 1.18 * right_width,  # the ends lie on a grid of half a point, a seventeenth of the width
        "Your interval is somewhat too wide. Is it the 95% one, from the 2.5th to the 97.5th percentile, and does "
        "every draw take as many messages as there are?",
    )
    require(
        width > 0.91 * right_width,
        "Your interval is too narrow. The 95% interval goes from the 2.5th to the 97.5th percentile of the drawn "
        "means, and every draw takes as many messages as there are, with replacement.",
    )
    require(
        abs(low - expected[0]) < 0.02 and abs(high - expected[1]) < 0.02,
        f"Expected an interval near [{expected[0]:.2f}, {expected[1]:.2f}]; yours is [{low:.2f}, {high:.2f}].",
    )
    # One message of 30 differs: a third of the draws miss it, so the 2.5th percentile of the means is 0.
    rare, _ = _ends(ask(answer, [1] + [0] * 29, [0] * 30, draws=500, seed=1))
    require(
        rare >= 0,
        "Where `a` is never worse than `b` your interval goes below 0, and no draw's mean can be there. Take the "
        "percentiles of the drawn means instead of a formula with 1.96.",
    )
    # The ends lie on a grid of whole messages, so an unseeded answer can agree by chance: few draws, asked often.
    few = {_ends(ask(answer, a.tolist(), b.tolist(), draws=60, seed=1)) for _ in range(12)}
    require(len(few) == 1, "The same seed gave another interval: make one generator from the seed, and use it.")
    single = [_ends(ask(answer, a.tolist(), b.tolist(), draws=1, seed=seed)) for seed in range(12)]
    require(
        all(low == high for low, high in single),
        "With draws=1 there is one mean, and both ends are that mean: draw as often as `draws` says.",
    )
    require(len(set(single)) > 1, "Twelve seeds gave the same draw: make the generator from the `seed` that is given.")
    passed("the same messages for both methods: an interval that excludes 0 says that the methods really differ.")


def _ends(pair: Any) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in pair)
    except (TypeError, ValueError):
        raise WrongAnswer("Return two numbers, the lower and the upper end of the interval.") from None
    require(not (math.isnan(low) or math.isnan(high)), "An end of your interval is not a number.")
    return low, high


@functools.cache
def _bootstrap_ends(difference: tuple[int, ...]) -> tuple[float, float]:
    result = stats.bootstrap((difference,), np.mean, n_resamples=5000, method="percentile", rng=0, batch=500)
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _equal(value: Any, wrong: float) -> bool:
    """Is ``value`` a number equal to a well-known wrong result? (No number: the main check will say so.)"""
    try:
        return math.isclose(float(value), wrong, abs_tol=1e-6)
    except (TypeError, ValueError):
        return False
