"""The checks of notebook 10: right answers in different forms pass, typical wrong ones get their own sentence."""

import exercise_bank
import numpy as np

from finetune_course import checks_10


def verdict_if(mean, low, high, line):
    if low >= line:
        return "holds"
    return "fails here" if high < line else "not decided"


def verdict_table(mean, low, high, line):
    return {(True, True): "holds", (False, True): "not decided", (False, False): "fails here"}[
        low >= line, high >= line
    ]


def verdict_by_counting_ends(mean, low, high, line):
    return ("fails here", "not decided", "holds")[sum(end >= line for end in (low, high))]


VERDICT_WRONG = [
    (lambda mean, low, high, line: "holds" if mean >= line else "fails here", "Did you look at the mean"),
    (lambda mean, low, high, line: "holds" if low >= line else "fails here", "no proof that the claim is wrong"),
    (
        lambda mean, low, high, line: "holds" if low > line else "fails here" if high < line else "not decided",
        "at least*",
    ),
    (
        lambda mean, low, high, line: "holds" if low >= line else "fails here" if mean < line else "not decided",
        "nothing is decided",
    ),
    (lambda mean, low, high, line: low >= line, "one of the three texts"),
    (lambda mean, low, high, line: verdict_if(mean, low, high, 0.9), "use the line that is given"),
    (
        lambda mean, low, high, line: "fails here" if low >= line else "holds" if high < line else "not decided",
        "[93%, 99%]",
    ),
    (lambda mean, low, high, line: verdict_if(mean, high, low, line), "Did you look at the mean"),
]


def per_question_numpy(seeds, other):
    return seeds.mean(axis=0) - other


def per_question_loop(seeds, other):
    runs = len(seeds)
    return [sum(run[place] for run in seeds) / runs - other[place] for place in range(len(other))]


def per_question_averaging_differences(seeds, other):
    return np.mean([np.subtract(run, other) for run in seeds], axis=0)


PER_QUESTION_WRONG = [
    (lambda seeds, other: (seeds - other).ravel(), "12 differences"),
    (lambda seeds, other: seeds - other, "12 differences"),
    (lambda seeds, other: (seeds - other).mean(axis=1), "one number a seed"),
    (lambda seeds, other: float((seeds - other).mean()), "That is one number."),
    (lambda seeds, other: other - seeds.mean(axis=0), "sign is turned round"),
    (lambda seeds, other: seeds[0] - other, "first seed alone"),
    (lambda seeds, other: seeds.mean(axis=0).round() - other, "Did you round"),
    (lambda seeds, other: seeds.max(axis=0) - other, "any seed got it"),
    (lambda seeds, other: seeds.mean(axis=0), "Expected"),
]


def stale_loop(before, after, old, new):
    knew = stayed = 0
    for was, now, fact in zip(before, after, old, strict=True):
        if was == fact:
            knew += 1
            stayed += now == fact
    return stayed / knew if knew else 0


def stale_numpy(before, after, old, new):
    before, after, old = map(np.array, (before, after, old))
    knew = before == old
    return (after == old)[knew].mean() if knew.any() else 0.0


def stale_ratio(counted, of):
    """A ratio of two counts over (before, after, old, new)."""

    def answer(before, after, old, new):
        rows = list(zip(before, after, old, new, strict=True))
        below = sum(of(*row) for row in rows)
        return sum(counted(*row) for row in rows) / below if below else 0

    return answer


