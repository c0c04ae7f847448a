"""The checks of notebook 07: right answers however written pass, misconceptions are named, and the facts are real."""

import math
from collections import Counter, defaultdict
from statistics import NormalDist, mean

import exercise_bank
import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import cohen_kappa_score

from finetune_course import checks_07
from finetune_course.data_rounds import error_kinds
from finetune_course.power import messages_paired
from finetune_course.triage import label_text, load_split
from finetune_course.voice_scorer import kappa

CHECKS = [
    checks_07.choose_and_report,
    checks_07.cohens_kappa,
    checks_07.errors_by_kind,
    checks_07.messages_needed,
]


# 7.2


def best_of(scores, pick=max):
    return pick(scores, key=lambda name: mean(scores[name]))


def choose_by_max(validation, test):
    name = best_of(validation)
    return name, mean(test[name])


def choose_by_loop(validation, test):
    winner, highest = None, -1.0
    for name, outcomes in validation.items():
        if sum(outcomes) / len(outcomes) > highest:
            winner, highest = name, sum(outcomes) / len(outcomes)
    return [winner, np.mean(test[winner])]


def best_on_test(validation, test):
    return choose_by_max(test, test)


def last_of_equals(validation, test):
    highest = max(mean(outcomes) for outcomes in validation.values())
    name = [each for each, outcomes in validation.items() if mean(outcomes) == highest][-1]
    return name, mean(test[name])


def both_together(validation, test):
    return (name := best_of({each: validation[each] + test[each] for each in test})), mean(test[name])


def tie_by_test(validation, test):
    name = max(validation, key=lambda each: (mean(validation[each]), mean(test[each])))
    return name, mean(test[name])


CHOICE_WRONG = [
    (best_on_test, "best on the test set"),
    (both_together, "best on the test set"),
    (lambda v, t: (best_of(v), mean(v[best_of(v)])), "its validation share"),
    (lambda v, t: (best_of(v), max(map(mean, t.values()))), "best share on test"),
    (lambda v, t: (best_of(v, min), mean(t[best_of(v, min)])), "not a loss"),
    (lambda v, t: (best_of(v), sum(t[best_of(v)])), "divide by their number"),
    (lambda v, t: (best_of(v), 100 * mean(t[best_of(v)])), "percentage"),
    (lambda v, t: (best_of(v), mean(v[best_of(v)] + t[best_of(v)])), "mixed validation and test"),
    (lambda v, t: (max(v, key=lambda n: sum(v[n])), mean(t[max(v, key=lambda n: sum(v[n]))])), "Compare shares"),
    (last_of_equals, "take the first"),
    (tie_by_test, "may not even break a tie"),
    (lambda v, t: best_of(v), "Return two things"),
    (lambda v, t: (best_of(v), t[best_of(v)]), "one number"),
]


# 7.4


def kappa_by_sets(reader, scorer):
    rows = len(reader)
    agreed = sum(a == b for a, b in zip(reader, scorer, strict=True)) / rows
    labels = set(reader) | set(scorer)
    chance = sum(reader.count(label) * scorer.count(label) for label in labels) / rows**2
    return (agreed - chance) / (1 - chance)


def kappa_by_counter(reader, scorer):
    first, second, rows = Counter(reader), Counter(scorer), len(reader)
    disagreed = sum(a != b for a, b in zip(reader, scorer, strict=True)) / rows
    return 1 - disagreed / (1 - sum(first[label] * second[label] for label in first) / rows**2)


def parts_of(reader, scorer):
    agreed = mean(a == b for a, b in zip(reader, scorer, strict=True))
    return agreed, {
        label: (reader.count(label) / len(reader), scorer.count(label) / len(scorer)) for label in {*reader, *scorer}
    }


def kappa_from(formula):
    return lambda reader, scorer: formula(*parts_of(reader, scorer))


def chance_of(shares):
    return sum(a * b for a, b in shares.values())