STALE_WRONG = [
    (stale_ratio(lambda b, a, o, n: a == o, lambda b, a, o, n: True), "Only three questions were right before"),
    (stale_ratio(lambda b, a, o, n: a == o == b, lambda b, a, o, n: True), "divided by all changed questions"),
    (stale_ratio(lambda b, a, o, n: b == o and a != n, lambda b, a, o, n: b == o), "neither"),
    (stale_ratio(lambda b, a, o, n: a == o, lambda b, a, o, n: b == o), "Monday, which was wrong before"),
    (stale_ratio(lambda b, a, o, n: a != n, lambda b, a, o, n: True), "'Not new' is not the same"),
    (stale_ratio(lambda b, a, o, n: b == o, lambda b, a, o, n: b == o), "said *after* the change"),
    (lambda *lists: 100 * stale_loop(*lists), "percentage"),
    (lambda b, a, o, n: sum(x == y == z for x, y, z in zip(b, a, o, strict=True)), "said *after* the change"),
    (
        stale_ratio(lambda b, a, o, n: b == o == a, lambda b, a, o, n: b == o or a == o),
        "divided by all changed questions",
    ),
]


def speaks_all(rule, situation):
    return all(
        ("is" not in each or situation[each["of"]] in each["is"])
        and ("at_least" not in each or situation[each["of"]] >= each["at_least"])
        and ("below" not in each or situation[each["of"]] < each["below"])
        for each in rule["when"]
    )


def speaks_loop(rule, situation):
    for condition in rule["when"]:
        value = situation[condition["of"]]
        if "is" in condition and value not in condition["is"]:
            return False
        if not condition.get("at_least", float("-inf")) <= value if "at_least" in condition else False:
            return False
        if "below" in condition and value >= condition["below"]:
            return False
    return True


def condition_met(each, situation, least=lambda value, bound: value >= bound, below=lambda value, bound: value < bound):
    value = situation[each["of"]]
    return (
        ("is" not in each or value in each["is"])
        and ("at_least" not in each or least(value, each["at_least"]))
        and ("below" not in each or below(value, each["below"]))
    )


def one_bound(each, situation):
    value = situation[each["of"]]
    if "is" in each:
        return value in each["is"]
    return value >= each["at_least"] if "at_least" in each else value < each["below"]


def truthy(each, situation):
    value = situation[each["of"]]
    if each.get("is"):
        return value in each["is"]
    found = [value >= each["at_least"]] if each.get("at_least") else []
    found += [value < each["below"]] if each.get("below") else []
    return bool(found) and all(found)


SPEAKS_WRONG = [
    (lambda rule, s: any(condition_met(each, s) for each in rule["when"]), "use all, not any"),
    (lambda rule, s: condition_met(rule["when"][0], s), "One of two conditions is met"),
    (lambda rule, s: all(condition_met(each, s, least=lambda v, b: v > b) for each in rule["when"]), "compare with >="),
    (lambda rule, s: all(condition_met(each, s, below=lambda v, b: v <= b) for each in rule["when"]), "'Below 100'"),
    (lambda rule, s: all(one_bound(each, s) for each in rule["when"]), "Did you stop after the first"),
    (lambda rule, s: all(truthy(each, s) for each in rule["when"]), "A bound of 0 is a bound"),
    (
        lambda rule, s: all(
            s[each["of"]] in " ".join(each["is"]) if "is" in each else condition_met(each, s) for each in rule["when"]
        ),
        "look inside a text",
    ),
    (lambda rule, s: sum(condition_met(each, s) for each in rule["when"]), "True or False"),
    (lambda rule, s: not speaks_all(rule, s), "900 examples"),
]

CHECKS = [checks_10.verdict, checks_10.per_question, checks_10.stale_share, checks_10.speaks]
RIGHT = [
    (checks_10.verdict, verdict_if),
    (checks_10.verdict, verdict_table),
    (checks_10.verdict, verdict_by_counting_ends),
    (checks_10.per_question, per_question_numpy),
    (checks_10.per_question, per_question_loop),
    (checks_10.per_question, per_question_averaging_differences),
    (checks_10.stale_share, stale_loop),
    (checks_10.stale_share, stale_numpy),
    (checks_10.speaks, speaks_all),
    (checks_10.speaks, speaks_loop),
]
WRONG = [
    (check, answer, words)
    for check, cases in zip(CHECKS, (VERDICT_WRONG, PER_QUESTION_WRONG, STALE_WRONG, SPEAKS_WRONG), strict=True)
    for answer, words in cases
]

test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)