KAPPA_WRONG = [
    (kappa_from(lambda agreed, shares: agreed), "share of equal answers"),
    (kappa_from(lambda agreed, shares: chance_of(shares)), "agreement by chance"),
    (kappa_from(lambda agreed, shares: (agreed - 1 / len(shares)) / (1 - 1 / len(shares))), "chance is one half"),
    (
        kappa_from(lambda agreed, shares: (agreed - (c := sum(a * a for a, _ in shares.values()))) / (1 - c)),
        "square one side",
    ),
    (
        kappa_from(lambda agreed, shares: (agreed - (c := sum(b * b for _, b in shares.values()))) / (1 - c)),
        "square one side",
    ),
    (kappa_from(lambda agreed, shares: agreed - chance_of(shares)), "left the division out"),
    (kappa_from(lambda agreed, shares: (agreed - chance_of(shares)) / chance_of(shares)), "divided by the chance"),
    (kappa_from(lambda agreed, shares: (agreed - chance_of(shares)) / agreed), "divided by the agreement"),
    (
        kappa_from(lambda agreed, shares: (agreed - (c := shares["in"][0] * shares["in"][1])) / (1 - c)),
        "adds up over all classes",
    ),
    (lambda reader, scorer: sum(a == b for a, b in zip(reader, scorer, strict=True)), "number of equal answers"),
    (lambda reader, scorer: max(0.0, kappa_by_sets(reader, scorer)), "worse than chance"),
]


# 7.3


def kinds_by_loop(truth, answers):
    counts = {}
    for right, given in zip(truth, answers, strict=True):
        for field, value in right.items():
            if given is None or given[field] != value:
                key = right["category"], field
                counts[key] = counts.get(key, 0) + 1
    return counts


def kinds_by_counter(truth, answers):
    pairs = zip(truth, [given or {} for given in answers], strict=True)
    return Counter((right["category"], f) for right, given in pairs for f in right if given.get(f) != right[f])


def kinds(each):
    """An answer that adds up what ``each(right, given)`` yields."""
    return lambda truth, answers: dict(Counter(key for pair in zip(truth, answers, strict=True) for key in each(*pair)))


def every_kind(truth, answers):
    found = defaultdict(int, {(row["category"], field): 0 for row in truth for field in row})
    for key, count in kinds_by_loop(truth, answers).items():
        found[key] += count
    return dict(found)


KINDS_WRONG = [
    (
        kinds(lambda r, g: [((g or r)["category"], f) for f in r if g is None or g[f] != r[f]]),
        "category that the model gave",
    ),
    (kinds(lambda r, g: [(r["category"], f) for f in r if g and g[f] != r[f]]), "no record at all"),
    (
        kinds(
            lambda r, g: [(r["category"], "record")] if g is None else [(r["category"], f) for f in r if g[f] != r[f]]
        ),
        "no record at all",
    ),
    (kinds(lambda r, g: [(f, r["category"]) for f in r if g is None or g[f] != r[f]]), "not the reverse"),
    (kinds(lambda r, g: [f for f in r if g is None or g[f] != r[f]]), "pairs as keys"),
    (kinds(lambda r, g: [(r["category"], f) for f in r if g is None or g[f] != r[f]][:1]), "no record at all"),
    (kinds(lambda r, g: [(r["category"], f) for f in r if g is None or g[f] == r[f]]), "fields that are right"),
    (
        kinds(lambda r, g: [(r["category"], f) for f in ("category", "mood") if g is None or g[f] != r[f]]),
        "whatever their names",
    ),
    (every_kind, "a count of 0 is no error"),
    (lambda truth, answers: list(kinds_by_loop(truth, answers)), "Return a dictionary"),
    (lambda truth, answers: [g["category"] for g in answers], "stopped with"),
]


# 7.1

Z = norm.ppf(0.975) + norm.ppf(0.8)


def needed_by_scipy(discordant, difference):
    return math.ceil(Z**2 * (discordant - difference**2) / difference**2)


def needed_by_statistics(discordant, difference):
    z = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.80)
    return int(np.ceil((z / difference) ** 2 * discordant - z**2))


def rounded_up(formula):
    return lambda discordant, difference: math.ceil(formula(discordant, difference))


NEEDED_WRONG = [
    (lambda psi, d: Z**2 * (psi - d**2) / d**2, "half a message"),
    (lambda psi, d: math.floor(Z**2 * (psi - d**2) / d**2), "rounded down"),
    (rounded_up(lambda psi, d: Z * (psi - d**2) / d**2), "forget a square"),
    (rounded_up(lambda psi, d: Z**2 * (psi - d**2) / abs(d)), "forget a square"),
    (rounded_up(lambda psi, d: Z**2 * psi / d**2), "left the second part out"),
    (rounded_up(lambda psi, d: Z**2 * (psi - d) / d**2), "squared before it is taken away"),
    (rounded_up(lambda psi, d: Z**2 * psi * (1 - psi) / d**2), "+1, 0 or -1"),
    (rounded_up(lambda psi, d: (norm.ppf(0.95) + norm.ppf(0.8)) ** 2 * (psi - d**2) / d**2), "one-sided"),
    (rounded_up(lambda psi, d: norm.ppf(0.975) ** 2 * (psi - d**2) / d**2), "power is only one half"),
    (
        rounded_up(lambda psi, d: (norm.ppf(0.975) ** 2 + norm.ppf(0.8) ** 2) * (psi - d**2) / d**2),
        "then square the sum",
    ),
    (lambda psi, d: 2 * needed_by_scipy(psi, d), "do not double"),
    (lambda psi, d: 464, "Half the difference"),
    (lambda psi, d: needed_by_scipy(psi, d) if d > 0 else 0, "A loss of 5 points"),
    (lambda psi, d: needed_by_scipy(psi, d) / (psi > abs(d)), "favour one model"),
]

RIGHT = [
    (checks_07.choose_and_report, choose_by_max),
    (checks_07.choose_and_report, choose_by_loop),
    (checks_07.cohens_kappa, kappa_by_sets),
    (checks_07.cohens_kappa, kappa_by_counter),
    (checks_07.cohens_kappa, lambda reader, scorer: cohen_kappa_score(reader, scorer)),
    (checks_07.errors_by_kind, kinds_by_loop),
    (checks_07.errors_by_kind, kinds_by_counter),
    (checks_07.messages_needed, needed_by_scipy),
    (checks_07.messages_needed, needed_by_statistics),
]
WRONG = [
    (check, answer, words)
    for check, bank in zip(CHECKS, (CHOICE_WRONG, KAPPA_WRONG, KINDS_WRONG, NEEDED_WRONG), strict=True)
    for answer, words in bank
]

test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)


# What the exercises teach is what the course's own code does


def test_the_course_s_kappa_is_the_exercise_s():
    reader, scorer = [0, 0, 1, 2, 1, 0], [0, 1, 1, 2, 2, 0]
    assert kappa(reader, scorer).mean == pytest.approx(kappa_by_sets(reader, scorer))


def test_the_course_s_formula_is_the_exercise_s():
    assert messages_paired(0.15, 0.05) == needed_by_scipy(0.15, 0.05) == 464


def test_the_course_s_kinds_of_errors_are_the_exercise_s_with_the_value_added():
    rows = load_split("validation_handwritten")[:20]
    answers = [label_text(row["label"] | {"mood": "happy"}) for row in rows]
    plain = kinds_by_loop([row["label"] for row in rows], [row["label"] | {"mood": "happy"} for row in rows])
    found = Counter()
    for (category, field, _), count in error_kinds(answers, rows).items():
        found[category, field] += count
    assert found == plain


def test_the_size_of_the_test_set_is_as_the_check_says():
    assert len(load_split("test_handwritten")) == 200
